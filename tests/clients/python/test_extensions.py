"""Actions and parameters that official clients have no class for, called by name as their users would."""

import json

import pytest
from clients import OldPython, Refused
from conftest import delete, template, wait_until_settled

TWO = '[{"regionCode":"cn-shanghai-cmcc","count":2}]'


@pytest.fixture
def client(server):
    return OldPython(server.endpoint)


def rescale(client, app_id, **more):
    return client.generic("RescaleApplication", AppId=app_id, RescaleType="Add", ResourceSelector=TWO, **more)


def test_the_answer_of_a_rescale_is_the_id_of_its_operation(client, application):
    operation_id = rescale(client, application)["RequestId"]
    wait_until_settled(client, application)

    operation = client.generic("DescribeOperation", OperationId=operation_id)["Operation"]

    assert (operation["Action"], operation["Status"]) == ("RescaleApplication", "Succeeded")
    assert (operation["Wanted"], operation["Ready"]) == (2, 2)


def test_a_plan_changes_nothing_and_is_then_carried_out_to_the_letter(client, application):
    plan = client.generic(
        "PlanRescaleApplication", AppId=application, RescaleType="Add", ResourceSelector=TWO
    )["Plan"]
    assert plan["Fits"]
    assert not wait_until_settled(client, application).get("ResourceInfos")

    rescale(client, application, IfPlan=plan["PlanId"])

    settled = wait_until_settled(client, application)
    placed = [placement for item in plan["Items"] for placement in item["Placements"]]
    assert {placement["EnsRegionId"]: placement["After"] for placement in placed} == {"cn-shanghai-cmcc": 2}
    assert [resource["RegionId"] for resource in settled["ResourceInfos"]] == ["cn-shanghai-cmcc"] * 2


def test_the_same_client_token_acts_once(client, application):
    first = rescale(client, application, ClientToken="token-1")
    wait_until_settled(client, application)

    again = rescale(client, application, ClientToken="token-1")

    assert again == first
    assert len(wait_until_settled(client, application)["ResourceInfos"]) == 2


def test_a_stale_revision_is_refused(client, application):
    with pytest.raises(Refused) as refused:
        rescale(client, application, IfRevision=999999)

    assert refused.value.code == "InvalidParameter.IfRevision"


def test_what_does_not_fit_can_be_left_out(client):
    app_id = client("CreateApplication", Template=template())["AppId"]
    selector = json.dumps(
        [{"regionCode": "cn-beijing-cmcc", "count": 1}, {"regionCode": "cn-tianjin-cmcc", "count": 13}]
    )

    client.generic(
        "RescaleApplication", AppId=app_id, RescaleType="Add", ResourceSelector=selector, AllowPartial="true"
    )

    settled = wait_until_settled(client, app_id)
    assert [resource["RegionId"] for resource in settled["ResourceInfos"]] == ["cn-beijing-cmcc"]
    delete(client, app_id)

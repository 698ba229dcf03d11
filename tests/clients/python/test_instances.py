"""Instances by name, by each official client: taken by themselves, hosted, given back, and exactly the named one gone."""

import json

import pytest
from clients import Refused
from conftest import wait_until_settled

NODE = "cn-shanghai-cmcc"
THREE = json.dumps([{"regionCode": NODE, "count": 3}])


@pytest.fixture
def instances(client):
    """The ids of two new instances that no application manages, released afterwards. Asked for before `application`."""
    ids = client(
        "RunInstances", InstanceType="ens.sn1.tiny", ScheduleAreaLevel="Region", EnsRegionId=NODE, Amount=2
    )["InstanceIds"]
    yield ids
    for instance_id in by_themselves(client, ids):
        client("ReleaseInstance", InstanceId=instance_id)


def by_themselves(client, ids):
    """Which of these DescribeInstances lists, with what it says of each."""
    answer = client("DescribeInstances", InstanceIds=json.dumps(ids))
    return {instance["InstanceId"]: instance for instance in answer["Instances"]["Instance"]}


def named(*ids):
    """The parameters of a rescale by name."""
    return {"RescaleLevel": "InstanceId", "ResourceSelector": json.dumps([{"instanceIds": ids}])}


def running(client, app_id):
    """The ids of the application's instances, once it has settled."""
    settled = wait_until_settled(client, app_id)
    assert settled["AppStatus"]["Phase"] == "RUNNING", settled["AppStatus"]
    return {resource["InstanceId"] for resource in settled.get("ResourceInfos") or []}


def three_running(client, app_id):
    client("RescaleApplication", AppId=app_id, RescaleType="Add", ResourceSelector=THREE)
    return sorted(running(client, app_id))


def test_an_instance_is_taken_hosted_given_back_and_released(client, instances, application):
    one, two = instances
    listed = by_themselves(client, instances)
    assert set(listed) == {one, two}
    assert {(each["EnsRegionId"], each["SpecName"]) for each in listed.values()} == {(NODE, "ens.sn1.tiny")}

    client("RescaleApplication", AppId=application, RescaleType="Add", **named(one, two))
    assert running(client, application) == {one, two}
    with pytest.raises(Refused) as refused:
        client("ReleaseInstance", InstanceId=one)
    assert (refused.value.code, refused.value.status) == ("InvalidParameter", 400)

    client("RescaleApplication", AppId=application, RescaleType="Del", **named(one))
    assert running(client, application) == {two}
    assert set(by_themselves(client, instances)) == {one, two}, "given back, not destroyed"

    client("ReleaseInstance", InstanceId=one)
    assert set(by_themselves(client, instances)) == {two}


def test_exactly_the_named_instance_goes_and_the_count_falls(client, application):
    first, named_one, last = three_running(client, application)

    client("RescaleApplication", AppId=application, RescaleType="Del", **named(named_one))

    assert running(client, application) == {first, last}
    described = client("DescribeApplication", AppId=application, AppVersions="All")["Application"]
    assert json.loads(described)["DetailStat"]["InstanceTotalCount"] == 2


def test_a_name_that_is_not_there_refuses_the_whole_rescale(client, application):
    ids = three_running(client, application)

    with pytest.raises(Refused) as refused:
        client("RescaleApplication", AppId=application, RescaleType="Del", **named(ids[0], "i-nothing-of-that-name"))

    assert (refused.value.code, refused.value.status) == ("InvalidParameter", 400)
    assert running(client, application) == {*ids}


def test_the_plan_of_a_del_names_its_victim_and_is_carried_out(client, application):
    one, two, three = three_running(client, application)
    asked = {"AppId": application, "RescaleType": "Del"} | named(two)

    plan = client.generic("PlanRescaleApplication", **asked)["Plan"]
    assert plan["Fits"]
    placed = [placement for item in plan["Items"] for placement in item["Placements"]]
    assert [(placement["EnsRegionId"], placement["InstanceIds"]) for placement in placed] == [(NODE, [two])]
    assert (plan["Before"], plan["After"]) == (3, 2)
    assert running(client, application) == {one, two, three}, "a plan changes nothing"

    client.generic("RescaleApplication", **asked, IfPlan=plan["PlanId"])

    assert running(client, application) == {one, three}


def test_a_plan_that_is_not_the_truth_any_more_is_refused(client, application):
    ids = three_running(client, application)
    asked = {"AppId": application, "RescaleType": "Del", "ResourceSelector": json.dumps([{"count": 1}])}
    plan = client.generic("PlanRescaleApplication", **asked)["Plan"]
    [victim] = plan["Items"][0]["Placements"][0]["InstanceIds"]
    client("RescaleApplication", AppId=application, RescaleType="Del", **named(victim))
    left = running(client, application)
    assert left == {*ids} - {victim}

    with pytest.raises(Refused) as refused:
        client.generic("RescaleApplication", **asked, IfPlan=plan["PlanId"])

    assert (refused.value.code, refused.value.status) == ("InvalidParameter.IfPlan", 400)
    assert running(client, application) == left

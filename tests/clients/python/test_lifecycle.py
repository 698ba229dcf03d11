"""One application through its whole life, by each official client: create, rescale, describe, list, delete."""

import json
import re

import pytest
from clients import Refused
from conftest import delete, template, wait_until_settled

REQUEST_ID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")
APP_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# RescaleApplication's own example, letter for letter.
DOCUMENTED_SELECTOR = (
    '[{"regionCode": "cn-wuxi-telecom_unicom_cmcc-3", "ispCode": "telecom", "count": 2 },'
    '{ "regionCode": "cn-shanghai-cmcc", "count": 4 }]'
)


def nodes(answer):
    """How many instances DescribeDeviceService shows on each edge node."""
    counts = {}
    for resource in answer.get("ResourceInfos") or []:
        counts[resource["RegionId"]] = counts.get(resource["RegionId"], 0) + 1
    return counts


def test_an_application_lives_from_create_to_delete(client):
    created = client("CreateApplication", Template=template("v2"))
    app_id = created["AppId"]
    assert APP_ID.fullmatch(app_id)
    assert REQUEST_ID.fullmatch(created["RequestId"])

    rescaled = client(
        "RescaleApplication",
        AppId=app_id,
        RescaleType="Add",
        RescaleLevel="RegionId",
        ResourceSelector=DOCUMENTED_SELECTOR,
        ToAppVersion="v2",
        Timeout=1800,
    )
    assert list(rescaled) == ["RequestId"]
    assert REQUEST_ID.fullmatch(rescaled["RequestId"])

    settled = wait_until_settled(client, app_id)
    assert settled["AppStatus"]["Phase"] == "RUNNING"
    assert nodes(settled) == {"cn-wuxi-telecom_unicom_cmcc-3": 2, "cn-shanghai-cmcc": 4}
    assert {resource["InstanceStatus"] for resource in settled["ResourceInfos"]} == {"Running"}

    client(
        "RescaleApplication",
        AppId=app_id,
        RescaleType="Del",
        RescaleLevel="RegionId",
        ResourceSelector='[{"regionCode":"cn-shanghai-cmcc","count":3}]',
    )
    settled = wait_until_settled(client, app_id)
    assert nodes(settled) == {"cn-wuxi-telecom_unicom_cmcc-3": 2, "cn-shanghai-cmcc": 1}

    delete(client, app_id)
    with pytest.raises(Refused, match="ens.interface.error"):
        client("DescribeApplication", AppId=app_id)


def test_the_counts_of_describe_application_are_those_of_the_devices(client, application):
    client("RescaleApplication", AppId=application, RescaleType="Add", ResourceSelector=DOCUMENTED_SELECTOR)
    devices = nodes(wait_until_settled(client, application))

    answer = client("DescribeApplication", AppId=application, AppVersions="All", Level="RegionId")

    assert isinstance(answer["Application"], str)
    described = json.loads(answer["Application"])
    status = json.loads(described["AppStatus"]["StatusDescrip"])
    assert (status["status"], status["step"]) == ("UPDATE_SUCCESS", "DONE")
    detail = described["DetailStat"]
    assert (detail["InstanceTotalCount"], detail["InstanceRunningCount"]) == (6, 6)
    districts = [district for version in detail["AppVersionStat"] for district in version["DistrictStat"]]
    assert {district["RegionCode"]: district["InstanceTotalCount"] for district in districts} == devices


def test_a_list_keeps_its_wrapper_objects(client, application):
    answer = client("ListApplications", ClusterNames="poc")

    clusters = answer["Applications"]["Application"]
    listed = [app for cluster in clusters for app in cluster["AppList"]["App"] if app["AppId"] == application]
    assert [cluster["ClusterName"] for cluster in clusters] == ["poc"]
    assert len(listed) == 1
    assert json.loads(listed[0]["AppInfo"])["AppStatus"]["Phase"] == "RUNNING"
    assert answer["TotalCount"] >= 1


def test_a_selector_may_hold_tabs_and_line_ends(client, application):
    selector = '[\t{\r\n"regionCode":\t"cn-shanghai-cmcc",   "count": 1}\t]'

    client("RescaleApplication", AppId=application, RescaleType="Add", ResourceSelector=selector)

    assert nodes(wait_until_settled(client, application)) == {"cn-shanghai-cmcc": 1}


def test_a_district_spreads_over_its_edge_nodes(client, application):
    selector = '[{"regionCode":"310100","ispCode":"cmcc","count":2}]'

    client("RescaleApplication", AppId=application, RescaleType="Add", ResourceSelector=selector)

    assert nodes(wait_until_settled(client, application)) == {"cn-shanghai-cmcc": 1, "cn-shanghai-cmcc-4": 1}


def test_the_regions_are_the_built_in_edge_nodes(client):
    answer = client("DescribeEnsRegions")

    regions = {region["EnsRegionId"]: region for region in answer["EnsRegions"]["EnsRegions"]}
    assert answer["Code"] == 0
    assert len(regions) == 70
    assert "cn-shanghai-cmcc" in regions

"""What there is and where, decoded by the models of each official SDK: every value of the type that the model declares."""

import json
import typing

import pytest
from alibabacloud_ens20171110 import models
from clients import OldPython, Refused

NODE = "cn-wuxi-telecom_unicom_cmcc-3"


def matches(value, declared):
    """Whether a decoded value is of the type that a model's constructor names for it."""
    if typing.get_origin(declared) is list:
        [item] = typing.get_args(declared)
        return isinstance(value, list) and all(matches(each, item) for each in value)
    if hasattr(declared, "from_map"):
        return isinstance(value, declared) and wrong_members(value) == []
    return type(value) is declared


def wrong_members(model):
    """The members of a model that are absent, or of another type than it declares, at any depth."""
    declared = typing.get_type_hints(type(model).__init__)
    return [name for name, kind in declared.items() if not matches(getattr(model, name), kind)]


def body(action):
    return getattr(models, f"{action}ResponseBody")


READS = [
    ("DescribeEnsRegions", {}),
    ("DescribeRegionIsps", {"EnsRegionId": NODE}),
    ("DescribeEnsNetLevel", {}),
    ("DescribeEnsNetDistrict", {"NetLevelCode": "Middle"}),
    ("DescribeEnsNetSaleDistrict", {"NetLevelCode": "Big"}),
    ("DescribeAvailableResource", {}),
    ("DescribeAvailableResourceInfo", {}),
    ("DescribeApplication", {}),
    ("ListApplications", {}),
    ("DescribeDeviceService", {}),
]


@pytest.mark.parametrize("action, parameters", READS)
def test_an_answer_has_every_member_that_the_model_declares(client, application, action, parameters):
    if action in ("DescribeApplication", "DescribeDeviceService"):
        parameters = parameters | {"AppId": application}

    answer = client.generic(action, **parameters)

    assert wrong_members(body(action)().from_map(answer)) == []


def test_a_node_offers_the_carriers_of_its_record(client):
    answer = client("DescribeRegionIsps", EnsRegionId=NODE)

    assert {isp["Code"]: isp["Name"] for isp in answer["Isps"]} == {
        "telecom": "电信",
        "unicom": "联通",
        "cmcc": "移动",
    }


def test_districts_are_walked_from_the_country_to_a_city(client):
    def under(code):
        answer = client("DescribeEnsNetDistrict", NetLevelCode="Big", NetDistrictCode=code)
        districts = answer["EnsNetDistricts"]["EnsNetDistrict"]
        assert {district["NetDistrictFatherCode"] for district in districts} == {code}
        return {district["NetDistrictCode"]: int(district["EnsRegionIdCount"]) for district in districts}

    assert "100103" in under("100000")
    assert "310000" in under("100103")
    [(code, count)] = under("310000").items()
    regions = client.generic("DescribeEnsRegions")["EnsRegions"]["EnsRegions"]
    assert (code, count) == ("310100", sum("310100" in region["Districts"] for region in regions))


def test_what_is_taken_is_missing_from_what_is_left(client, application):
    def left():
        resources = client("DescribeAvailableResource")["SupportResources"]["SupportResource"]
        counts = {(each["EnsRegionId"], each["InstanceSpec"]): each["SupportResourcesCount"] for each in resources}
        return int(counts[("cn-shanghai-unicom", "ens.sn1.tiny")])

    def held():
        answer = client("DescribeEnsNetSaleDistrict", NetLevelCode="Small", NetDistrictCode="310000")
        [shanghai] = answer["EnsNetDistricts"]["EnsNetDistrict"]
        return {each["code"]: each["count"] for each in json.loads(shanghai["InstanceCount"])}.get("unicom", 0)

    before, held_before = left(), held()
    selector = '[{"regionCode":"cn-shanghai-unicom","count":2}]'

    client("RescaleApplication", AppId=application, RescaleType="Add", ResourceSelector=selector)

    assert (left(), held()) == (before - 2, held_before + 2)


def test_the_summary_that_ens_removed_is_still_answered(client, application):
    selector = '[{"regionCode":"cn-foshan-telecom","count":1}]'
    client("RescaleApplication", AppId=application, RescaleType="Add", ResourceSelector=selector)

    answer = client.generic("DescribeApplicationResourceSummary", Level="RegionId", ResourceType="Ens")

    summary = json.loads(answer["ApplicationResource"])
    assert summary["Level"] == "RegionId"
    [tiny] = [each for each in summary["Summary"] if each["InstanceType"] == "ens.sn1.tiny"]
    [stat] = [each for each in tiny["InstanceCountStat"] if each["RegionIds"] == ["cn-foshan-telecom"]]
    assert (stat["InstanceCount"], stat["InstanceMaxCount"], stat["IspCode"]) == (1, 12, "telecom")


@pytest.mark.parametrize(
    "action, parameters, code",
    [
        ("DescribeEnsNetDistrict", {}, "MissingParameter"),
        ("DescribeEnsNetSaleDistrict", {"NetLevelCode": "National"}, "InvalidParameter.NetLevelCode"),
        ("DescribeEnsNetDistrict", {"NetLevelCode": "Big", "NetDistrictCode": "9"}, "InvalidParameter.NetDistrictCode"),
        ("DescribeRegionIsps", {"EnsRegionId": "cn-nowhere"}, "InvalidParameter.EnsRegionId"),
        ("DescribeApplicationResourceSummary", {"Level": "Nation"}, "InvalidParameter.Level"),
    ],
)
def test_what_is_wrong_is_refused_by_its_name(client, action, parameters, code):
    with pytest.raises(Refused) as refused:
        client.generic(action, **parameters)

    assert (refused.value.code, refused.value.status) == (code, 400)


def test_the_old_sdk_sends_a_region_that_narrows_nothing(server):
    client = OldPython(server.endpoint)

    assert len(client("DescribeRegionIsps")["Isps"]) == 4

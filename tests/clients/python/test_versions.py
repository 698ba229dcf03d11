"""New versions and the way back, by each official client: a canary on one edge node, the rest, and all of it undone."""

import json

from conftest import wait_until_settled
from test_lifecycle import DOCUMENTED_SELECTOR

CANARY = {
    "toAppVersion": "v2",
    "descrip": "a try",
    "workload": [{"name": "web", "podSpec": {"containers": [{"name": "web", "image": "oci:/other"}]}}],
    "upgradeStrategy": {
        "name": "ScheduleToRegionId",
        "parameters": {"operator": "In", "values": ["cn-shanghai-cmcc"]},
    },
}


def versions(client, app_id):
    """The stable version, and how many instances carry each, once the application has settled."""
    settled = wait_until_settled(client, app_id)
    assert settled["AppStatus"]["Phase"] == "RUNNING", settled["AppStatus"]
    described = json.loads(client("DescribeApplication", AppId=app_id, AppVersions="All")["Application"])
    counted = described["DetailStat"]["AppVersionStat"]
    return described["AppMetaData"]["AppStableVersion"], {
        version["AppVersion"]: version["InstanceTotalCount"] for version in counted if version["InstanceTotalCount"]
    }


def test_a_version_is_tried_on_one_edge_node_then_everywhere_and_taken_back(client, application):
    client(
        "RescaleApplication",
        AppId=application,
        RescaleType="Add",
        RescaleLevel="RegionId",
        ResourceSelector=DOCUMENTED_SELECTOR,
    )
    assert versions(client, application) == ("v1", {"v1": 6})

    upgraded = client("UpgradeApplication", AppId=application, Template=json.dumps(CANARY), Timeout=1800)
    assert upgraded["TaskId"]
    assert versions(client, application) == ("v1", {"v1": 2, "v2": 4})

    client("UpgradeApplication", AppId=application, Template='{"toAppVersion":"v2"}')
    assert versions(client, application) == ("v2", {"v2": 6})

    client("RollbackApplication", AppId=application, FromAppVersion="v2", ToAppVersion="v1")
    assert versions(client, application) == ("v1", {"v1": 6})

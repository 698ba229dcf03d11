"""The whole way once with real containers: what the SDK was answered is what runs on this machine. Needs root."""

import json
import urllib.request

import pytest
from clients import Python
from conftest import delete, template, wait_until_settled
from test_lifecycle import DOCUMENTED_SELECTOR

SECONDS = 120


@pytest.fixture
def client(server_with_containers):
    return Python(server_with_containers.endpoint)


def page_of(resource):
    """What the instance's container answers on its own address."""
    address = resource["InternalIps"][0]["Ip"]
    with urllib.request.urlopen(f"http://{address}:8080/", timeout=5) as answer:
        return json.load(answer)


def test_six_containers_answer_and_go_again(client):
    app_id = client("CreateApplication", Template=template("v2"))["AppId"]
    client(
        "RescaleApplication",
        AppId=app_id,
        RescaleType="Add",
        RescaleLevel="RegionId",
        ResourceSelector=DOCUMENTED_SELECTOR,
        ToAppVersion="v2",
        Timeout=1800,
    )

    settled = wait_until_settled(client, app_id, SECONDS)

    assert settled["AppStatus"]["Phase"] == "RUNNING", settled["AppStatus"]
    pages = [page_of(resource) for resource in settled["ResourceInfos"]]
    assert {page["ENS_INSTANCE_ID"] for page in pages} == {
        resource["InstanceId"] for resource in settled["ResourceInfos"]
    }
    assert {page["ENS_APP_VERSION"] for page in pages} == {"v2"}
    assert sorted(page["ENS_REGION_ID"] for page in pages) == (
        ["cn-shanghai-cmcc"] * 4 + ["cn-wuxi-telecom_unicom_cmcc-3"] * 2
    )

    delete(client, app_id, SECONDS)
    with pytest.raises(OSError):
        page_of(settled["ResourceInfos"][0])

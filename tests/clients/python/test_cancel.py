"""An operation that does not end by itself: canceled, and watched over a link that is cut. Its containers wait for an
image whose registry nobody runs; needs root, though nothing is started."""

import json

import pytest
from clients import OldPython, Python
from conftest import delete, template, wait_until_settled
from darabonba.exceptions import UnretryableException
from link import Link

# Tried again and again until the operation's deadline.
NOBODYS_IMAGE = "127.0.0.1:1/edge/nothing:v1"
TWO = '[{"regionCode":"cn-shanghai-cmcc","count":2}]'
SECONDS = 60


@pytest.fixture(params=[Python, OldPython], ids=["python", "old-python"])
def client(request, server_with_containers):
    return request.param(server_with_containers.endpoint)


@pytest.fixture
def application(client):
    """The AppId of an application that never becomes ready."""
    app_id = client("CreateApplication", Template=template(image=NOBODYS_IMAGE))["AppId"]
    yield app_id
    delete(client, app_id, SECONDS)


def add(client, app_id):
    """The id of an Add that stays in the middle."""
    return client("RescaleApplication", AppId=app_id, RescaleType="Add", ResourceSelector=TWO)["RequestId"]


def test_a_running_add_is_canceled_and_undone(client, application):
    operation_id = add(client, application)
    running = client.generic("DescribeOperation", OperationId=operation_id)["Operation"]
    assert (running["Status"], running["Wanted"], running["Ready"]) == ("Running", 2, 0)

    client.generic("CancelOperation", OperationId=operation_id, Mode="undo")

    settled = wait_until_settled(client, application, SECONDS)
    assert settled["AppStatus"]["Phase"] == "UPDATE_FAILED"
    assert not settled.get("ResourceInfos")
    ended = client.generic("DescribeOperation", OperationId=operation_id)["Operation"]
    assert ended["Status"] == "Canceled", ended


def test_a_hosted_instance_is_given_back_by_an_undo(client, application):
    [instance_id] = client(
        "RunInstances",
        InstanceType="ens.sn1.tiny",
        ScheduleAreaLevel="Region",
        EnsRegionId="cn-shanghai-cmcc",
        Amount=1,
    )["InstanceIds"]
    operation_id = client(
        "RescaleApplication",
        AppId=application,
        RescaleType="Add",
        RescaleLevel="InstanceId",
        ResourceSelector=json.dumps([{"instanceId": instance_id}]),
    )["RequestId"]

    client.generic("CancelOperation", OperationId=operation_id, Mode="undo")
    assert not wait_until_settled(client, application, SECONDS).get("ResourceInfos")

    client("ReleaseInstance", InstanceId=instance_id)
    listed = client("DescribeInstances", InstanceId=instance_id)
    assert listed["Instances"]["Instance"] == []


def test_a_watcher_whose_link_was_cut_misses_nothing_until_the_end(server_with_containers):
    client = Python(server_with_containers.endpoint)
    app_id = client("CreateApplication", Template=template(image=NOBODYS_IMAGE))["AppId"]
    operation_id = add(client, app_id)
    link = Link(server_with_containers)
    events = Python(link.endpoint).events("Watch", OperationId=operation_id)
    since = next(event.id for event in events if event.id)

    link.cut()
    with pytest.raises(UnretryableException):
        list(events)
    client.generic("CancelOperation", OperationId=operation_id, Mode="undo")
    wait_until_settled(client, app_id, SECONDS)
    missed = list(client.events("Watch", OperationId=operation_id, Since=since))

    assert all(int(event.id) > int(since) for event in missed if event.id)
    told = [(event.event, json.loads(event.data)) for event in missed]
    gone = {data["InstanceId"] for name, data in told if data.get("InstanceStatus") == "Gone"}
    assert len(gone) == 2
    name, last = told[-1]
    assert (name, last["OperationId"], last["Status"]) == ("operation", operation_id, "Canceled")
    delete(client, app_id, SECONDS)

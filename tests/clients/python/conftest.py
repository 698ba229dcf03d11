"""What the client tests share: a server for all API tests, one client after the other, and the words for a template."""

import json
import os
import time
import uuid

import pytest
from clients import OldPython, Python, Refused
from server import IMAGE, READER_CREDENTIALS, Server

FINAL_PHASES = {"RUNNING", "CREATE_FAILED", "UPDATE_FAILED", "DELETE_FAILED"}


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server on the simulated engine: the API is the same, and nothing of the machine is touched."""
    server = Server(tmp_path_factory.mktemp("simulated"), "simulated")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def server_with_containers(tmp_path_factory):
    """A server whose containers are real."""
    if os.geteuid() != 0:
        pytest.skip("containers need root")
    server = Server(tmp_path_factory.mktemp("embedded"), "embedded")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def server_for_readers(tmp_path_factory):
    """A server whose key may only read."""
    directory = tmp_path_factory.mktemp("reader")
    (directory / "data").mkdir(mode=0o700)
    credentials = directory / "data" / "credentials.toml"
    credentials.touch(mode=0o600)
    credentials.write_text(READER_CREDENTIALS)
    server = Server(directory, "simulated")
    yield server
    server.stop()


def sdk_clients(endpoint):
    return {
        "python-v3": lambda: Python(endpoint),
        "python-v1": lambda: Python(endpoint, signature_algorithm="v2"),
        "old-python-v1": lambda: OldPython(endpoint),
    }


@pytest.fixture(params=["python-v3", "python-v1", "old-python-v1"])
def client(request, server):
    return sdk_clients(server.endpoint)[request.param]()


@pytest.fixture
def application(client):
    """The AppId of a new application without instances, deleted afterwards."""
    app_id = client("CreateApplication", Template=template())["AppId"]
    yield app_id
    delete(client, app_id)


def template(version="v1", image=f"oci:{IMAGE}"):
    """A template as `CreateApplication` takes it; the name is new each time."""
    return json.dumps(
        {
            "appMetaData": {
                "appName": f"hello-{uuid.uuid4().hex[:8]}",
                "clusterName": "poc",
                "appType": "Common",
                "description": "client test",
                "appVersion": version,
            },
            "resourceAttribute": {"instanceSpec": "ens.sn1.tiny"},
            "resourceSelector": [],
            "workload": [
                {"name": "web", "podCount": 1, "podSpec": {"containers": [{"name": "web", "image": image}]}}
            ],
        }
    )


def wait_until_settled(client, app_id, seconds=30):
    """Asks DescribeDeviceService until the application's phase is a final one, and returns the last answer."""
    return _poll(lambda: client("DescribeDeviceService", AppId=app_id), _is_settled, seconds)


def delete(client, app_id, seconds=30):
    """Deletes an application and waits until it is unknown; one that is gone already is fine."""
    try:
        client("DeleteApplication", AppId=app_id)
        _poll(lambda: client("DescribeDeviceService", AppId=app_id), lambda answer: False, seconds)
    except Refused as refused:
        assert refused.code == "ens.interface.error"


def _is_settled(answer):
    return answer["AppStatus"]["Phase"] in FINAL_PHASES


def _poll(ask, is_done, seconds):
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if is_done(answer):
            return answer
        assert time.monotonic() < deadline, f"not within {seconds} s; the last answer: {answer}"
        time.sleep(0.05)


def pytest_terminal_summary(terminalreporter):
    """Says each skipped test by name, in the form that the whole project uses."""
    for report in terminalreporter.getreports("skipped"):
        name = report.nodeid.replace(" ", "_")
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        terminalreporter.write_line(f"SKIPPED {name}: {reason}")

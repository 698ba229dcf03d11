"""Answers as XML, asked for by an official client and read by a strict parser: the same content as the JSON."""

import json
import xml.etree.ElementTree as ElementTree

import pytest
from clients import OldPython, Refused
from test_lifecycle import DOCUMENTED_SELECTOR


@pytest.fixture
def client(server):
    return OldPython(server.endpoint)


def as_json(element):
    """An element with children is an object, of which a repeated one is a list; any other is text."""
    if len(element) == 0:
        return element.text or ""
    found = {}
    for child in element:
        value = as_json(child)
        found[child.tag] = [*found.get(child.tag, []), value] if len(element.findall(child.tag)) > 1 else value
    return found


def as_text(value):
    """JSON as XML can say it: everything is text, null is nothing, a list of one is its item."""
    if isinstance(value, dict):
        members = {name: as_text(member) for name, member in value.items()}
        return {name: member for name, member in members.items() if member is not None} or ""
    if isinstance(value, list):
        return None if not value else as_text(value[0]) if len(value) == 1 else [as_text(item) for item in value]
    return value if value is None or isinstance(value, str) else json.dumps(value)


@pytest.mark.parametrize(
    "action, parameters",
    [
        ("DescribeEnsRegions", {}),
        ("ListApplications", {"ClusterNames": "poc"}),
        ("PlanRescaleApplication", {"RescaleType": "Add", "ResourceSelector": DOCUMENTED_SELECTOR}),
        ("DescribeApplication", {"AppVersions": "All"}),
        ("ListOperations", {}),
    ],
)
def test_xml_says_what_json_says(client, application, action, parameters):
    if action != "DescribeEnsRegions":
        parameters = parameters | {"AppId": application}
    expected = client.generic(action, **parameters)

    root = ElementTree.fromstring(client.generic_xml(action, **parameters))

    assert root.tag == f"{action}Response"
    assert as_json(root) | {"RequestId": ""} == as_text(expected) | {"RequestId": ""}


def test_a_refusal_in_xml_says_what_json_says(client):
    parameters = {"AppId": "<none> & \r\n\"nothing\""}
    with pytest.raises(Refused) as refused:
        client.generic("DescribeApplication", **parameters)

    root = ElementTree.fromstring(client.generic_xml("DescribeApplication", **parameters))

    assert root.tag == "Error"
    assert root.findtext("Code") == refused.value.code == "ens.interface.error"
    assert root.findtext("Message") == refused.value.message
    assert parameters["AppId"] in root.findtext("Detail")

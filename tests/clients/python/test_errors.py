"""What each official client's user sees when a call is refused: the documented code, unchanged."""

import pytest
from clients import OldPython, Python, Refused
from conftest import wait_until_settled

from server import ACCESS_KEY_ID

ONE_MORE = '[{"regionCode":"cn-shanghai-cmcc","count":1}]'
SOUND = {"RescaleType": "Add", "RescaleLevel": "RegionId", "ResourceSelector": ONE_MORE}

REFUSED = [
    ("a misspelt type", {"RescaleType": "add"}, "InvalidParameter.RescaleType"),
    ("no selector", {"ResourceSelector": ""}, "MissingParameter"),
    ("a selector that is no JSON", {"ResourceSelector": "[{"}, "InvalidParameter.ResourceSelector"),
    ("an empty selector", {"ResourceSelector": "[]"}, "InvalidParameter.ResourceSelector"),
    ("an unknown level", {"RescaleLevel": "Planet"}, "InvalidParameter.RescaleLevel"),
    ("the level InstanceId without a name", {"RescaleLevel": "InstanceId"}, "InvalidParameter"),
    ("an unknown version", {"ToAppVersion": "v9"}, "InvalidParameter.ToAppVersion"),
    ("no time at all", {"Timeout": 0}, "InvalidParameter.Timeout"),
    ("an unknown edge node", {"ResourceSelector": ONE_MORE.replace("cmcc", "cmc")}, "InvalidParameter"),
    ("nothing to add", {"ResourceSelector": ONE_MORE.replace("1", "0")}, "InvalidParameter"),
    ("more than fits", {"ResourceSelector": ONE_MORE.replace("1", "13")}, "InvalidParameter"),
    ("releasing what is not there", {"RescaleType": "Del"}, "InvalidParameter"),
    ("an unknown application", {"AppId": "00000000-0000-4000-8000-000000000000"}, "ens.interface.error"),
]

MESSAGES = {
    "MissingParameter": "The input parameter that is mandatory for processing this request is not supplied.",
    "InvalidParameter.RescaleType": "The specified field RescaleType invalid. Please check it again.",
    "ens.interface.error": "An error occurred while calling the API.",
}


@pytest.mark.parametrize("change, code", [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_refused_rescale_has_its_documented_code_and_changes_nothing(client, application, change, code):
    with pytest.raises(Refused) as refused:
        client("RescaleApplication", **({"AppId": application} | SOUND | change))

    assert refused.value.code == code
    assert refused.value.status == 400
    assert MESSAGES.get(code, "") in refused.value.message
    settled = wait_until_settled(client, application)
    assert settled["AppStatus"]["Phase"] == "RUNNING"
    assert not settled.get("ResourceInfos")


def test_a_wrong_secret_is_told_from_a_wrong_signature_by_the_old_client(server):
    # The client compares our string to sign with its own, byte for byte: this code is its proof that they are equal.
    client = OldPython(server.endpoint, secret="SomeOtherSecret0123456789Abcde")

    with pytest.raises(Refused) as refused:
        client("RescaleApplication", AppId="a+b *~/\t上海", **SOUND)

    assert refused.value.code == "InvalidAccessKeySecret"


@pytest.mark.parametrize("signature_algorithm", [None, "v2"], ids=["v3", "v1"])
def test_a_wrong_secret_does_not_sign(server, signature_algorithm):
    client = Python(server.endpoint, secret="wrong", signature_algorithm=signature_algorithm)

    with pytest.raises(Refused) as refused:
        client("ListApplications")

    assert (refused.value.code, refused.value.status) == ("SignatureDoesNotMatch", 400)


@pytest.mark.parametrize("make", [Python, OldPython], ids=["python", "old-python"])
def test_an_unknown_key_is_named_as_such(server, make):
    client = make(server.endpoint, key=ACCESS_KEY_ID[:-1] + "9")

    with pytest.raises(Refused) as refused:
        client("ListApplications")

    assert (refused.value.code, refused.value.status) == ("InvalidAccessKeyId.NotFound", 404)


def test_an_error_carries_the_whole_body_to_the_user(server):
    with pytest.raises(Refused) as refused:
        Python(server.endpoint)("DescribeApplication", AppId="nothing-of-that-name")

    body = refused.value.original.data
    assert body["Code"] == "ens.interface.error"
    assert body["HostId"] == server.host
    assert body["Recommend"]
    assert body["Detail"]


def test_what_a_key_may_not_do_is_said_in_detail(server_for_readers):
    client = Python(server_for_readers.endpoint)
    client("ListApplications")

    with pytest.raises(Refused) as refused:
        client("RescaleApplication", AppId="whatever-it-is", **SOUND)

    assert (refused.value.code, refused.value.status) == ("NoPermission", 400)
    assert refused.value.original.access_denied_detail["AuthAction"] == "ens:RescaleApplication"


def test_the_old_client_is_told_that_it_may_not(server_for_readers):
    with pytest.raises(Refused) as refused:
        OldPython(server_for_readers.endpoint)("CreateApplication", Template="{}")

    assert (refused.value.code, refused.value.status) == ("NoPermission", 400)


def test_an_action_that_is_not_there_is_not_found(server):
    client = OldPython(server.endpoint)
    for action in ("RescaleUniverse", "rescaleApplication"):
        with pytest.raises(Refused) as refused:
            client.generic(action)

        assert (refused.value.code, refused.value.status) == ("InvalidAction.NotFound", 404)


def test_the_endpoint_may_carry_its_scheme(server):
    client = Python(f"http://{server.endpoint}")

    assert client("DescribeEnsRegions")["Code"] == 0

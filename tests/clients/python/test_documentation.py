"""The lines of docs/clients.md do what they say, as they stand there: only the address is another."""

import os
import pathlib
import re
import subprocess
import sys

import pytest
from clients import Python
from conftest import delete, template
from server import ACCESS_KEY_ID, ACCESS_KEY_SECRET

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs/clients.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def test_each_client_has_its_lines():
    assert len(BLOCKS) == 2


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_documented_lines_list_an_application(server, number):
    client = Python(server.endpoint)
    app_id = client("CreateApplication", Template=template())["AppId"]
    assert "127.0.0.1:8420" in BLOCKS[number]

    told = subprocess.run(
        [sys.executable, "-c", BLOCKS[number].replace("127.0.0.1:8420", server.endpoint)],
        env=os.environ
        | {"ALIBABA_CLOUD_ACCESS_KEY_ID": ACCESS_KEY_ID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": ACCESS_KEY_SECRET},
        capture_output=True,
        text=True,
        timeout=60,
    )

    delete(client, app_id)
    assert app_id in told.stdout, told

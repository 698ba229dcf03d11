"""The documentation's own RescaleApplication example, sent with the official Python SDK. Nothing here is ours: only the
AppId is replaced, and the endpoint is the one that `eval "$(ensemble env)"` sets.

usage: python examples/rescale.py APP_ID      (pip install alibabacloud-ens20171110)
"""

import os
import sys

from alibabacloud_ens20171110.client import Client
from alibabacloud_ens20171110.models import RescaleApplicationRequest
from alibabacloud_tea_openapi.utils_models import Config

client = Client(
    Config(
        access_key_id=os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"],
        access_key_secret=os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
        endpoint=os.environ["ALIBABA_CLOUD_ENDPOINT"],
        protocol="http",
    )
)

answer = client.rescale_application(
    RescaleApplicationRequest(
        app_id=sys.argv[1],
        rescale_type="Add",
        rescale_level="RegionId",
        # Letter for letter as the page of RescaleApplication prints it.
        resource_selector="[{\"regionCode\": \"cn-wuxi-telecom_unicom_cmcc-3\", \"ispCode\": \"telecom\", \"count\": 2 },{ \"regionCode\": \"cn-shanghai-cmcc\", \"count\": 4 }]",
        to_app_version="v2",
        timeout=1800,
    )
)
print(answer.body.request_id)

"""The official SDKs, unchanged, behind one call: `client("RescaleApplication", AppId=…) -> dict`, or `Refused`.

Only what an SDK's own user sets is set here: key, endpoint, and that it is plain HTTP.
"""

import contextlib
import dataclasses
import importlib
import json
import re
import warnings

from alibabacloud_ens20171110 import models
from alibabacloud_ens20171110.client import Client
from alibabacloud_tea_openapi.utils_models import Config, OpenApiRequest, Params
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest
from darabonba.runtime import RuntimeOptions

from server import ACCESS_KEY_ID, ACCESS_KEY_SECRET


@dataclasses.dataclass
class Refused(Exception):
    """An error as the SDK hands it to its user."""

    code: str
    message: str
    status: int
    original: Exception

    def __str__(self):
        return f"{self.code}: {self.message}"


class Python:
    """`alibabacloud-ens20171110`. Signs V3, or V1 with `signature_algorithm="v2"`."""

    def __init__(self, endpoint, key=ACCESS_KEY_ID, secret=ACCESS_KEY_SECRET, signature_algorithm=None):
        self._client = Client(
            Config(
                access_key_id=key,
                access_key_secret=secret,
                endpoint=endpoint,
                protocol="http",
                signature_algorithm=signature_algorithm,
            )
        )

    def __call__(self, action, **parameters):
        # An action without parameters has no class for them.
        request = getattr(models, f"{action}Request", None)
        method = getattr(self._client, re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower())
        with _refusals():
            answer = method(request().from_map(parameters)) if request else method()
            return answer.body.to_map()

    def generic(self, action, **parameters):
        """Any action by its name, as the SDK's users call what it has no class for."""
        with _refusals():
            return self._client.call_api(_params(action, "POST"), _query(parameters), RuntimeOptions())["body"]

    def events(self, action, **parameters):
        """The server-sent events of a stream, one after the other, each with `id`, `event` and `data` as text."""
        for answer in self._client.call_sseapi(_params(action, "GET"), _query(parameters), RuntimeOptions()):
            yield answer.event


def _params(action, method):
    return Params(
        action=action,
        version="2017-11-10",
        protocol="HTTP",
        pathname="/",
        method=method,
        auth_type="AK",
        style="RPC",
        req_body_type="formData",
        body_type="json",
    )


def _query(parameters):
    return OpenApiRequest(query={name: str(value) for name, value in parameters.items()})


@contextlib.contextmanager
def _refusals():
    try:
        yield
    except Exception as error:
        if not getattr(error, "code", None):
            raise
        raise Refused(error.code, error.message, error.status_code, error) from error


class OldPython:
    """`aliyun-python-sdk-core` with `aliyun-python-sdk-ens`. Signs V1; adds `RegionId=cn-hangzhou` to everything."""

    def __init__(self, endpoint, key=ACCESS_KEY_ID, secret=ACCESS_KEY_SECRET):
        self._host, port = endpoint.rsplit(":", 1)
        self._client = AcsClient(key, secret, "cn-hangzhou", port=int(port))

    def __call__(self, action, **parameters):
        module = importlib.import_module(f"aliyunsdkens.request.v20171110.{action}Request")
        request = getattr(module, f"{action}Request")()
        request.set_endpoint(self._host)
        for name, value in parameters.items():
            getattr(request, f"set_{name}")(value)
        return self._send(request)

    def generic(self, action, **parameters):
        """Any action by its name, as the SDK's users call what it has no class for."""
        return self._send(self._generic(action, parameters))

    def generic_xml(self, action, **parameters):
        """The answer of any action as XML, refusal or not, as the old call hands it out: not parsed."""
        request = self._generic(action, parameters)
        request.set_accept_format("XML")
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            return self._client.do_action(request)

    def _generic(self, action, parameters):
        request = CommonRequest(domain=self._host, version="2017-11-10", action_name=action)
        request.set_method("POST")
        for name, value in parameters.items():
            request.add_query_param(name, value)
        return request

    def _send(self, request):
        try:
            return json.loads(self._client.do_action_with_exception(request))
        except ServerException as error:
            raise Refused(error.error_code, error.message, error.http_status, error) from error

"""An ENS emulator for each test: `ensemble serve --engine simulated --ephemeral`, started and ended by the fixture
`ensemble`. Needs the program and nothing else; knows no SDK.
"""

import dataclasses
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time

import pytest

START_SECONDS = 10
STOP_SECONDS = 15
CALL_SECONDS = 90

# After the ready line comes what `ensemble env` prints.
EXPORTS = 6


class Refused(Exception):
    """A call that was refused, with the documented `code`; the message says more."""

    def __init__(self, error):
        self.code, self.message = error["code"], error["message"]
        super().__init__(f"{self.code}: {self.message}")


@dataclasses.dataclass
class Emulator:
    """A running one. `endpoint` is `host:port`, as SDKs take it; `url` has the scheme as well."""

    url: str
    access_key_id: str
    access_key_secret: str
    environment: dict
    _binary: str
    _log: pathlib.Path

    @property
    def endpoint(self):
        return self.url.split("://", 1)[1]

    def advance(self, seconds):
        """Steps the time, and returns when everything that was due by then has happened."""
        return self.call("AdvanceClock", Seconds=seconds)

    def settle(self):
        """Returns when everything that is due now has happened."""
        return self.advance(0)

    def call(self, action, **parameters):
        """Calls any action; values that are no text are sent as JSON. Refused raises `Refused`."""
        text = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
        done = subprocess.run(
            [self._binary, "call", action, *(f"{name}={value}" for name, value in text.items()), "-o", "json"],
            env={**_bare(os.environ), **self.environment},
            capture_output=True,
            text=True,
            timeout=CALL_SECONDS,
            check=False,
        )
        if done.returncode == 0:
            return json.loads(done.stdout)
        try:
            error = json.loads(done.stdout)["error"]
        except (ValueError, KeyError):
            raise RuntimeError(f"{action} ended with {done.returncode}: {done.stderr or done.stdout}") from None
        raise Refused(error)

    def log(self):
        """What the server has written to stderr."""
        return self._log.read_text()


def pytest_addoption(parser):
    parser.addini("ensemble_binary", "the program `ensemble`; else $ENSEMBLE_BINARY, else the one on the PATH", default="")


def pytest_configure(config):
    config.addinivalue_line(
        "markers",
        "ensemble(*faults, seed=None, clock='manual'): how the emulator of the fixture `ensemble` is started",
    )


@pytest.fixture
def ensemble(request, monkeypatch):
    """An emulator of this test's own; its variables are set, so that clients find it by themselves."""
    mark = request.node.get_closest_marker("ensemble")
    arguments, options = (mark.args, dict(mark.kwargs)) if mark else ((), {})
    clock, seed = options.pop("clock", "manual"), options.pop("seed", None)
    if options:
        raise pytest.UsageError(f"the mark `ensemble` knows seed and clock, not {', '.join(options)}")
    flags = ["--clock", clock]
    if seed is not None:
        flags += ["--seed", str(seed)]
    for fault in arguments:
        flags += ["--fault", fault]
    with tempfile.TemporaryDirectory(prefix="pytest-ensemble-") as directory:
        log = pathlib.Path(directory) / "server.log"
        process = _spawn(_binary(request.config), flags, log)
        try:
            emulator = _ready(process, _binary(request.config), log)
            for name, value in emulator.environment.items():
                monkeypatch.setenv(name, value)
            yield emulator
        finally:
            _stop(process)


def _binary(config):
    found = config.getini("ensemble_binary") or os.environ.get("ENSEMBLE_BINARY") or shutil.which("ensemble")
    if not found:
        raise pytest.UsageError("there is no `ensemble` on the PATH; name it by ENSEMBLE_BINARY or the setting ensemble_binary")
    return found


def _bare(environment):
    """Without what would make the server another one than the test asks for."""
    foreign = ("ENSEMBLE_", "ALIBABA_CLOUD_")
    return {name: value for name, value in environment.items() if not name.startswith(foreign)}


def _spawn(binary, flags, log):
    with log.open("w") as stderr:
        return subprocess.Popen(
            [binary, "serve", "--engine", "simulated", "--ephemeral", "--listen", "127.0.0.1:0", *flags],
            env={**_bare(os.environ), "ENSEMBLE_CONFIG": os.devnull},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )


def _ready(process, binary, log):
    text, deadline = b"", time.monotonic() + START_SECONDS
    while text.count(b"\n") <= EXPORTS:
        readable, _, _ = select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))
        piece = os.read(process.stdout.fileno(), 65536) if readable else b""
        if not piece:
            raise RuntimeError(f"the emulator is not ready; its log:\n{log.read_text()}")
        text += piece
    lines = [line.removeprefix("export ").split("=", 1) for line in text.decode().splitlines()[1:]]
    environment = {name: value.strip("'") for name, value in lines}
    return Emulator(
        url=environment["ENSEMBLE_ENDPOINT"],
        access_key_id=environment["ENSEMBLE_ACCESS_KEY_ID"],
        access_key_secret=environment["ENSEMBLE_ACCESS_KEY_SECRET"],
        environment=environment,
        _binary=binary,
        _log=log,
    )


def _stop(process):
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()

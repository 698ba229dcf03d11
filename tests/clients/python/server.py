"""A running `ensemble serve` for the client tests: started on a free port with a data directory of its own, ended by
its process id. Knows nothing of any SDK."""

import os
import pathlib
import select
import signal
import subprocess

TOP = pathlib.Path(__file__).resolve().parents[3]
BINARY = pathlib.Path(os.environ.get("ENSEMBLE_BINARY", TOP / "target/debug/ensemble"))
IMAGE = TOP / "target/hello-edge.oci"

ACCESS_KEY_ID = "LTAI5tEnsembleTestKey001"
ACCESS_KEY_SECRET = "EnsembleTestSecret0123456789Ab"

# DIR/credentials.toml of a server whose key may only read.
READER_CREDENTIALS = f"""\
access_key_id = "{ACCESS_KEY_ID}"
access_key_secret = "{ACCESS_KEY_SECRET}"
account_id = "1234567890123456"
grants = ["ens:Describe*", "ens:List*"]
"""

START_SECONDS = 30
STOP_SECONDS = 30


class Server:
    """`host`, `port` and `endpoint` (`host:port`) say where it listens."""

    def __init__(self, directory: pathlib.Path, engine: str):
        self._engine = engine
        self._data_dir = directory / "data"
        self._log = (directory / "stderr.log").open("w+")
        self._process = subprocess.Popen(
            [BINARY, "serve", "--data-dir", self._data_dir, "--listen", "127.0.0.1:0", "--engine", engine],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(directory),
                "ENSEMBLE_ACCESS_KEY_ID": ACCESS_KEY_ID,
                "ENSEMBLE_ACCESS_KEY_SECRET": ACCESS_KEY_SECRET,
            },
        )
        line = self._first_line()
        if not line.startswith("ready http://"):
            log = self.log()
            self.stop()
            raise RuntimeError(f"no ready line but {line!r}; its log:\n{log}")
        self.endpoint = line.removeprefix("ready http://").strip()
        self.host, port = self.endpoint.rsplit(":", 1)
        self.port = int(port)

    def _first_line(self) -> str:
        readable, _, _ = select.select([self._process.stdout], [], [], START_SECONDS)
        return self._process.stdout.readline() if readable else ""

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read()

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process.stdout.close()
        self._log.close()
        if self._engine == "embedded":
            # Containers outlive their server; a test leaves none behind.
            subprocess.run([BINARY, "--data-dir", self._data_dir, "dismantle", "--yes"], check=True)

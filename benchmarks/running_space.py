"""The Space as its own process, as a user or the Hub would start it."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATIENCE = 180  # seconds until a slow machine has started it


@dataclass(frozen=True)
class RunningSpace:
    """Address and process number of a running Space, and where it writes what it has to say."""

    url: str
    pid: int
    log: Path

    def resident_bytes(self) -> int:
        """Memory that the process holds, in bytes."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def forget_peak(self) -> None:
        """Let `peak_bytes` count from now on."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak_bytes(self) -> int:
        """Most memory that the process has held, in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def running_space(
    model: str | Path, log: Path, base: Mapping[str, str] = os.environ, **settings: object
) -> Iterator[RunningSpace]:
    """Run `python space/app.py`.

    Args:
        model: Folder or Hub id.
        log: File for its output.
        base: Environment variables of the process.
        **settings: Fields of its settings, and other environment variables in capitals.

    Yields:
        The running Space; it is stopped at the end as a container would stop it.
    """
    port = free_port()
    environment = {"HF_HUB_OFFLINE": "1", **base}
    environment |= {"HYBRIDSENT_MODEL": str(model), "GRADIO_SERVER_PORT": str(port)}
    for name, value in settings.items():
        environment[name if name.isupper() else f"HYBRIDSENT_{name.upper()}"] = str(value)
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "space/app.py"],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for(url, process, log)
            yield RunningSpace(url, process.pid, log)
        finally:
            process.terminate()
            process.wait(timeout=60)


def _wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    start = time.monotonic()
    while time.monotonic() - start < PATIENCE:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url):  # noqa: S310 (this machine)
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise RuntimeError(f"The Space did not start:\n{log.read_text()}")

"""Run code in a Python that has every dependency but none of this project's packages."""

import subprocess
import sys
import sysconfig
import textwrap

PREAMBLE = f"""
import sys
sys.path.append({sysconfig.get_paths()["purelib"]!r})
for name in ("modeling_hybridsent", "hybridsent", "datasets_scripts"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise AssertionError(f"{{name}} is importable, so this would prove nothing")
"""


def run_isolated(code, folder, **environment):
    """Run `code` with -I -S: no editable install, no user folder, no working folder on the path."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", PREAMBLE + textwrap.dedent(code)],
        cwd=folder,
        env={
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(folder / "hf"),
            "OMP_NUM_THREADS": "1",
            "PATH": "",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def run_with_and_without_network(code, folder, hub):
    """Run `code` with the Hub of this machine, then offline; yield each result, once it succeeded."""
    online = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": hub.token, "HF_HUB_DISABLE_XET": "1"}
    for offline in ("0", "1"):
        before = len(hub.requests)
        result = run_isolated(code, folder, **online, HF_HUB_OFFLINE=offline)
        assert result.returncode == 0, result.stderr
        assert (len(hub.requests) == before) is (offline == "1")
        yield result

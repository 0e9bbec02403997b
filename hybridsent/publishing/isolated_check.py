"""Load a folder as a user without our packages would: in another process, offline."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hybridsent.publishing.hosted_files import EXAMPLE
from hybridsent.publishing.published_files import PublishError

# The finder makes absolute imports of our packages fail although they are installed.
CODE = """
import json
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"modeling_hybridsent", "hybridsent"} and path is None:
            raise ModuleNotFoundError(f"published code must not import {name}", name=name)

sys.meta_path.insert(0, Absent())
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoProcessor
folder, example, trusted = sys.argv[1], sys.argv[2], {"trust_remote_code": True}
sys.path.insert(0, folder)
sys.dont_write_bytecode = True
AutoConfig.from_pretrained(folder, **trusted)
processor = AutoProcessor.from_pretrained(folder, **trusted)
for auto in (AutoModel, AutoModelForSequenceClassification):
    auto.from_pretrained(folder, **trusted)
from handler import EndpointHandler
request = {"inputs": {"text": example}, "parameters": {"top_k": None}}
print(json.dumps(EndpointHandler(folder)(request)))
"""


def check_loads_isolated(folder: Path) -> list[dict[str, Any]]:
    """Load config, processor, both Auto models, handler and pipeline in a separate process.

    Args:
        folder: Folder that is to be published.

    Returns:
        The answer of the model to `EXAMPLE`: label and score, best first.

    Raises:
        PublishError: It does not load; the message ends with the last lines of that process.
    """
    with tempfile.TemporaryDirectory() as home:
        names = ("PATH", "LD_LIBRARY_PATH", "OMP_NUM_THREADS")
        kept = {name: os.environ[name] for name in names if name in os.environ}
        environment = {**kept, "HF_HOME": home, "HF_HUB_OFFLINE": "1"}
        result = subprocess.run(  # noqa: S603 (our own code, by this very Python)
            [sys.executable, "-I", "-c", CODE, str(folder), EXAMPLE],
            cwd=home,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    if result.returncode:
        last = "\n".join(result.stderr.strip().splitlines()[-3:])
        raise PublishError(f"Not published: {folder} does not load without hybridsent:\n{last}")
    scores: list[dict[str, Any]] = json.loads(result.stdout.strip().splitlines()[-1])
    return scores


def describe_answer(scores: list[dict[str, Any]]) -> str:
    """Return a line with the result of `check_loads_isolated`."""
    return f"Loads without hybridsent; {EXAMPLE!r}: {scores[0]['label']} {scores[0]['score']:.2f}"

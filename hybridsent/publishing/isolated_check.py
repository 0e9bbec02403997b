"""Load a folder the way a stranger would: another process, no network, none of our packages."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from hybridsent.publishing.published_files import PublishError

# The finder makes an absolute import of ours fail even where the package is installed.
CODE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"modeling_hybridsent", "hybridsent"} and path is None:
            raise ModuleNotFoundError(f"published code must not import {name}", name=name)

sys.meta_path.insert(0, Absent())
from transformers import (
    AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoProcessor, pipeline
)
folder, trusted = sys.argv[1], {"trust_remote_code": True}
AutoConfig.from_pretrained(folder, **trusted)
processor = AutoProcessor.from_pretrained(folder, **trusted)
for auto in (AutoModel, AutoModelForSequenceClassification):
    auto.from_pretrained(folder, **trusted)
answer = pipeline("image-text-sentiment", model=folder, **trusted)({"text": "what a lovely day"})
print(f"Loads by itself; says of 'what a lovely day': {answer['label']} {answer['score']:.2f}")
"""


def check_loads_isolated(folder: Path) -> str:
    """Load config, processor, both Auto models and the pipeline in a process of their own.

    Args:
        folder: What is to be published.

    Returns:
        A line that says what the model answered.

    Raises:
        PublishError: It does not load; the message ends with the other process's last words.
    """
    with tempfile.TemporaryDirectory() as home:
        kept = {
            name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ
        }
        environment = {**kept, "HF_HOME": home, "HF_HUB_OFFLINE": "1"}
        result = subprocess.run(  # noqa: S603 (our own code, by this very Python)
            [sys.executable, "-I", "-c", CODE, str(folder)],
            cwd=home,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    if result.returncode:
        last = "\n".join(result.stderr.strip().splitlines()[-3:])
        raise PublishError(f"{folder} does not load by itself, and is not published:\n{last}")
    return result.stdout.strip().splitlines()[-1]

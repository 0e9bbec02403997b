"""Load a folder as a user without our packages would: in another process, offline."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from hybridsent.publishing.published_files import PublishError

# The finder makes absolute imports of our packages fail although they are installed.
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
print(f"Loads without hybridsent; 'what a lovely day': {answer['label']} {answer['score']:.2f}")
"""


def check_loads_isolated(folder: Path) -> str:
    """Load config, processor, both Auto models and the pipeline in a separate process.

    Args:
        folder: Folder that is to be published.

    Returns:
        A line with the answer of the model.

    Raises:
        PublishError: It does not load; the message ends with the last lines of that process.
    """
    with tempfile.TemporaryDirectory() as home:
        names = ("PATH", "LD_LIBRARY_PATH", "OMP_NUM_THREADS")
        kept = {name: os.environ[name] for name in names if name in os.environ}
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
        raise PublishError(f"Not published: {folder} does not load without hybridsent:\n{last}")
    return result.stdout.strip().splitlines()[-1]

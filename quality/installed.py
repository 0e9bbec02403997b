"""Install a wheel where nothing else is, and use it from an empty folder.

python -m quality.installed dist

Makes a virtual environment, installs the only wheel of the folder, and then, with Python told to look
nowhere else: imports every module, looks for the templates and lists that are no code, and prepares a
made-up set of posts. What a wheel lacks that a checkout has is an error here and not at a user's. Then
lists all that was installed with it in `sbom.cdx.json`, beside the wheel.
"""

import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

SMOKE = """
import pathlib, pkgutil, sys
from importlib import import_module
from importlib.metadata import version

# A command, and what needs the extras ray and audit.
OTHERS = ("datasets_scripts.__main__", "hybridsent.scoring.on_ray")
OTHERS += ("datasets_scripts.audit", "datasets_scripts.similar")
for name in ("modeling_hybridsent", "datasets_scripts", "hybridsent"):
    package = import_module(name)
    assert pathlib.Path(package.__file__).is_relative_to(sys.prefix), package.__file__
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if module.name not in OTHERS:
            import_module(module.name)

from datasets_scripts import prepare
from datasets_scripts.published.protocols import read_ids
from hybridsent.bundled.synthetic import write_posts
from hybridsent.evaluation import report_page
from hybridsent.publishing import model_card

assert len(read_ids("clmlf")["train"]) == 3611
assert model_card.TEMPLATE.is_file() and report_page.TEMPLATE.is_file()
write_posts(pathlib.Path("posts"), sizes={"train": 12, "validation": 6, "test": 6})
prepare("posts", "posts", "prepared")
print("hybridsent", version("hybridsent"), "works where it is installed")
"""


def main(folder: str) -> None:
    """Install the wheel of a folder and run the smoke check."""
    (wheel,) = Path(folder).resolve().glob("*.whl")
    with TemporaryDirectory() as place:
        environment, empty = Path(place, "environment"), Path(place, "empty")
        empty.mkdir()
        venv.create(environment, with_pip=True)
        python = str(environment / "bin" / "python")
        for command in (
            ["-m", "pip", "install", "--quiet", f"{wheel}[quickstart]"],
            ["-I", "-c", SMOKE],
        ):
            subprocess.run([python, *command], cwd=empty, check=True)  # noqa: S603 # all ours
        listing = ["environment", "--output-reproducible", "--output-file"]
        command = [sys.executable, "-m", "cyclonedx_py", *listing, f"{wheel.parent}/sbom.cdx.json"]
        subprocess.run([*command, python], check=True)  # noqa: S603 # all of it stands above


if __name__ == "__main__":
    main(*sys.argv[1:])

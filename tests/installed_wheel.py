"""Install a wheel where nothing else is, and use it from an empty folder.

python tests/installed_wheel.py dist

Makes a virtual environment, installs the only wheel of the folder, and types the commands that a
newcomer types. What a wheel lacks that a checkout has is an error here and not at a user's. Then lists
all that was installed with it in `sbom.cdx.json`, beside the wheel.
"""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

# What needs other extras than quickstart.
OTHERS = ("hybridsent.scoring.on_ray", "hybridsent.evaluation.sentiment_metric")
OTHERS += ("datasets_scripts.audit", "datasets_scripts.similar")
OTHERS += ("hybridsent.space", "hybridsent.training.search", "hybridsent.__main__")
SMOKE = f"""
import pathlib, pkgutil, sys
from importlib import import_module

import hybridsent
assert "torch" not in sys.modules
for name in ("modeling_hybridsent", "datasets_scripts", "hybridsent"):
    package = import_module(name)
    assert pathlib.Path(package.__file__).is_relative_to(sys.prefix), package.__file__
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if not module.name.startswith({OTHERS}):
            import_module(module.name)
print("hybridsent", hybridsent.__version__, "works where it is installed")
"""
COMMANDS = """
hybridsent --help
hybridsent train quickstart --max_steps 2 --max_train_posts 32 --per_device_train_batch_size 8
hybridsent predict --model outputs/quickstart --input outputs/synthetic-posts/test.csv --output answers
hybridsent prepare posts --data_dir outputs/synthetic-posts --output_dir prepared
hybridsent card outputs/quickstart
hybridsent publish --model outputs/quickstart --repo_id USER/NAME --dry_run
"""


SCRIPT = Path(__file__).parents[1] / "run_train.py"
SHORT = ("--max_steps", "2", "--max_train_posts", "32", "--per_device_train_batch_size", "8")


def run_script(wheel: Path, folder: Path) -> None:
    """Run the training script alone, as `uv run` and `hf jobs uv run` do: its head names the wheel."""
    shutil.copy(SCRIPT, folder)
    uv = str(Path(sys.executable).with_name("uv"))
    variables = os.environ | {"UV_FIND_LINKS": str(wheel.parent), "UV_CACHE_DIR": f"{folder}/cache"}
    command = [uv, "run", "--python", sys.executable, SCRIPT.name, "quickstart", *SHORT]
    print(f"$ {' '.join(command)}", flush=True)
    subprocess.run(command, cwd=folder, env=variables, check=True)


def main(folder: str) -> None:
    """Install the wheel of a folder, import all of it, and run the commands."""
    (wheel,) = Path(folder).resolve().glob("*.whl")
    with TemporaryDirectory() as place:
        environment, empty = Path(place, "environment"), Path(place, "empty")
        empty.mkdir()
        venv.create(environment, with_pip=True)
        python = str(environment / "bin" / "python")
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", f"{wheel}[quickstart]"], check=True
        )
        subprocess.run([python, "-I", "-c", SMOKE], cwd=empty, check=True)
        for line in COMMANDS.strip().splitlines():
            print(f"$ {line}", flush=True)
            program, *words = line.split()
            subprocess.run([str(environment / "bin" / program), *words], cwd=empty, check=True)
        listing = ["environment", "--output-reproducible", "--output-file"]
        command = [sys.executable, "-m", "cyclonedx_py", *listing, f"{wheel.parent}/sbom.cdx.json"]
        subprocess.run([*command, python], check=True)
        shutil.rmtree(environment)  # some gigabytes, as much as the next
        run_script(wheel, empty)


if __name__ == "__main__":
    main(*sys.argv[1:])

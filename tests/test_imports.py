"""Imports point one way, without circles; folders and commands stay small."""

import ast
import sys
from graphlib import TopologicalSorter

import pytest
from documented_commands import ROOT, run
from tiny_runs import write_recipe

PACKAGES = ("modeling_hybridsent", "datasets_scripts", "hybridsent")
BASE = {"hybridsent.support", "hybridsent.bundled", "datasets_scripts", "modeling_hybridsent"}
MAY_IMPORT = {
    "modeling_hybridsent": set(),
    "hybridsent.support": set(),
    "hybridsent.bundled": {"hybridsent.support", "modeling_hybridsent"},
    "datasets_scripts": {"hybridsent.support", "modeling_hybridsent"},
    "hybridsent.training": BASE,
    "hybridsent.evaluation": BASE | {"hybridsent.training"},
    "hybridsent.regression": BASE | {"hybridsent.training", "hybridsent.evaluation"},
    "hybridsent.publishing": BASE | {"hybridsent.training", "hybridsent.evaluation"},
    "hybridsent.scoring": BASE,
    "hybridsent.exporting": BASE | {"hybridsent.scoring"},
}
MOST_FILES = 15
MOST_LOADED = 65
LIST_MODULES = """import atexit, runpy, sys
atexit.register(lambda: print(*sys.modules))
runpy.run_path("run_train.py", run_name="__main__")"""


def module_of(file):
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(file): file for name in PACKAGES for file in (ROOT / name).rglob("*.py")}


def imports_of(file):
    """Absolute names of all modules that a file imports, in functions too; names come with theirs."""
    package = file.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*start, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def ours(name):
    """The file of ours that an imported name belongs to, as a module; None for a library's."""
    while name and name not in FILES:
        name = name.rpartition(".")[0]
    return name or None


GRAPH = {module: {ours(name) for name in imports_of(file)} - {None, module}
         for module, file in FILES.items()}  # fmt: skip


def folder_of(module):
    """The folder of a module: the part of the package that has a rule."""
    return next((name for name in MAY_IMPORT if f"{module}.".startswith(f"{name}.")), module)


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_those_below_it_only(folder):
    wrong = {
        (module, name)
        for module, names in GRAPH.items()
        if folder_of(module) == folder
        for name in names
        if folder_of(name) not in {folder, *MAY_IMPORT[folder]}
    }
    assert not wrong


def test_no_file_imports_itself_through_others():
    TopologicalSorter(GRAPH).prepare()


def test_packages_import_no_page_no_benchmark_and_nobody_imports_tests():
    tests = {path.stem for path in (ROOT / "tests").iterdir()} | {"tests"}
    folders = [*PACKAGES, "space", "benchmarks"]
    others = [*ROOT.glob("*.py"), *(f for name in folders for f in (ROOT / name).rglob("*.py"))]
    for file in others:
        roots = {name.partition(".")[0] for name in imports_of(file)}
        assert not roots & (tests - {"benchmarks", "space", *PACKAGES}), file
        if module_of(file) in FILES:
            assert not roots & {"space", "hybridsent_space", "benchmarks"}, file


@pytest.mark.parametrize("folder", sorted({file.parent for file in FILES.values()}),
                         ids=lambda folder: str(folder.relative_to(ROOT)))  # fmt: skip
def test_no_folder_is_crowded(folder):
    assert len(list(folder.glob("*.py"))) <= MOST_FILES


def test_a_training_of_own_posts_loads_few_files_and_not_the_library_evaluate(tmp_path):
    recipe = write_recipe(tmp_path)
    options = ["--output_dir", tmp_path, "--max_steps", 1]
    result = run([sys.executable, "-c", LIST_MODULES, recipe, *options])
    assert result.returncode == 0, result.stderr
    loaded = set(result.stdout.splitlines()[-1].split())
    assert "hybridsent.training.trainer" in loaded
    assert "evaluate" not in loaded
    assert len(loaded & {*FILES}) <= MOST_LOADED, sorted(loaded & {*FILES})

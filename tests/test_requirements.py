"""The page asks for the floors of the package, and no major version is installed untried."""

from importlib.metadata import requires

from documented_commands import ROOT
from packaging.requirements import Requirement

# Libraries whose next major version has broken every user before.
BOUNDED = ("accelerate", "datasets", "gradio", "huggingface-hub", "numpy", "timm", "torch")
BOUNDED = (*BOUNDED, "transformers")
OURS = [r for r in map(Requirement, requires("hybridsent")) if r.name != "hybridsent"]


def floor_of(requirement):
    (floor,) = [part.version for part in requirement.specifier if part.operator == ">="]
    return floor


def test_every_requirement_has_one_floor():
    assert len(OURS) > 30
    assert len({(r.name, floor_of(r)) for r in OURS}) == len({r.name for r in OURS})


def test_a_major_version_that_nobody_has_tried_is_not_installed():
    bounded = [r for r in OURS if r.name in BOUNDED]
    assert {r.name for r in bounded} == set(BOUNDED)
    for requirement in bounded:
        following = int(floor_of(requirement).split(".")[0]) + 1
        assert f"{following}.0" not in requirement.specifier, requirement.name


def test_the_space_asks_for_the_same_floors():
    lines = (ROOT / "space" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    floors = {r.name: floor_of(r) for r in OURS}
    asked = [Requirement(line.split("#")[0]) for line in lines if line.strip(" ").strip("#")]
    for requirement in asked:
        assert floor_of(requirement) == floors[requirement.name], requirement.name

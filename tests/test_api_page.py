"""The API page lists every public name, and each of them and of their public members is documented."""

import pkgutil
import re
from importlib import import_module

import griffe
import pytest
from documented_commands import ROOT

PACKAGES = ("datasets_scripts", "hybridsent", "modeling_hybridsent")
LISTED = re.findall(r"^::: ([\w.]+)$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
PUBLIC = [f"{name}.{public}" for name in PACKAGES for public in import_module(name).__all__
          if not public.startswith("__")]  # fmt: skip


def undocumented(found):
    """The names of a class, function or value, and of its public members, that have no docstring."""
    if not found.docstring:
        yield found.path
    for name, member in found.members.items() if found.is_class else ():
        if not name.startswith("_") and (member.is_function or member.is_class):
            yield from undocumented(member)


def test_every_public_name_is_listed_once():
    listed = [pkgutil.resolve_name(path) for path in LISTED]
    public = {path: pkgutil.resolve_name(path) for path in PUBLIC}
    assert len(public) > 25
    assert [path for path, value in public.items() if not any(x is value for x in listed)] == []
    assert [path for path, x in zip(LISTED, listed, strict=True)
            if not any(x is value for value in public.values())] == []  # fmt: skip
    assert len(listed) == len({id(x) for x in listed})


@pytest.fixture(scope="module")
def packages():
    loader = griffe.GriffeLoader(search_paths=[ROOT])
    for name in PACKAGES:
        loader.load(name)
    loader.resolve_aliases()
    return loader.modules_collection


@pytest.mark.parametrize("path", LISTED)
def test_what_is_listed_has_docstrings(packages, path):
    assert list(undocumented(packages[path])) == []

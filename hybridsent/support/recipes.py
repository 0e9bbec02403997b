"""Recipes: YAML files of settings, or one error that names the file."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

REMEDY = "Write one `setting: value` per line, as the recipes in hybridsent/recipes/ do."


class _Loader(yaml.SafeLoader):
    """Load YAML without aliases, a few lines of which can expand beyond any memory."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise ValueError(f"line {mark.line + 1} has an alias (*name)")
        return super().compose_node(parent, index)


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the package."""
    folder = files("hybridsent") / "recipes"
    return sorted(Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".yaml"))


def find_recipe(name: str) -> str:
    """Return the path of a recipe given by path or, for those of the package, by name.

    Raises:
        FileNotFoundError: No such recipe.
    """
    if name in recipe_names():
        return str(files("hybridsent") / "recipes" / f"{name}.yaml")
    if not Path(name).is_file():
        known = ", ".join(recipe_names())
        raise FileNotFoundError(f"No recipe {name!r}: give a YAML file, or one of {known}.")
    return name


def load_recipe(file: str) -> dict[str, Any]:
    """Read a recipe.

    Args:
        file: YAML file in UTF-8, or the name of a recipe of the package.

    Returns:
        Settings by name.

    Raises:
        FileNotFoundError: No such recipe.
        ValueError: The file is not a mapping of settings; the message names it.
    """
    try:
        with open(find_recipe(file), encoding="utf-8") as stream:
            recipe = yaml.load(stream, _Loader)  # noqa: S506 (a SafeLoader)
    except FileNotFoundError:
        raise
    except Exception as error:  # PyYAML's own, and whatever a bad number or date breaks in it
        what = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{file} is not a recipe: {what:.300}. {REMEDY}") from error
    names = list(recipe) if isinstance(recipe, dict) else [None]
    if wrong := [name for name in names if not isinstance(name, str) or not name.isidentifier()]:
        raise ValueError(f"{file} is not a recipe: {wrong[0]!r:.60} is not a setting. {REMEDY}")
    return recipe


def json_object(option: str, given: Any) -> dict[str, Any]:
    """Return the mapping that is the value of an option.

    Args:
        option: Name of the option, for the message.
        given: A mapping, its JSON, or None for an empty one.

    Raises:
        ValueError: The value is something else.
    """
    content = given
    if isinstance(given, str):
        try:
            content = json.loads(given)
        except (ValueError, RecursionError):
            content = given  # refused below
    if content is not None and not isinstance(content, dict):
        raise ValueError(
            f'{option} {given!r:.60}: give a JSON object, such as {{"name": "value"}}.'
        )
    return dict(content or {})

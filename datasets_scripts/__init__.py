"""Published files and one's own posts, read into one table of posts; see docs/datasets.md."""

from importlib import import_module
from typing import Any

_HOMES = {
    "EMOTIONS": "datasets_scripts.published.labels",
    "READERS": "datasets_scripts.loading",
    "SENTIMENTS": "datasets_scripts.post",
    "PostsError": "hybridsent.support.errors",
    "Table": "datasets_scripts.table",
    "joint_label": "datasets_scripts.published.labels",
    "load_table": "datasets_scripts.loading",
    "majority_label": "datasets_scripts.published.labels",
    "prepare": "datasets_scripts.preparing",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a name on first use: who scores posts needs no reader of published sets."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found

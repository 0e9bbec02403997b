"""Published files and one's own posts, read into one table of posts; see docs/datasets.md."""

from datasets_scripts.loading import READERS, load_table
from datasets_scripts.prepare import prepare
from datasets_scripts.published.labels import EMOTIONS, SENTIMENTS, joint_label, majority_label
from datasets_scripts.table import Table
from hybridsent.support.errors import PostsError

__all__ = [
    "EMOTIONS",
    "READERS",
    "SENTIMENTS",
    "PostsError",
    "Table",
    "joint_label",
    "load_table",
    "majority_label",
    "prepare",
]

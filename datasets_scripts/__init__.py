"""Published files and one's own posts, read into one table of posts."""

from datasets_scripts.errors import PostsError
from datasets_scripts.mvsa_single import joint_label, load_mvsa_single
from datasets_scripts.posts import load_posts
from datasets_scripts.registry import LOADERS, load_table
from datasets_scripts.table import SENTIMENTS, Table

__all__ = [
    "LOADERS",
    "SENTIMENTS",
    "PostsError",
    "Table",
    "joint_label",
    "load_mvsa_single",
    "load_posts",
    "load_table",
]

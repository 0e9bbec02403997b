"""Push a prepared folder to the Hub as a dataset, private unless told otherwise."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import LocalTokenNotFoundError
from huggingface_hub.utils import httpx

from hybridsent.support.errors import PostsError


def push_dataset(folder: str | Path, repo_id: str, private: bool = True) -> str:
    """Upload a prepared folder in one commit.

    The published sets may not be passed on, so the repository is private unless told otherwise; an
    existing one keeps its visibility.

    Args:
        folder: Result of `prepare`.
        repo_id: USER/NAME.
        private: Whether a new repository is private.

    Returns:
        Address of the commit.

    Raises:
        PostsError: The Hub refused, or cannot be reached; the prepared folder is still there.
    """
    api = HfApi()
    # The client reports a lost upload as RuntimeError, a bad name as ValueError.
    failures = (httpx.HTTPError, LocalTokenNotFoundError, OSError, RuntimeError, ValueError)
    try:
        api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id,
            repo_type="dataset",
            folder_path=str(folder),
            commit_message="Add prepared posts",
        )
    except failures as error:
        remedy = (
            "Log in with `hf auth login`, see that the name is USER/NAME and yours, and push again."
        )
        raise PostsError.about(
            repo_id, f"{folder} could not be pushed", [str(error)], remedy
        ) from error
    return str(commit.commit_url)

"""Publish a trained model: weights, code, processor, card and results, in one commit."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HFValidationError, LocalTokenNotFoundError
from huggingface_hub.utils import httpx, validate_repo_id

from hybridsent.publishing.hosted_files import write_hosted_files, write_widget
from hybridsent.publishing.isolated_check import check_loads_isolated, describe_answer
from hybridsent.publishing.published_files import (
    PublishError,
    fill_in_repo,
    is_ours,
    link_of,
    link_problems,
    problems_of,
    published_files,
    refuse,
    write_eval_results,
)


class Target(NamedTuple):
    """Where to publish a model.

    Attributes:
        repo_id: USER/NAME.
        private: Whether a new repository is private; None leaves it to the Hub.
        revision: Branch; created if it is absent. None is main.
        token: Token of the user; None takes that of the login.
    """

    repo_id: str
    private: bool | None = None
    revision: str | None = None
    token: str | None = None


def _refused(target: Target, error: Exception) -> PublishError:
    """Build the error for a failure of the Hub or of the network."""
    return PublishError(
        f"{target.repo_id}: the Hub could not be reached, or refused: {error}\n"
        "Nothing was published in part. Check that you are logged in (hf auth login) and that the name "
        "is USER/NAME and yours, then publish again: "
        "hybridsent publish --model DIR --repo_id USER/NAME."
    )


# The client reports a lost upload as RuntimeError, a bad name as ValueError.
_FAILURES = (httpx.HTTPError, LocalTokenNotFoundError, OSError, RuntimeError, ValueError)


def prepare_target(target: Target) -> None:
    """Create the repository and branch, if they are absent, and check that we may write there.

    Args:
        target: Where to publish.

    Raises:
        PublishError: The Hub refuses or cannot be reached.
    """
    api = HfApi(token=target.token)
    try:
        api.whoami()
        api.create_repo(target.repo_id, private=target.private, exist_ok=True)
        if target.revision:
            api.create_branch(target.repo_id, branch=target.revision, exist_ok=True)
    except _FAILURES as error:
        raise _refused(target, error) from error


def stage(model: str | Path, repo_id: str, folder: Path) -> tuple[list[str], list[str]]:
    """Fill a folder with exactly the files that are published, and check them.

    Args:
        model: Folder of the model.
        repo_id: USER/NAME, which card and notebook load.
        folder: Empty folder to fill.

    Returns:
        Names of the files, relative to both folders; and the problems that forbid to publish them.

    Raises:
        PublishError: No such folder, or the Hub allows no such name.
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise PublishError(f"--repo_id {repo_id!r}: give USER/NAME. {error}") from error
    source = Path(model)
    named = published_files(source)
    links = link_problems(source, named)
    for name in (name for name in named if name not in links):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".safetensors"):
            (folder / name).symlink_to((source / name).resolve())  # large, and not changed
        else:
            shutil.copyfile(source / name, folder / name)
    problems = list(links.values())
    try:
        fill_in_repo(folder, repo_id)
        write_hosted_files(folder, repo_id)
        write_eval_results(folder)
    except PublishError as error:
        problems.append(str(error))
    names = published_files(folder)
    missing = {f"{name} is missing" for name in links}  # said already
    problems += [x for x in problems_of(folder, names, source) if x not in missing]
    return sorted({*names, *links}), problems


def publish(model: str | Path, target: Target) -> str:
    """Publish a trained model.

    Args:
        model: Folder that a training run wrote.
        target: Where to publish.

    Returns:
        URL of the commit.

    Raises:
        PublishError: The folder cannot be published, does not load without our packages, or the Hub
            refuses; the repository is then unchanged.
    """
    with tempfile.TemporaryDirectory() as staged:
        names, problems = stage(model, target.repo_id, Path(staged))
        refuse(Path(model), problems)
        write_widget(Path(staged), check_loads_isolated(Path(staged)))
        return send(Path(staged), names, target)


def send(folder: Path, names: Sequence[str], target: Target) -> str:
    """Send staged files to the Hub in one commit.

    Args:
        folder: Folder with the files.
        names: Names of the files, relative to it.
        target: Where to publish.

    Returns:
        URL of the commit.

    Raises:
        PublishError: The Hub refuses or cannot be reached; the repository is then unchanged.
    """
    prepare_target(target)
    try:
        return _commit(folder, names, target)
    except _FAILURES as error:
        raise _refused(target, error) from error


def _commit(folder: Path, names: Sequence[str], target: Target) -> str:
    """Replace our files in the branch in one commit."""
    api = HfApi(token=target.token)
    branch = target.revision or "main"
    head = api.repo_info(target.repo_id, revision=branch).sha
    published = api.list_repo_files(target.repo_id, revision=branch)
    stale = [name for name in published if is_ours(name) and name not in names]
    operations = [
        *(CommitOperationAdd(name, str(folder / name)) for name in names),
        *(CommitOperationDelete(name) for name in stale),
    ]
    commit = api.create_commit(
        target.repo_id,
        operations,
        commit_message="Publish model, processor, code and card",
        revision=branch,
        parent_commit=head,
    )
    return str(commit.commit_url)


def describe(source: Path, folder: Path, names: Sequence[str]) -> str:
    """Return the files with their sizes, and with the target of a link, as a table.

    Args:
        source: The model's folder.
        folder: The staged files.
        names: Names of the files; a refused link is not staged.
    """
    rows = []
    for name in names:
        size = (folder / name).stat().st_size if (folder / name).exists() else 0
        target = link_of(source, name)
        rows.append((size, name if target is None else f"{name} -> {target}"))
    lines = [f"{size:>14,}  {name}" for size, name in rows]
    return "\n".join([*lines, f"{sum(size for size, _ in rows):>14,}  bytes in {len(names)} files"])


def try_out(model: str, repo_id: str) -> None:
    """Do everything except sending, and print what would be sent."""
    with tempfile.TemporaryDirectory() as staged:
        names, problems = stage(model, repo_id, Path(staged))
        print(describe(Path(model), Path(staged), names))
        refuse(Path(model), problems)
        print(describe_answer(check_loads_isolated(Path(staged))))
        print(f"Would be published as {repo_id}; nothing was sent.")

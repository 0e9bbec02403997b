"""What tells one model from another: the commit of the Hub, or the content of the files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from transformers import AutoConfig

from hybridsent.scoring.exported import require_backend, update_digest
from hybridsent.support.errors import PostsError

# Weights, configuration, tokenizer, processor; not the card and not what tells of the training. An
# exported folder's export.json has the digests of its graph.
ENDINGS = (".json", ".safetensors", ".txt", ".model")
BESIDE = ("metrics.json",)


def identify_model(
    model: str, revision: str | None = None, backend: str = "torch"
) -> tuple[str, str | None]:
    """Find out which model a name means.

    Args:
        model: Folder or Hub id.
        revision: Of the Hub id.
        backend: What shall run it.

    Returns:
        What is equal only for equal models, and the revision to load, None for a folder.

    Raises:
        PostsError: There is no such model, it is none of hybridsent, or another backend runs it.
    """
    try:
        config = AutoConfig.from_pretrained(model, revision=revision, trust_remote_code=True)
    except Exception as error:  # of the library, of the network, of remote code
        remedy = "Give the folder of a trained model, or its id on the Hub."
        raise PostsError.about(model, "no model", [str(error)], remedy) from error
    if config.model_type != "hybridsent":
        problem = f"a model of type {config.model_type!r}, not hybridsent"
        raise PostsError.about(model, problem, remedy="Give one that run_train.py has made.")
    require_backend(model, backend)
    if not Path(model).is_dir():
        return f"{model}@{config._commit_hash}", config._commit_hash
    digest = hashlib.sha256()
    for file in sorted(Path(model).iterdir()):
        if file.suffix in ENDINGS and file.name not in BESIDE:
            digest.update(f"{file.name} {file.stat().st_size} ".encode())
            update_digest(digest, file)
    return f"sha256:{digest.hexdigest()}", None

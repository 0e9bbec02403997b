"""MVSA-Single (Niu et al., MMM 2016, doi 10.1007/978-3-319-27674-8_2) read from its published files."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

from datasets_scripts.grouping import divide_grouped
from datasets_scripts.post import CONTRADICTORY, SENTIMENTS, Reading
from datasets_scripts.published.label_file import (
    check_published_counts,
    read_id_files,
    read_label_file,
)
from datasets_scripts.published.labels import joint_label
from datasets_scripts.published.protocols import (
    check_ids,
    divide_by_ids,
    held_back,
    protocol_ids,
    wanted_posts,
)

HEADER = "ID\ttext,image"
LABELS = "({0}),({0})".format("|".join(SENTIMENTS))
LAYOUT = (
    f"The folder must hold labelResultAll.txt (header {HEADER!r}, rows '1\\tneutral,positive') "
    "and data/ with ID.txt and ID.jpg. MVSA is not redistributed here: ask its publisher, "
    "MCRLab of the University of Ottawa, for MVSA-Single."
)
PUBLISHED = {"positive": 2683, "neutral": 470, "negative": 1358, CONTRADICTORY: 358}


def read_mvsa_single(
    data_dir: str | Path, protocol: str = "clmlf", seed: int = 0, text_encoding: str = "gb18030"
) -> Reading:
    """Read MVSA-Single.

    Args:
        data_dir: Folder with `labelResultAll.txt` and `data/`.
        protocol: Name of the division, as in `protocol_ids`.
        seed: Of the protocol "grouped"; the others are fixed.
        text_encoding: The published bytes are GB18030, not UTF-8; "legacy" reads them wrong as older
            work did.

    Returns:
        The posts; those positive against negative keep their unimodal labels only. `facts` names
        under `held_back` the parts of the CLMLF split that this copy leaves out as a whole.

    Raises:
        PostsError: Files are missing, or the label file does not fit the division.
        ValueError: Unknown protocol or encoding.
    """
    file = Path(data_dir).resolve() / "labelResultAll.txt"
    labels = read_label_file(file, HEADER, LABELS, "ID<TAB>text,image", LAYOUT)
    pairs = {row.id: (row.labels[0], row.labels[1]) for row in labels.rows}
    classes = Counter(joint_label(*pair) or CONTRADICTORY for pair in pairs.values())
    check_published_counts(labels, dict(classes), PUBLISHED, file)
    ids, absent = protocol_ids(protocol, pairs), held_back(pairs)
    excused = {i for part in absent.values() for i in part} | {r.id for r in labels.rejected}
    if ids is not None:
        check_ids(protocol, ids, pairs, excused, file, LAYOUT)
        wanted = wanted_posts(protocol, ids, classes[CONTRADICTORY])
    found = read_id_files(file.parent / "data", labels.rows, text_encoding, LAYOUT)
    for post in found.posts.values():
        post.text_label, post.image_label = pairs[post.id]
        post.label = joint_label(*pairs[post.id])
    return Reading(
        source=file.parent,
        protocol=protocol if ids is not None else f"{protocol}, seed {seed}",
        label_names=SENTIMENTS,
        unimodal=True,
        rows=labels.count,
        divide=partial(divide_grouped, seed=seed)
        if ids is None
        else partial(divide_by_ids, ids=ids, wanted=wanted),
        posts=list(found.posts.values()),
        rejected=labels.rejected + found.rejected,
        notes=found.notes,
        facts={"held_back": list(absent)},
    )

"""The card of a prepared folder, from its counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import NamedTuple

from datasets_scripts.summary import as_text
from datasets_scripts.table import UNIMODAL_LABELS, Table, label_names_of_feature

TEMPLATE = Path(__file__).parent / "dataset_card.md"


class Origin(NamedTuple):
    """Where a set comes from and what its publisher says about its use."""

    title: str
    source: str
    licence: str


_MVSA = (
    "Niu, Zhu, Pang, El Saddik, MMM 2016, doi 10.1007/978-3-319-27674-8_2; published by MCRLab, "
    "University of Ottawa."
)
_NONE_STATED = (
    "None is stated where the set is published. The posts belong to those who wrote them: keep this "
    "copy private and do not pass it on."
)
ORIGINS = {
    "mvsa_single": Origin("MVSA-Single", _MVSA, _NONE_STATED),
    "mvsa_multiple": Origin("MVSA-Multiple", _MVSA, _NONE_STATED),
    "tumemo": Origin(
        "TumEmo", "Yang et al., IEEE TMM 23 (2021), doi 10.1109/TMM.2020.3035277.", _NONE_STATED
    ),
    "posts": Origin("Posts", "own files.", "That of the posts' owner."),
}


def dataset_card(name: str, table: Table, files: Mapping[str, Sequence[str]]) -> str:
    """Fill the card of a prepared set.

    Args:
        name: Of the set.
        table: The table.
        files: Names of the Parquet files of each split; none for an empty one.

    Returns:
        Markdown whose header tells `load_dataset` where the splits are.
    """
    origin = ORIGINS[name]
    columns = table.posts["train"].features
    data_files = []
    for split, names in files.items():
        if names:
            data_files += [f"  - split: {split}", "    path:", *(f"    - data/{n}" for n in names)]
    unimodal = ", ".join(f"`{column}`" for column in UNIMODAL_LABELS if column in columns)
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=origin.title,
        source=origin.source,
        licence=origin.licence,
        license_name="not-stated" if origin.licence == _NONE_STATED else "own",
        data_files="\n".join(data_files),
        unimodal_columns=f", {unimodal}" if unimodal else "",
        labels=", ".join(label_names_of_feature(columns["label"])),
        protocol=table.counts["protocol"],
        counts=as_text(table.counts),
    )

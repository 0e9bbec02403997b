"""The methods that are compared, by name: what builds each, and which settings of the model differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

from benchmarks.accuracy.methods.baselines import UNIMODAL_LABEL_WEIGHT
from benchmarks.accuracy.methods.clmlf import CLMLF
from benchmarks.accuracy.methods.late_fusion import LateFusion
from benchmarks.accuracy.methods.mmbt import MMBT
from benchmarks.accuracy.methods.mvan import MVAN
from benchmarks.accuracy.methods.pdf import PDF
from benchmarks.accuracy.methods.plain import Concatenation, ImageOnly, TextOnly
from benchmarks.accuracy.methods.qmf import QMF
from modeling_hybridsent import HybridSentForSequenceClassification

OURS = "hybridsent"
JOINT_LABELS_ALONE = "without_own_labels"  # ours, taught as plain baselines are
BOTH = ("text", "image")
# Another network behind the encoders: one classifier and its cross-entropy.
_BASELINE = MappingProxyType(
    {
        "use_unimodal_branches": False,
        "num_cross_modal_layers": 0,
        "recurrence": "none",
        "decision_fusion": "fusion_only",
        "fusion_loss_weight": 0,
        "own_label_loss_weight": 0,
    }
)
# Two classifiers: each one's cross-entropy counts as much as that of the decision.
_LATE = MappingProxyType(
    {
        **_BASELINE,
        "use_unimodal_branches": True,
        "decision_fusion": "uniform",
        "text_loss_weight": 1,
        "image_loss_weight": 1,
    }
)


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        name: How the command line and the files call it.
        title: How the tables call it.
        model_class: What is trained; None for those without a network.
        model_config: Fields of `HybridSentConfig` that differ from the recipe's.
        reads: The modalities that it looks at.
        features: What a logistic regression reads; empty for other methods.
        requires: A package that it needs beside those of hybridsent.
        own_labels: Whether a baseline is also taught the unimodal labels, with the recipe's weight.
        contradictory: Whether it also learns from the posts that have unimodal labels alone.
        soft_labels: Whether a network is taught soft labels, where the recipe has them.
        control: The method that it differs from in one factor, or that is taught the same labels.
    """

    name: str
    title: str
    model_class: type[HybridSentForSequenceClassification] | None = None
    model_config: Mapping[str, Any] = field(default_factory=dict)
    reads: tuple[str, ...] = BOTH
    features: tuple[str, ...] = ()
    requires: str | None = None
    own_labels: bool = False
    contradictory: bool = False
    soft_labels: bool = True
    control: str = JOINT_LABELS_ALONE

    def config_over(self, recipe: Mapping[str, Any]) -> dict[str, Any]:
        """Return the recipe's fields of the configuration, with this method's own over them."""
        config = {**recipe, **self.model_config}
        if self.own_labels:
            late = config["use_unimodal_branches"]
            name = "own_label_loss_weight" if late else UNIMODAL_LABEL_WEIGHT
            config[name] = recipe.get("own_label_loss_weight", 0)
        return config

    def is_available(self) -> bool:
        """Check whether the package that it requires is installed."""
        return self.requires is None or find_spec(self.requires) is not None


def _regression(name: str, title: str, *features: str, **more: Any) -> Method:
    return Method(name, title, features=features, **more)


def _ours(
    name: str,
    title: str,
    control: str = OURS,
    contradictory: bool = True,
    soft_labels: bool = True,
    **model_config: Any,
) -> Method:
    taught = {"contradictory": contradictory, "soft_labels": soft_labels}
    model = HybridSentForSequenceClassification
    return Method(name, title, model, model_config, control=control, **taught)


_REGRESSIONS = (
    _regression(
        "sentence_transformers",
        "sentence-transformers' text vector, logistic regression",
        "text_sentence",
        reads=("text",),
        requires="sentence_transformers",
    ),
    _regression(
        "plain_logistic_regression",
        "logistic regression, means of last layers",
        "text_raw_last",
        "image_last",
    ),
    _regression(
        "logistic_regression",
        "logistic regression, several layers",
        *("text_middle", "text_last", "text_surface", "image_last", "image_stages", "text_ngrams"),
    ),
    _regression(
        "logistic_regression_lexicon",
        "logistic regression, several layers, lexicon",
        *("text_middle", "text_last", "text_surface", "text_lexicon"),
        *("image_last", "image_stages", "text_ngrams"),
        requires="vaderSentiment",
    ),
)
_NETWORKS = (
    Method("text_only", "text only", TextOnly, _BASELINE, ("text",)),
    Method("image_only", "image only", ImageOnly, _BASELINE, ("image",)),
    Method("concatenation", "concatenation", Concatenation, _BASELINE),
    Method("late_fusion", "late fusion, mean", LateFusion, _LATE),
    Method("qmf", "QMF", QMF, _LATE),
    Method("pdf", "PDF", PDF, _LATE),
    Method("mmbt", "MMBT", MMBT, _BASELINE),
    Method("clmlf", "CLMLF", CLMLF, _BASELINE),
    Method("mvan", "MVAN", MVAN, _BASELINE),
)
_WITH_OWN_LABELS = tuple(
    replace(
        method,
        name=f"{method.name}_own_labels",
        title=f"{method.title}, unimodal labels",
        own_labels=True,
        contradictory=True,
        control=OURS,
    )
    for method in _NETWORKS
)
# Each differs from its control in one factor. What cannot be removed by itself is removed from a
# control that lacks what depends on it: nothing but the unimodal branches learns unimodal labels.
_ABLATIONS = (
    _ours("without_local", "without local features (S1)", use_local_features=False),
    _ours(
        "without_unimodal",
        "without unimodal branches (S2)",
        "joint_labels_fusion_only",
        contradictory=False,
        own_label_loss_weight=0,
        decision_fusion="fusion_only",
        use_unimodal_branches=False,
    ),
    _ours(
        "without_cross_modal",
        "without cross-modal layers (S3)",
        num_cross_modal_layers=0,
    ),
    _ours("without_recurrence", "without recurrence (S4)", recurrence="none"),
    _ours("bigru", "BiGRU for BiRAU (S4)", recurrence="bigru"),
    _ours("uniform_weights", "uniform decision weights (S5)", decision_fusion="uniform"),
    _ours("global_weights", "one vector of decision weights (S5)", decision_fusion="global"),
    _ours("fusion_only", "fusion branch decides (S5)", decision_fusion="fusion_only"),
    _ours("without_soft_labels", "without soft labels", soft_labels=False),
    _ours("without_contradictory", "without contradictory posts", contradictory=False),
    _ours(
        JOINT_LABELS_ALONE,
        "without unimodal labels",
        "without_contradictory",
        contradictory=False,
        own_label_loss_weight=0,
    ),
    _ours(
        "joint_labels_fusion_only",
        "without unimodal labels, fusion branch decides",
        JOINT_LABELS_ALONE,
        contradictory=False,
        own_label_loss_weight=0,
        decision_fusion="fusion_only",
    ),
)
ABLATIONS = tuple(method.name for method in _ABLATIONS)
METHODS = {
    method.name: method
    for method in (
        Method("majority", "majority class", reads=()),
        *_REGRESSIONS,
        *_NETWORKS,
        *_WITH_OWN_LABELS,
        _ours(OURS, "hybridsent"),
        *_ABLATIONS,
    )
}


def methods_named(names: Sequence[str] | None) -> list[Method]:
    """Look methods up.

    Args:
        names: Their names; None for all whose packages are installed.

    Returns:
        The methods, in the order of the names.

    Raises:
        ValueError: No such method.
        ImportError: A named method needs a package that is not installed.
    """
    unknown = [name for name in names or () if name not in METHODS]
    if unknown:
        raise ValueError(f"No method {unknown[0]!r}; there are {', '.join(METHODS)}.")
    found = [METHODS[name] for name in dict.fromkeys(names or METHODS)]
    absent = [method for method in found if not method.is_available()]
    for method in absent:
        reason = f"{method.name} needs the package {method.requires}, which is not installed"
        if names:
            raise ImportError(f"{reason}. Install it, or leave the method out of --methods.")
        print(f"{reason}: skipped")
    return [method for method in found if method not in absent]

"""The methods that are compared, by name: what builds each, and which settings of the model differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from benchmarks.accuracy.clmlf import CLMLF
from benchmarks.accuracy.late_fusion import LateFusion
from benchmarks.accuracy.mmbt import MMBT
from benchmarks.accuracy.mvan import MVAN
from benchmarks.accuracy.pdf import PDF
from benchmarks.accuracy.plain import Concatenation, ImageOnly, TextOnly
from benchmarks.accuracy.qmf import QMF
from modeling_hybridsent import HybridSentForSequenceClassification

OURS = "hybridsent"
BOTH = ("text", "image")
# Another network behind the encoders: one classifier and its cross-entropy.
_BASELINE = MappingProxyType(
    {
        "use_local_features": True,
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
    """

    name: str
    title: str
    model_class: type[HybridSentForSequenceClassification] | None = None
    model_config: Mapping[str, Any] = field(default_factory=dict)
    reads: tuple[str, ...] = BOTH

    def config_over(self, recipe: Mapping[str, Any]) -> dict[str, Any]:
        """Return the recipe's fields of the configuration, with this method's own over them."""
        return {**recipe, **self.model_config}


def _ours(name: str, title: str, **model_config: Any) -> Method:
    return Method(name, title, HybridSentForSequenceClassification, model_config)


_METHODS = (
    Method("majority", "majority class", reads=()),
    Method("text_only", "text only", TextOnly, _BASELINE, ("text",)),
    Method("image_only", "image only", ImageOnly, _BASELINE, ("image",)),
    Method("logistic_regression", "logistic regression, frozen features"),
    Method("concatenation", "concatenation", Concatenation, _BASELINE),
    Method("late_fusion", "late fusion, mean", LateFusion, _LATE),
    Method("qmf", "QMF", QMF, _LATE),
    Method("pdf", "PDF", PDF, _LATE),
    Method("mmbt", "MMBT", MMBT, _BASELINE),
    Method("clmlf", "CLMLF", CLMLF, _BASELINE),
    Method("mvan", "MVAN", MVAN, _BASELINE),
    _ours(OURS, "hybridsent"),
    _ours("without_local", "without local features (S1)", use_local_features=False),
    _ours(
        "without_unimodal",
        "without unimodal branches (S2)",
        use_unimodal_branches=False,
        decision_fusion="fusion_only",
        own_label_loss_weight=0,
    ),
    _ours("without_cross_modal", "without cross-modal layers (S3)", num_cross_modal_layers=0),
    _ours("without_recurrence", "without recurrence (S4)", recurrence="none"),
    _ours("bigru", "BiGRU for BiRAU (S4)", recurrence="bigru"),
    _ours("uniform_weights", "uniform decision weights (S5)", decision_fusion="uniform"),
    _ours("global_weights", "one vector of decision weights (S5)", decision_fusion="global"),
    _ours("fusion_only", "fusion branch decides (S5)", decision_fusion="fusion_only"),
    _ours("without_own_labels", "without unimodal labels", own_label_loss_weight=0),
)
METHODS = {method.name: method for method in _METHODS}


def methods_named(names: Sequence[str] | None) -> list[Method]:
    """Look methods up.

    Args:
        names: Their names; None for all.

    Returns:
        The methods, in the order of the names.

    Raises:
        ValueError: No such method.
    """
    unknown = [name for name in names or () if name not in METHODS]
    if unknown:
        raise ValueError(f"No method {unknown[0]!r}; there are {', '.join(METHODS)}.")
    return [METHODS[name] for name in dict.fromkeys(names or METHODS)]

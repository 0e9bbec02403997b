"""Image-text sentiment with hybrid fusion: train, score, explain and publish.

The names below are imported when they are first used, so that `import hybridsent` loads no torch.
"""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hybridsent.bundled.encoders import resolve_encoder as bundled_encoder
    from hybridsent.bundled.models import bundled_model
    from hybridsent.scoring.predictor import Predictor
    from hybridsent.support.machine import keep_freed_memory
    from modeling_hybridsent import (
        HybridSentConfig,
        HybridSentForSequenceClassification,
        HybridSentModel,
        HybridSentPipeline,
        HybridSentProcessor,
    )

    __version__: str

__all__ = [
    "HybridSentConfig",
    "HybridSentForSequenceClassification",
    "HybridSentModel",
    "HybridSentPipeline",
    "HybridSentProcessor",
    "Predictor",
    "__version__",
    "bundled_encoder",
    "bundled_model",
    "keep_freed_memory",
]

_ELSEWHERE = {  # others of __all__ are in modeling_hybridsent under their name
    "Predictor": ("hybridsent.scoring.predictor", "Predictor"),
    "bundled_encoder": ("hybridsent.bundled.encoders", "resolve_encoder"),
    "bundled_model": ("hybridsent.bundled.models", "bundled_model"),
    "keep_freed_memory": ("hybridsent.support.machine", "keep_freed_memory"),
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return metadata.version("hybridsent")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, there = _ELSEWHERE.get(name, ("modeling_hybridsent", name))
    return globals().setdefault(name, getattr(import_module(module), there))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Score many posts with a trained model: constant memory, resumable, any number of processes."""

from hybridsent.scoring.predictor import Predictor

__all__ = ["Predictor"]

"""Score many posts with a trained model: constant memory, resumable, any number of processes."""

from scoring_hybridsent.predictor import Predictor

__all__ = ["Predictor"]

"""α and batch size -> what every law says of the learning rate, which to use, and what else the noise costs."""

from effbatch.prediction.answers import Accuracy, Anchor, LawPrediction, LawScore, Recommendation
from effbatch.prediction.assembly import Prediction, predict
from effbatch.prediction.noise_family import NOISE_KINDS

__all__ = ["NOISE_KINDS", "Accuracy", "Anchor", "LawPrediction", "LawScore", "Prediction", "Recommendation", "predict"]

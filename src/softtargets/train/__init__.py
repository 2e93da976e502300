"""From a specification to a trained run: the loop, checkpoints, the scheduler, and predictions of a run."""

from softtargets.train.classifier import Classifier, NetworkClassifier
from softtargets.train.load import LoadedRun, load_run
from softtargets.train.predict import Predicted, PredictOptions, predict_run
from softtargets.train.run import TrainedRun, train_run
from softtargets.train.translate import RunTranslation, TranslateOptions, translate_run

__all__ = [
    "Classifier",
    "LoadedRun",
    "NetworkClassifier",
    "PredictOptions",
    "Predicted",
    "RunTranslation",
    "TrainedRun",
    "TranslateOptions",
    "load_run",
    "predict_run",
    "train_run",
    "translate_run",
]

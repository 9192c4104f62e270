"""Summaries for ``FileWriter.add_summary``, by the names that programs import."""

from rushlight.utils.tensorboard.summaries import hyperparameters as hparams, scalar, text

__all__ = ["hparams", "scalar", "text"]

"""Helpers for training: clipping gradients, parameters as one vector, sequences of different lengths."""

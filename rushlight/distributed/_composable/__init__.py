"""The older place of functions for training on several devices."""

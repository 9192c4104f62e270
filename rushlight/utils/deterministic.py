"""A setting that programs turn off to save the time it would take in PyTorch."""

fill_uninitialized_memory = True  # without effect: ``empty`` leaves memory as it is

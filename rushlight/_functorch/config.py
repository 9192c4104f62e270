"""What PyTorch's programs set for captured gradients, with its defaults. Nothing here has an
effect.

Example:
    >>> import rushlight as torch
    >>> import rushlight._functorch.config
    >>> torch._functorch.config.donated_buffer = True  # the default
"""

activation_memory_budget = 1.0
donated_buffer = True
enable_autograd_cache = True
functionalize_rng_ops = False
treat_parameters_as_free_to_save = True

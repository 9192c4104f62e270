"""Settings of ``compile`` under PyTorch's name: what is read and set here is an attribute of
`rushlight.config.compile_options`.

Example:
    >>> import rushlight as torch
    >>> import rushlight._dynamo.config
    >>> torch._dynamo.config.suppress_errors = True
    >>> torch._dynamo.config.cache_size_limit  # the default
    8
"""

import sys

from rushlight.compiler.config import Settings

sys.modules[__name__].__class__ = Settings

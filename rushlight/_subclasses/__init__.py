"""Tensors without data: there are none. The names are for libraries that ask whether a tensor is
one.
"""

from rushlight._subclasses.fake_tensor import (
    FakeTensor as FakeTensor,
    FakeTensorMode as FakeTensorMode,
)

__all__ = ["FakeTensor", "FakeTensorMode"]

"""PyTorch announces that CSR is in beta, that it checks nothing, and the like."""

import warnings

import pytest


@pytest.fixture(autouse=True)
def quiet():
    """Without PyTorch's announcements."""
    with warnings.catch_warnings():
        said = r"Sparse (CSR|CSC|invariant)|index_reduce|torch\.sparse\.SparseTensor"
        warnings.filterwarnings("ignore", said, UserWarning)
        yield

"""Twin runs: the same program on rushlight and on torch, compared."""

import numpy as np
import pytest
import torch

import rushlight


def plain(value):
    """A result as plain data: tensors become arrays, classes and modules their names."""
    if isinstance(value, (torch.Tensor, rushlight.Tensor)):
        return np.array(value.detach().numpy())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (torch.nn.Module, rushlight.nn.Module)):
        return repr(value)
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, (torch.dtype, rushlight.dtype)):
        return str(value)
    return value


def compare(ours, theirs, rtol, atol, where="result"):
    """Equal structure, close numbers."""
    if isinstance(theirs, np.ndarray):
        assert isinstance(ours, np.ndarray), f"{where}: {ours!r} is no tensor"
        assert ours.shape == theirs.shape, f"{where}: shape {ours.shape}, torch has {theirs.shape}"
        assert ours.dtype == theirs.dtype, f"{where}: dtype {ours.dtype}, torch has {theirs.dtype}"
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol, err_msg=where)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs), f"{where}: keys {list(ours)}, torch has {list(theirs)}"
        for key in theirs:
            compare(ours[key], theirs[key], rtol, atol, f"{where}[{key!r}]")
    elif isinstance(theirs, list):
        assert isinstance(ours, list), f"{where}: {ours!r}, torch has {theirs!r}"
        assert len(ours) == len(theirs), f"{where}: {ours!r}, torch has {theirs!r}"
        for i, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            compare(mine, other, rtol, atol, f"{where}[{i}]")
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=rtol, abs=atol), where
    else:
        assert ours == theirs, f"{where}: {ours!r}, torch has {theirs!r}"


@pytest.fixture
def twin():
    """``twin(program)`` runs ``program(torch, nn)`` with both packages and compares what it
    returns.

    An exception counts as a result: its type must be torch's, or a subclass of that.
    """

    def run(program, rtol=1e-5, atol=1e-6):
        results = []
        for framework in (torch, rushlight):
            framework.manual_seed(3)
            try:
                results.append(plain(program(framework, framework.nn)))
            except Exception as error:
                results.append(error)
        theirs, ours = results
        if isinstance(theirs, Exception) or isinstance(ours, Exception):
            if not isinstance(theirs, Exception):
                raise ours
            assert isinstance(ours, type(theirs)), f"{ours!r}, torch raises {theirs!r}"
            return ours
        compare(ours, theirs, rtol, atol)
        return ours

    return run

"""Models of a folder that has a ``hubconf.py``, in both libraries."""

import pytest
import torch

import rushlight

pytestmark = pytest.mark.parametrize("lib", [torch, rushlight])

CONF = '''
dependencies = {dependencies}

def net(width=1):
    """A net."""
    return ["net", width]

def _private():
    pass
'''


@pytest.fixture
def folder(tmp_path):
    def write(dependencies):
        (tmp_path / "hubconf.py").write_text(CONF.format(dependencies=dependencies))
        return str(tmp_path)

    return write


def test_a_model_of_a_folder(lib, folder):
    assert lib.hub.load(folder(["numpy", "os"]), "net", source="local", width=3) == ["net", 3]


def test_packages_that_are_missing_are_named(lib, folder):
    with pytest.raises(RuntimeError, match="no_such_package"):
        lib.hub.load(folder(["numpy", "no_such_package"]), "net", source="local")


def test_what_is_not_there(lib, folder):
    with pytest.raises(RuntimeError, match="Cannot find callable nets"):
        lib.hub.load(folder([]), "nets", source="local")
    with pytest.raises(ValueError, match="Unknown source"):
        lib.hub.load(folder([]), "net", source="elsewhere")

"""Files and models from elsewhere: weights by address, models by the ``hubconf.py`` of a folder.

Fetching whole repositories is not supported: code that runs on your machine is better cloned, read
and named with ``source="local"``.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib.util
import os
import re
import sys
import urllib.request
from types import ModuleType
from typing import Any
from urllib.parse import urlparse

from rushlight.errors import NotSupportedError
from rushlight.serialization import load as _load

__all__ = [
    "download_url_to_file", "get_dir", "help", "list", "load", "load_state_dict_from_url",
    "set_dir",
]  # fmt: skip

HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")  # how a file's name says how its SHA-256 begins

_folder: builtins.list[str] = []


def get_dir() -> str:
    """The folder that downloads go to: ``set_dir``'s, else ``$TORCH_HOME/hub``, else
    ``~/.cache/torch/hub``.
    """
    if _folder:
        return _folder[0]
    return os.path.join(_get_torch_home(), "hub")


def _get_torch_home() -> str:
    """The folder above ``hub``: ``$TORCH_HOME``, else ``~/.cache/torch``."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return os.path.expanduser(os.environ.get("TORCH_HOME", os.path.join(cache, "torch")))


def __getattr__(name: str) -> Any:
    """``tqdm`` is the progress bar of the package of that name, where it is installed."""
    if name == "tqdm" and importlib.util.find_spec("tqdm"):
        return importlib.import_module("tqdm").tqdm
    raise AttributeError(f"module 'rushlight.hub' has no attribute {name!r}")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Set the folder that downloads go to."""
    _folder[:] = [os.path.expanduser(d)]


def download_url_to_file(
    url: str, dst: str, hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Fetch ``url`` into the file ``dst``; a download that fails leaves no file.

    Args:
        hash_prefix: how the SHA-256 of the content must begin; RuntimeError otherwise.
        progress: accepted.
    """
    dst = os.path.expanduser(dst)
    part, digest = f"{dst}.{os.getpid()}.part", hashlib.sha256()
    request = urllib.request.Request(url, headers={"User-Agent": "rushlight.hub"})
    try:
        with urllib.request.urlopen(request) as source, open(part, "wb") as file:
            while block := source.read(1 << 17):
                file.write(block)
                digest.update(block)
        found = digest.hexdigest()
        if hash_prefix is not None and found[: len(hash_prefix)] != hash_prefix:
            raise RuntimeError(
                f'invalid hash value (expected "{hash_prefix}", got "{found}"): the file at {url} '
                "is not the one that was asked for."
            )
        os.replace(part, dst)
    finally:
        if os.path.exists(part):
            os.remove(part)


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = False,
) -> dict[str, Any]:
    """The contents of a file saved with ``torch.save``, fetched once into ``model_dir``.

    Args:
        check_hash: names like ``net-0123abcd.pth`` say how the file's SHA-256 begins; check it.
    """
    model_dir = os.path.join(get_dir(), "checkpoints") if model_dir is None else model_dir
    os.makedirs(model_dir, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    path = os.path.join(model_dir, name)
    if not os.path.exists(path):
        match = HASH_REGEX.search(name) if check_hash else None
        download_url_to_file(url, path, match[1] if match else None, progress)
    result: dict[str, Any] = _load(path, map_location=map_location, weights_only=weights_only)
    return result


def _hubconf(repo_or_dir: str, source: str) -> ModuleType:
    """The module ``hubconf.py`` of a folder."""
    if source not in ("github", "local"):
        raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
    if source != "local":
        raise NotSupportedError(
            f"hub: cannot fetch {repo_or_dir!r}; clone the repository and pass its folder with "
            "source='local'."
        )
    folder = os.path.abspath(os.path.expanduser(repo_or_dir))
    spec = importlib.util.spec_from_file_location("hubconf", os.path.join(folder, "hubconf.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    return module


def _expect_dependencies(module: ModuleType) -> None:
    """Refuse a ``hubconf.py`` that names packages that are not installed."""
    names = getattr(module, "dependencies", ())
    missing = [name for name in names if not _installed(name)]
    if missing:
        raise RuntimeError(
            f"Missing dependencies: {', '.join(missing)}; install what the hubconf names."
        )


def _installed(name: str) -> bool:
    return name in sys.modules or importlib.util.find_spec(name) is not None


def _entry(module: ModuleType, model: str) -> Any:
    function = getattr(module, model, None)
    if not callable(function):
        raise RuntimeError(f"Cannot find callable {model} in hubconf")
    return function


def list(github: str, source: str = "github", **kwargs: Any) -> builtins.list[str]:
    """Names of the models that a folder's ``hubconf.py`` offers."""
    module = _hubconf(github, source)
    return [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]


def help(github: str, model: str, source: str = "github", **kwargs: Any) -> str | None:
    """The docstring of a model's function."""
    doc: str | None = _entry(_hubconf(github, source), model).__doc__
    return doc


def load(
    repo_or_dir: str,
    model: str,
    *args: Any,
    source: str = "github",
    trust_repo: Any = None,
    force_reload: bool = False,
    verbose: bool = True,
    skip_validation: bool = False,
    **kwargs: Any,
) -> Any:
    """The result of the function ``model(*args, **kwargs)`` in a folder's ``hubconf.py``.

    Args:
        repo_or_dir: the folder.
        source: "local".
        trust_repo, force_reload, verbose, skip_validation: accepted.

    Raises:
        RuntimeError: there is no such function, or a package of ``dependencies`` is missing.
    """
    module = _hubconf(repo_or_dir, source)
    _expect_dependencies(module)
    return _entry(module, model)(*args, **kwargs)

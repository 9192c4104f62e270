"""Fetching files: checksums, a progress bar, atomically; and unpacking archives."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

CHUNK = 1 << 16  # bytes
PATIENCE = 30.0  # seconds without an answer


def calculate_md5(fpath: str | Path, chunk_size: int = 1 << 20) -> str:
    """The MD5 checksum of a file, as 32 hexadecimal digits. Finds accidents, not attacks."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(fpath, "rb") as file:
        while chunk := file.read(chunk_size):
            digest.update(chunk)
    return digest.hexdigest()


def check_md5(fpath: str | Path, md5: str) -> bool:
    return calculate_md5(fpath) == md5


def check_integrity(fpath: str | Path, md5: str | None = None) -> bool:
    """Whether the file exists and, if ``md5`` is given, has this checksum."""
    return os.path.isfile(fpath) and (md5 is None or check_md5(fpath, md5))


def download_url(
    url: str,
    root: str | Path,
    filename: str | Path | None = None,
    md5: str | None = None,
    max_redirect_hops: int = 3,
) -> None:
    """Fetches a file unless it is there already, showing progress on stderr.

    The file appears under its name only when it is complete and its checksum right.

    Args:
        url: where from.
        root: folder, made if need be.
        filename: default: the last part of the address.
        md5: the checksum it must have; None accepts any.
        max_redirect_hops: accepted.
    """
    fetch([url], Path(root).expanduser(), str(filename or os.path.basename(url)), md5)


def fetch(urls: Iterable[str], root: Path, filename: str, md5: str | None = None) -> Path:
    """``root / filename``, fetched from the first of ``urls`` that works unless it is there
    already.
    """
    path = root / filename
    if check_integrity(path, md5):
        return path
    root.mkdir(parents=True, exist_ok=True)
    problems = []
    for url in urls:
        try:
            _fetch_one(url, path, md5)
            return path
        except (urllib.error.URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            problems.append(f"  {url}: {reason}")
            if isinstance(error, urllib.error.HTTPError):
                error.close()
    raise RuntimeError(
        f"could not download {filename}:\n" + "\n".join(problems) + "\n"
        f"Is this machine online? A copy of the file put at {path} is used without downloading."
    )


def _fetch_one(url: str, path: Path, md5: str | None) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "rushlight"})
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
    try:
        with (
            os.fdopen(handle, "wb") as file,
            urllib.request.urlopen(request, timeout=PATIENCE) as answer,
        ):
            _copy_with_progress(answer, file, path.name)
        if md5 is not None and (found := calculate_md5(temporary)) != md5:
            raise OSError(f"checksum of what arrived is {found}, expected {md5}")
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def _copy_with_progress(answer: Any, file: Any, name: str) -> None:
    total = int(answer.headers.get("Content-Length") or 0)
    shown = sys.stderr is not None and sys.stderr.isatty()
    done, percent = 0, -1
    while chunk := answer.read(CHUNK):
        file.write(chunk)
        done += len(chunk)
        if shown and total and percent != (percent := 100 * done // total):
            bar = "#" * (percent * 30 // 100)
            sys.stderr.write(f"\r{name}  [{bar:30}] {percent:3d} % of {total / 1e6:.1f} MB")
            sys.stderr.flush()
    if shown:
        sys.stderr.write("\n" if total else f"{name}  {done / 1e6:.1f} MB\n")
    if total and done != total:
        raise OSError(f"the connection ended after {done} of {total} bytes")


def _extract(tar: tarfile.TarFile, target: Path) -> None:
    """Unpack a tar archive, or refuse it."""
    if hasattr(tarfile, "data_filter"):
        tar.extractall(target, filter="data")
        return
    inside = target.resolve()  # Python before 3.11.4 has no filters
    for member in tar.getmembers():
        lands = (inside / member.name).resolve()
        if not lands.is_relative_to(inside) or not (member.isfile() or member.isdir()):
            raise tarfile.ExtractError(
                f"{tar.name}: {member.name!r} would land outside of {inside}, or is no plain file"
            )
    tar.extractall(target)


def extract_archive(
    from_path: str | Path, to_path: str | Path | None = None, remove_finished: bool = False
) -> str:
    """Unpacks .tar(.gz/.bz2/.xz), .zip or .gz; members that would land outside are refused."""
    source = Path(from_path)
    target = Path(to_path) if to_path is not None else source.parent
    if source.suffix == ".zip":
        with zipfile.ZipFile(source) as archive:
            archive.extractall(target)
    elif tarfile.is_tarfile(source):
        with tarfile.open(source) as tar:
            _extract(tar, target)
    elif source.suffix == ".gz":
        if target.is_dir():
            target = target / source.stem
        with gzip.open(source) as packed, open(target, "wb") as file:
            shutil.copyfileobj(packed, file)
    else:
        raise RuntimeError(
            f"{source.name}: cannot tell what kind of archive this is from its name."
        )
    if remove_finished:
        source.unlink()
    return str(target)


def download_and_extract_archive(
    url: str,
    download_root: str | Path,
    extract_root: str | Path | None = None,
    filename: str | Path | None = None,
    md5: str | None = None,
    remove_finished: bool = False,
) -> None:
    """``download_url``, then ``extract_archive`` into ``extract_root`` (default: the same
    folder).
    """
    root = Path(download_root).expanduser()
    archive = fetch([url], root, str(filename or os.path.basename(url)), md5)
    extract_archive(archive, extract_root or root, remove_finished)


def verify_str_arg(
    value: Any, arg: str | None = None, valid_values: Iterable[str] | None = None
) -> str:
    """``value`` if it is one of ``valid_values``; raises ValueError otherwise."""
    if not isinstance(value, str):
        raise ValueError(f"Expected type str for argument {arg}, but got type {type(value)}.")
    if valid_values is not None and value not in (valid := list(valid_values)):
        raise ValueError(f"Unknown value {value!r} for argument {arg}; valid are {valid}.")
    return value

"""Files that were cut short, changed, or never were ours: clear errors that name the file."""

import io
import pickle
import zipfile

import pytest
import torch

import rushlight as rl
from rushlight.serialization import load, save


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("damaged") / "whole.pt"
    save({"w": rl.arange(100.0), "b": rl.ones(3, dtype=rl.int64), "note": "text"}, path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def older():
    file = io.BytesIO()
    torch.save(
        {"w": torch.arange(100.0), "b": torch.ones(3)}, file, _use_new_zipfile_serialization=False
    )
    return file.getvalue()


def refused(path, **how):
    with pytest.raises((RuntimeError, pickle.UnpicklingError, EOFError)) as caught:
        load(path, **how)
    assert path.name in str(caught.value), caught.value
    return str(caught.value)


def test_truncated_at_any_length(whole, tmp_path):
    path = tmp_path / "cut.pt"
    for n in (*range(1, 80), *range(80, len(whole) - 80, 13), *range(len(whole) - 80, len(whole))):
        path.write_bytes(whole[:n])
        text = refused(path, weights_only=bool(n % 3), mmap=bool(n % 5 == 0 and n >= 4))
        if n >= 4:
            assert "damaged" in text and f"{n} bytes" in text


@pytest.mark.parametrize("weights_only", [True, False])
def test_truncated_in_the_older_format(older, tmp_path, weights_only):
    path = tmp_path / "cut.pt"
    for n in (*range(1, len(older) - 20, 7), *range(len(older) - 20, len(older))):
        path.write_bytes(older[:n])
        refused(path, weights_only=weights_only)


def test_empty_file(tmp_path):
    path = tmp_path / "none.pt"
    path.touch()
    with pytest.raises(EOFError, match=r"none\.pt is empty"):
        load(path)


def test_every_changed_byte_in_the_data_is_noticed(whole, tmp_path):
    path = tmp_path / "changed.pt"
    with zipfile.ZipFile(io.BytesIO(whole)) as z:
        headers = {e.filename: e.header_offset for e in z.infolist()}
    for record in ("whole/data/0", "whole/data.pkl"):
        start = whole.index(b"ZZZ", headers[record])
        start += len(whole[start:]) - len(whole[start:].lstrip(b"Z"))
        for i in range(start, start + 60, 7):
            changed = bytearray(whole)
            changed[i] ^= 0x10
            path.write_bytes(changed)
            assert "checksum" in refused(path)


def test_changed_bytes_anywhere(whole, tmp_path):
    """A file with a changed byte is refused or loads; the error is always one of ours."""
    path = tmp_path / "changed.pt"
    for i in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[i] ^= 0xFF
        path.write_bytes(changed)
        try:
            load(path)
        except (RuntimeError, pickle.UnpicklingError) as error:
            assert path.name in str(error)


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize(
    "content", [b"hello world", b"\x00" * 100, b"\x89PNG\r\n", b"PK\3\4junk", b"{}"]
)
def test_other_files(content, weights_only, tmp_path):
    path = tmp_path / "other.bin"
    path.write_bytes(content)
    refused(path, weights_only=weights_only)


def test_another_zip_file(tmp_path):
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("folder/readme.txt", "hello")
    assert "data.pkl" in refused(path)
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("readme.txt", "hello")
    assert "data.pkl" in refused(path)


def test_script(tmp_path):
    path = tmp_path / "script.pt"
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("script/data.pkl", b"\x80\x02N.")
        z.writestr("script/constants.pkl", b"\x80\x02).")
    assert "TorchScript" in refused(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt"):
        load(tmp_path / "nowhere.pt")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)

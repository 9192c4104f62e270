"""The zip archive that a file is: PyTorch's layout, byte for byte.

Records are stored uncompressed. Each local header is padded (field ``FB``) so that the record's
bytes start at a multiple of 64 and can be mapped into memory; sizes and checksum follow the bytes.
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from typing import Any, BinaryIO

import numpy as np

from rushlight.serialization.options import options

ALIGNMENT = 64
_LIMIT = 0xFFFFFFFF  # sizes and offsets from here on need the zip64 fields


def _flags(size: int) -> int:
    """Names in UTF-8; sizes after the bytes, if there are any."""
    return 0x0808 if size else 0x0800


class DamagedFileError(RuntimeError):
    """A file that is cut short or was changed after it was written."""


class Writer:
    """Writes an archive to ``file``; all records are in ``folder``."""

    def __init__(self, file: BinaryIO, folder: str) -> None:
        self.file, self.folder, self.position = file, folder, 0
        self.entries: list[tuple[bytes, int, int, int]] = []  # name, checksum, size, offset

    def _put(self, data: Any) -> None:
        self.file.write(data)
        self.position += len(data)

    def record(self, name: str, data: Any) -> None:
        """Add a record of bytes (bytes, or a flat memoryview of them)."""
        path, start, size = f"{self.folder}/{name}".encode(), self.position, len(data)
        extra = _zip64(size, start)
        unpadded = start + 30 + len(path) + len(extra) + 4
        padding = -unpadded % ALIGNMENT
        fields = (0, _flags(size), 0, 0, 0, 0, 0, 0, len(path), len(extra) + 4 + padding)
        self._put(b"PK\3\4" + struct.pack("<5H3I2H", *fields) + path)
        self._put(extra + b"FB" + struct.pack("<H", padding) + b"Z" * padding)
        self._put(data)
        checksum = zlib.crc32(data) if options.crc32 else 0
        if size:
            form = "<I2Q" if extra else "<3I"
            self._put(b"PK\7\10" + struct.pack(form, checksum, size, size))
        self.entries.append((path, checksum, size, start))

    def close(self) -> None:
        """Add the version, a fingerprint of the content, and the index; does not close the file."""
        self.record("version", b"3\n")
        names = zlib.crc32(b"".join(entry[0] for entry in self.entries))
        content = zlib.crc32(struct.pack(f"<{len(self.entries)}I", *(e[1] for e in self.entries)))
        self.record(".data/serialization_id", f"{names:020}{content:020}".encode())
        start = self.position
        for path, checksum, size, offset in self.entries:
            extra, short = _zip64(size, offset), min(size, _LIMIT)
            head = (0, 0, _flags(size), 0, 0, 0, checksum, short, short, len(path), len(extra))
            self._put(b"PK\1\2" + struct.pack("<6H3I2H", *head))
            self._put(struct.pack("<3H2I", 0, 0, 0, 0, min(offset, _LIMIT)) + path + extra)
        n, length, end = len(self.entries), self.position - start, self.position
        self._put(b"PK\6\6" + struct.pack("<Q2H2I4Q", 44, 0x031E, 45, 0, 0, n, n, length, start))
        self._put(b"PK\6\7" + struct.pack("<IQI", 0, end, 1))
        short_n = min(n, 0xFFFF)
        tail = (0, 0, short_n, short_n, min(length, _LIMIT), min(start, _LIMIT), 0)
        self._put(b"PK\5\6" + struct.pack("<4H2IH", *tail))


def _zip64(size: int, offset: int) -> bytes:
    """The field for what does not fit 32 bits; empty when all does."""
    numbers = [size, size] if size >= _LIMIT else []
    if offset >= _LIMIT:
        numbers.append(offset)
    return struct.pack(f"<2H{len(numbers)}Q", 1, 8 * len(numbers), *numbers) if numbers else b""


class Reader:
    """Reads the archive in ``file``, which error texts call ``name``."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.file, self.name = file, name
        self.length = file.seek(0, os.SEEK_END)
        try:
            self.zip = zipfile.ZipFile(file)
            entries = self.zip.infolist()
        except Exception as error:  # zipfile raises many types on damaged indexes
            raise self.damaged(f"its index, the last bytes, cannot be read ({error})") from error
        folders = [e.filename.partition("/")[0] for e in entries if "/" in e.filename]
        self.folder = folders[0] if folders else "archive"
        self.entries = {e.filename: e for e in entries}

    def damaged(self, what: str) -> DamagedFileError:
        return DamagedFileError(
            f"load: {self.name} is damaged: {what}. It has {self.length} bytes; it was probably "
            "cut short while it was written or copied. Save it, or fetch it, again."
        )

    def __contains__(self, record: str) -> bool:
        return f"{self.folder}/{record}" in self.entries

    def _entry(self, record: str) -> zipfile.ZipInfo:
        entry = self.entries.get(f"{self.folder}/{record}")
        if entry is None:
            raise self.damaged(f"the record {record!r} is missing")
        return entry

    def size(self, record: str) -> int:
        """Length of a record in bytes."""
        return self._entry(record).file_size

    def is_plain(self, record: str) -> bool:
        """Whether the record's bytes are in the file as they are."""
        entry = self._entry(record)
        return entry.compress_type == zipfile.ZIP_STORED and not entry.flag_bits & 1

    def offset(self, record: str) -> int:
        """Where in the file the bytes of a plain record start."""
        entry = self._entry(record)
        self.file.seek(max(0, entry.header_offset))
        head = self.file.read(30)
        if len(head) < 30 or head[:4] != b"PK\3\4":
            raise self.damaged(f"the record {record!r} has no header")
        name_length, extra_length = struct.unpack("<2H", head[26:])
        start: int = entry.header_offset + 30 + name_length + extra_length
        if entry.header_offset < 0 or start + entry.file_size > self.length:
            raise self.damaged(f"the record {record!r} reaches past the end")
        return start

    def read(self, record: str) -> bytes:
        """A record's bytes."""
        if self.is_plain(record):
            start = self.offset(record)
            self.file.seek(start)
            data = self.file.read(self.size(record))
            self._check(record, data)
            return data
        try:
            return self.zip.read(self._entry(record))
        except Exception as error:
            raise self.damaged(f"the record {record!r} cannot be unpacked ({error})") from error

    def read_into(self, record: str, target: np.ndarray[Any, Any]) -> None:
        """Fill ``target``, flat bytes of the record's size."""
        if not self.is_plain(record):
            target[:] = np.frombuffer(self.read(record), np.uint8)
            return
        self.file.seek(self.offset(record))
        if fill(self.file, target) < target.size:
            raise self.damaged(f"the record {record!r} reaches past the end")
        self._check(record, target)

    def forget_checksums(self, memory: Any) -> None:
        """Set all checksums to 0 in the index of the archive, mapped as ``memory``: its records
        will be written to.
        """
        at = self.zip.start_dir
        while memory[at : at + 4] == b"PK\1\2":
            memory[at + 16 : at + 20] = bytes(4)
            at += 46 + sum(struct.unpack("<3H", memory[at + 28 : at + 34]))

    def _check(self, record: str, data: Any) -> None:
        """Compare checksums; 0 stands for none."""
        expected = self._entry(record).CRC
        if expected and zlib.crc32(data) != expected:
            raise self.damaged(f"the checksum of the record {record!r} does not fit its bytes")


def fill(file: Any, target: np.ndarray[Any, Any]) -> int:
    """Read into ``target``, flat bytes, as far as the file goes; how many bytes there were."""
    done, view = 0, memoryview(target)
    read_into = getattr(file, "readinto", None)
    while done < target.size:
        if read_into is not None:
            n = read_into(view[done:])
        else:
            data = file.read(target.size - done)
            n = len(data)
            view[done : done + n] = data
        if not n:
            break
        done += n
    return done

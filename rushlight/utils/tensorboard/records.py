"""Event files: protocol buffers in records with checksums, as TensorBoard reads them.

Reference: protobuf.dev "Encoding"; TensorFlow's "TFRecord"; RFC 3720 appendix B.4 (CRC-32C).
"""

from __future__ import annotations

import functools
import os
import socket
import struct
import time
from typing import Any

import numpy as np

from rushlight.core.tensor import Tensor


def varint(n: int) -> bytes:
    """An integer in groups of seven bits; negative ones as 64-bit two's complement."""
    n &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number: int, value: Any, kind: str = "") -> bytes:
    """One field of a message: an int (or bool), text, bytes (also a nested message), or with
    ``kind`` "d" or "f" a double or a float.
    """
    if kind:
        width = 1 if kind == "d" else 5
        return varint(number << 3 | width) + struct.pack("<" + kind, value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else bytes(value)
    return varint(number << 3 | 2) + varint(len(data)) + data


def packed(number: int, values: Any, kind: str = "d") -> bytes:
    """A list of doubles or floats."""
    return field(number, np.asarray(values, "<f8" if kind == "d" else "<f4").tobytes())


@functools.cache
def crc_table() -> list[int]:
    """CRC-32C of every byte."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


def masked_crc(data: bytes) -> bytes:
    """The checksum of a record, rotated and shifted as the format asks."""
    table, crc = crc_table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(data: bytes) -> bytes:
    """Length, its checksum, data, its checksum."""
    length = struct.pack("<Q", len(data))
    return length + masked_crc(length) + data + masked_crc(data)


class FileWriter:
    """Appends events to a file of its own in a folder.

    Args:
        log_dir: the folder; made if needed.
        max_queue: accepted.
        flush_secs: seconds after which what was added is written out.
        filename_suffix: end of the file's name.
    """

    counter = 0

    def __init__(
        self, log_dir: Any, max_queue: int = 10, flush_secs: float = 120, filename_suffix: str = ""
    ) -> None:
        self.log_dir, self.flush_secs = str(log_dir), flush_secs
        os.makedirs(self.log_dir, exist_ok=True)
        FileWriter.counter += 1
        self.path = os.path.join(
            self.log_dir,
            f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
            f".{FileWriter.counter - 1}{filename_suffix}",
        )
        self.file: Any = open(self.path, "ab")  # noqa: SIM115 it stays open
        self.flushed = time.monotonic()
        self.add_event(field(3, "brain.Event:2"))
        self.flush()

    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    def add_event(self, event: bytes, step: Any = None, walltime: float | None = None) -> None:
        """Append an event, given without its time and step."""
        if self.file.closed:
            self.reopen()
        head = field(1, time.time() if walltime is None else walltime, "d")
        if step is not None:
            head += field(2, step_number(step))
        self.file.write(record(head + event))
        if time.monotonic() - self.flushed > self.flush_secs:
            self.flush()

    def add_summary(
        self, summary: bytes, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Append an encoded Summary."""
        self.add_event(field(5, summary), global_step, walltime)

    def add_graph(self, graph: bytes, walltime: float | None = None) -> None:
        """Append an encoded GraphDef."""
        self.add_event(field(4, graph), None, walltime)

    def flush(self) -> None:
        """Hand what was added to the system."""
        if not self.file.closed:
            self.file.flush()
        self.flushed = time.monotonic()

    def close(self) -> None:
        """Flush and close; adding opens the file again."""
        self.file.close()

    def reopen(self) -> None:
        """Open the file again, to append."""
        self.file = open(self.path, "ab")  # noqa: SIM115 it stays open


def step_number(step: Any) -> int:
    """A step given as a number or a tensor with one element."""
    return int(step.item() if isinstance(step, Tensor) else step)

"""Objects between processes: pickled, with the memory of arrays and tensors beside the pickle.

Note [Batches in shared memory]: large buffers are written to an anonymous shared file (memfd,
Linux), whose descriptor travels over the socket. The receiver maps it, and the batch's tensors live
in that mapping: one copy in the sender, none in the receiver, and nothing with a name that a crash
could leave behind. Elsewhere, and for small batches, the bytes travel through the connection.
"""

from __future__ import annotations

import io
import os
import pickle
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.tensor import Tensor, wrap

SHARED_FROM = 1 << 15  # bytes of buffers from which shared memory is worth its system calls
ALIGNMENT = 64  # bytes


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if type(value) is not Tensor:
            return NotImplemented
        return _rebuild, (value.detach()._array, value.requires_grad)


def _rebuild(array: np.ndarray, requires_grad: bool) -> Tensor:
    # NumPy gives what it unpickles a dtype object of its own, and dtypes are compared by identity
    tensor = wrap(array.view(dtypes.of[array.dtype].numpy))
    return tensor.requires_grad_() if requires_grad else tensor


def pack(value: Any) -> Callable[[Connection], None]:
    """Pickles ``value``; the result sends it to ``receive`` at the other end of a connection."""
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    _Pickler(stream, 5, buffer_callback=buffers.append).dump(value)
    head, raws = stream.getvalue(), [buffer.raw() for buffer in buffers]
    if sum(raw.nbytes for raw in raws) < SHARED_FROM or not hasattr(os, "memfd_create"):
        message = pickle.dumps((head, [bytearray(raw) for raw in raws]), 5)
        return lambda connection: connection.send_bytes(message)
    file, spans, size = _shared_file(raws)
    message = pickle.dumps((head, spans, size), 5)

    def send(connection: Connection) -> None:
        try:
            connection.send_bytes(message)
            with socket_of(connection) as s:
                socket.send_fds(s, [b"\0"], [file])
        finally:
            os.close(file)

    return send


def _shared_file(raws: list[memoryview]) -> tuple[int, list[tuple[int, int]], int]:
    """(descriptor of a file with these bytes, (offset, length) of each, size)."""
    file, spans, end = os.memfd_create("rushlight"), [], 0
    for raw in raws:
        start = -(-end // ALIGNMENT) * ALIGNMENT
        end = start + raw.nbytes
        spans.append((start, raw.nbytes))
        done = 0
        while done < raw.nbytes:  # a single write ends at 2 GiB
            done += os.pwrite(file, raw[done:], start + done)
    os.ftruncate(file, end)
    return file, spans, end


def socket_of(connection: Connection) -> socket.socket:
    """The socket that a connection is; multiprocessing's own way to send files waits for answers,
    which tasks sent meanwhile would be taken for.
    """
    return socket.socket(fileno=os.dup(connection.fileno()))


def receive(connection: Connection) -> Any:
    """The next object sent by ``pack``; raises EOFError when the other end is gone."""
    head, *rest = pickle.loads(connection.recv_bytes())
    if len(rest) == 1:
        return pickle.loads(head, buffers=rest[0])
    import mmap

    spans, size = rest
    with socket_of(connection) as s:
        files = socket.recv_fds(s, 1, 1)[1]
    if not files:
        raise EOFError("the other end is gone")
    (file,) = files
    try:
        flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
        memory = memoryview(mmap.mmap(file, size, flags=flags))
    finally:
        os.close(file)
    return pickle.loads(head, buffers=[memory[start : start + n] for start, n in spans])

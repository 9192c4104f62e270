"""One function per kind of summary: encoded ``Summary`` messages with one value each."""

from __future__ import annotations

import io
import json
import wave
from typing import Any

import numpy as np

from rushlight.utils.tensorboard.images import png, to_numpy
from rushlight.utils.tensorboard.records import field, packed, varint

FLOAT, DOUBLE, STRING = 1, 2, 7  # TensorFlow's numbers of the dtypes


def value(tag: str, *parts: bytes) -> bytes:
    """A Summary with one value."""
    return field(1, field(1, tag) + b"".join(parts))


def metadata(plugin: str, content: bytes = b"") -> bytes:
    """Which of TensorBoard's pages shows the value."""
    return field(9, field(1, field(1, plugin) + (field(2, content) if content else b"")))


def tensor(dtype: int, shape: Any, *parts: bytes) -> bytes:
    """A TensorProto as a value."""
    sizes = b"".join([field(2, field(1, int(n))) for n in shape])
    return field(8, field(1, dtype) + field(2, sizes) + b"".join(parts))


def number(x: Any) -> float:
    """A number, also from a tensor or array with one element."""
    array = to_numpy(x)
    if array.size != 1:
        raise AssertionError(f"a scalar must have one element, but has shape {array.shape}.")
    return float(array.reshape(()))


def scalar(tag: str, x: Any, new_style: bool = False, double_precision: bool = False) -> bytes:
    """A number; as a tensor in the new style, which knows doubles."""
    if not new_style:
        return value(tag, field(2, number(x), "f"))
    dtype, kind = (DOUBLE, "d") if double_precision else (FLOAT, "f")
    data = packed(6 if double_precision else 5, [number(x)], kind)
    return value(tag, tensor(dtype, (), data), metadata("scalars"))


def text(tag: str, string: str) -> bytes:
    """Text, shown as Markdown."""
    return value(
        f"{tag}/text_summary", metadata("text"), tensor(STRING, (1,), field(8, str(string)))
    )


def image(tag: str, pixels: Any) -> bytes:
    """uint8 pixels (H, W, C)."""
    h, w, c = pixels.shape
    return value(tag, field(4, field(1, h) + field(2, w) + field(3, c) + field(4, png(pixels))))


def video(tag: str, frames: Any, fps: int) -> bytes:
    """uint8 frames (T, H, W, C), as an animated GIF."""
    from PIL import Image

    pictures = [Image.fromarray(f if f.shape[2] > 1 else f[:, :, 0]) for f in frames]
    file = io.BytesIO()
    pictures[0].save(
        file, "GIF", save_all=True, append_images=pictures[1:], duration=1000 // fps, loop=0
    )
    _, h, w, c = frames.shape
    return value(tag, field(4, field(1, h) + field(2, w) + field(3, c) + field(4, file.getvalue())))


def audio(tag: str, samples: Any, rate: int) -> bytes:
    """Samples in [-1, 1], as a WAV file of 16 bits."""
    samples = np.clip(to_numpy(samples).reshape(-1), -1, 1)
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes((samples * 32767).astype("<i2").tobytes())
    parts = field(1, float(rate), "f") + field(2, 1) + field(3, len(samples))
    return value(tag, field(6, parts + field(4, file.getvalue()) + field(5, "audio/wav")))


def default_bins() -> list[float]:
    """Edges that grow by a tenth, as TensorFlow's: fine near zero, up to 1e20."""
    edges, edge = [], 1e-12
    while edge < 1e20:
        edges.append(edge)
        edge *= 1.1
    return [-e for e in reversed(edges)] + [0.0] + edges


def histogram(tag: str, values: Any, bins: Any, max_bins: int | None = None) -> bytes:
    """How values are distributed over bins: "tensorflow", or what ``numpy.histogram`` takes."""
    values = to_numpy(values).astype(np.float64).reshape(-1)
    if not values.size:
        raise ValueError("The input has no element.")
    counts, edges = np.histogram(values, default_bins() if bins == "tensorflow" else bins)
    if max_bins is not None and len(counts) > max_bins:
        step = len(counts) // max_bins
        edges = np.concatenate([edges[:-1][::step], edges[-1:]])
        counts = np.add.reduceat(counts, np.arange(0, len(counts), step))
    filled = np.flatnonzero(counts)
    first, last = int(filled[0]), int(filled[-1]) + 1
    # a bucket is named by its right edge; an empty one in front gives the first its left edge
    counts = np.concatenate([[0], counts[first:last]])
    return histogram_raw(
        tag, values.min(), values.max(), values.size, values.sum(), values.dot(values),
        edges[first : last + 1], counts,
    )  # fmt: skip


def histogram_raw(
    tag: str,
    min: float,
    max: float,
    num: float,
    sum: float,
    squares: float,
    edges: Any,
    counts: Any,
) -> bytes:
    """A histogram given by its numbers."""
    parts = [field(i + 1, float(v), "d") for i, v in enumerate((min, max, num, sum, squares))]
    return value(tag, field(5, b"".join(parts) + packed(6, edges) + packed(7, counts)))


def plain_tensor(tag: str, x: Any) -> bytes:
    """A tensor of floats."""
    array = to_numpy(x).astype(np.float32)
    return value(tag, tensor(FLOAT, array.shape, packed(5, array, "f")), metadata("tensor"))


def curve(tag: str, rows: Any) -> bytes:
    """A precision-recall curve from its six rows: true positives, false positives, true negatives,
    false negatives, precision, recall.
    """
    rows = np.asarray(rows, np.float32)
    content = field(2, rows.shape[1])
    return value(
        tag, metadata("pr_curves", content), tensor(FLOAT, rows.shape, packed(5, rows, "f"))
    )


def precision_recall(labels: Any, predictions: Any, thresholds: int, weights: Any) -> Any:
    """The rows of ``curve``: at each threshold what lies above it is predicted to be true."""
    tiny = 1e-7
    labels, predictions = to_numpy(labels).reshape(-1), to_numpy(predictions).reshape(-1)
    weights = 1.0 if weights is None else to_numpy(weights).reshape(-1)
    at = np.floor(predictions * (thresholds - 1)).astype(np.int64)
    true, false = labels.astype(np.float64) * weights, (1 - labels.astype(np.float64)) * weights
    edges = (thresholds, (0, thresholds - 1))
    tp = np.histogram(at, edges[0], edges[1], weights=true)[0][::-1].cumsum()[::-1]
    fp = np.histogram(at, edges[0], edges[1], weights=false)[0][::-1].cumsum()[::-1]
    tn, fn = fp[0] - fp, tp[0] - tp
    precision = tp / np.maximum(tiny, tp + fp)
    recall = tp / np.maximum(tiny, tp + fn)
    return np.stack([tp, fp, tn, fn, precision, recall])


MESH_PARTS = {"VERTEX": 1, "FACE": 2, "COLOR": 3}  # TensorBoard's numbers of them


def mesh(tag: str, parts: dict[str, Any], config: dict[str, Any] | None) -> bytes:
    """A value for each part of a mesh: points, and triangles and colours where there are any."""
    arrays = {name: to_numpy(x).astype(np.float32) for name, x in parts.items() if x is not None}
    there = sum([1 << MESH_PARTS[name] for name in arrays])
    values = b""
    for name, array in arrays.items():
        content = field(2, tag) + field(3, MESH_PARTS[name]) + field(5, json.dumps(config or {}))
        content += field(6, b"".join([varint(n) for n in array.shape])) + field(7, there)
        data = tensor(FLOAT, array.shape, packed(5, array, "f"))
        values += value(f"{tag}_{name}", data, metadata("mesh", content))
    return values


def diagrams(layout: dict[str, dict[str, Any]]) -> bytes:
    """Which scalars share a diagram: ``{category: {title: [kind, tags]}}``."""
    categories = b""
    for category, charts in layout.items():
        content = field(1, category)
        for title, (kind, tags) in charts.items():
            if kind == "Margin":
                series = b"".join([field(n, tag) for n, tag in enumerate(tags[:3], 1)])
                lines = field(3, field(1, series))
            else:
                lines = field(2, b"".join([field(1, tag) for tag in tags]))
            content += field(2, field(1, title) + lines)
        categories += field(2, content)
    shown = tensor(STRING, (), field(8, categories))
    return value("custom_scalars__config__", shown, metadata("custom_scalars"))


def hyperparameters(
    settings: dict[str, Any], metrics: dict[str, Any], domains: dict[str, Any] | None = None
) -> list[bytes]:
    """Three summaries: what the columns are, this run's settings, and that the run ended."""
    infos, own = b"", b""
    for name, v in settings.items():
        if v is None:
            continue
        if isinstance(v, bool):
            kind, data = 2, field(4, v)
        elif isinstance(v, (int, float)):
            kind, data = 3, field(2, float(v), "d")
        else:
            v = v if isinstance(v, str) else number(v)
            kind, data = (1, field(3, v)) if isinstance(v, str) else (3, field(2, v, "d"))
        own += field(1, field(1, name) + field(2, data))
        info = field(1, name) + field(4, kind)
        if domains and name in domains:
            info += field(5, b"".join([field(1, wrapped(d)) for d in domains[name]]))
        infos += field(4, info)
    infos += b"".join([field(5, field(1, field(2, name))) for name in metrics])
    plugin = [(2, "experiment", infos), (3, "session_start_info", own)]
    plugin.append((4, "session_end_info", field(1, 1)))
    return [
        value(f"_hparams_/{name}", metadata("hparams", field(number_, data)))
        for number_, name, data in plugin
    ]


def wrapped(v: Any) -> bytes:
    """A google.protobuf.Value."""
    if isinstance(v, bool):
        return field(4, v)
    return field(3, v) if isinstance(v, str) else field(2, float(v), "d")

"""``SummaryWriter``: what programs call."""

from __future__ import annotations

import os
import socket
import time
from datetime import datetime
from typing import Any

import numpy as np

from rushlight.errors import NotSupportedError
from rushlight.utils.tensorboard import summaries
from rushlight.utils.tensorboard.graphs import graph_of
from rushlight.utils.tensorboard.images import (
    draw_boxes,
    figure_pixels,
    grid,
    png,
    to_bytes,
    to_numpy,
    to_pixels,
)
from rushlight.utils.tensorboard.records import FileWriter, field, step_number


class SummaryWriter:
    """Writes numbers, pictures, text and more to a folder that TensorBoard shows.

    Args:
        log_dir: the folder; by default a new one, ``runs/<date>_<machine><comment>``.
        comment: end of the default folder's name.
        purge_step: TensorBoard hides what an earlier, crashed run wrote from this step on.
        max_queue: accepted.
        flush_secs: seconds after which what was added is written out.
        filename_suffix: end of the file's name.

    In all methods ``global_step`` is the step (an int) that a value belongs to, and ``walltime``
    the time in seconds since 1970, by default now.

    Example:
        >>> from rushlight.utils.tensorboard import SummaryWriter
        >>> with SummaryWriter("runs/example") as writer:
        ...     for step in range(3):
        ...         writer.add_scalar("loss", 1 / (step + 1), step)
    """

    def __init__(
        self,
        log_dir: Any = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            now = datetime.now().strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{now}_{socket.gethostname()}{comment}")
        self.log_dir, self.purge_step = str(log_dir), purge_step
        self.max_queue, self.flush_secs = max_queue, flush_secs
        self.filename_suffix = filename_suffix
        self.file_writer: FileWriter | None = None
        self.all_writers: dict[str, FileWriter] | None = None
        self.default_bins = summaries.default_bins()
        self._get_file_writer()

    def _get_file_writer(self) -> FileWriter:
        if self.file_writer is None or self.all_writers is None:
            writer = self.file_writer = self._writer_in(self.log_dir)
            self.all_writers = {self.log_dir: writer}
            if self.purge_step is not None:
                writer.add_event(field(3, "brain.Event:2"), self.purge_step)
                writer.add_event(field(7, field(1, 1)), self.purge_step)  # the session starts
                self.purge_step = None
        return self.file_writer

    def _writer_in(self, folder: str) -> FileWriter:
        return FileWriter(folder, self.max_queue, self.flush_secs, self.filename_suffix)

    def _add(self, summary: bytes, step: Any, walltime: float | None) -> None:
        self._get_file_writer().add_summary(summary, step, walltime)

    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: Any = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """A number."""
        summary = summaries.scalar(tag, scalar_value, new_style, double_precision)
        self._add(summary, global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: dict[str, Any],
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Several numbers that one diagram shows; each gets a folder of its own."""
        walltime = time.time() if walltime is None else walltime
        self._get_file_writer()
        assert self.all_writers is not None
        for tag, number in tag_scalar_dict.items():
            folder = f"{self.log_dir}/{main_tag.replace('/', '_')}_{tag}"
            if folder not in self.all_writers:
                self.all_writers[folder] = self._writer_in(folder)
            summary = summaries.scalar(main_tag, number)
            self.all_writers[folder].add_summary(summary, global_step, walltime)

    def add_tensor(
        self, tag: str, tensor: Any, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """A tensor, as floats."""
        self._add(summaries.plain_tensor(tag, tensor), global_step, walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """How values are distributed.

        Args:
            bins: "tensorflow", or what ``numpy.histogram`` takes.
            max_bins: at most so many.
        """
        self._add(summaries.histogram(tag, values, bins, max_bins), global_step, walltime)

    def add_histogram_raw(
        self,
        tag: str,
        min: float,
        max: float,
        num: float,
        sum: float,
        sum_squares: float,
        bucket_limits: Any,
        bucket_counts: Any,
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """A histogram given by its numbers; buckets are named by their right edges."""
        if len(bucket_limits) != len(bucket_counts):
            raise ValueError("len(bucket_limits) != len(bucket_counts), see the document.")
        summary = summaries.histogram_raw(
            tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts
        )
        self._add(summary, global_step, walltime)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """A picture: uint8, or floats in [0, 1]; ``dataformats`` names the dims."""
        pixels = to_bytes(to_pixels(img_tensor, dataformats))
        self._add(summaries.image(tag, pixels), global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Several pictures in a grid of eight columns."""
        self.add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_image_with_boxes(
        self,
        tag: str,
        img_tensor: Any,
        box_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        rescale: float = 1,
        dataformats: str = "CHW",
        labels: Any = None,
    ) -> None:
        """A picture with boxes (xmin, ymin, xmax, ymax); labels are not drawn."""
        pixels = draw_boxes(to_bytes(to_pixels(img_tensor, dataformats)), to_numpy(box_tensor))
        self._add(summaries.image(tag, pixels), global_step, walltime)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: Any = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """A Matplotlib figure, or several of one size; closed afterwards unless told otherwise."""
        if isinstance(figure, list):
            pixels = grid(np.stack([figure_pixels(f, close) for f in figure]))
        else:
            pixels = figure_pixels(figure, close)
        self._add(summaries.image(tag, pixels), global_step, walltime)

    def add_video(
        self,
        tag: str,
        vid_tensor: Any,
        global_step: Any = None,
        fps: int = 4,
        walltime: float | None = None,
    ) -> None:
        """Videos (N, T, C, H, W), uint8 or floats in [0, 1], side by side; needs Pillow."""
        videos = to_numpy(vid_tensor).transpose(1, 0, 3, 4, 2)  # (T, N, H, W, C)
        frames = np.stack([to_bytes(grid(frame)) for frame in videos])
        self._add(summaries.video(tag, frames, fps), global_step, walltime)

    def add_audio(
        self,
        tag: str,
        snd_tensor: Any,
        global_step: Any = None,
        sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:
        """Sound: samples in [-1, 1], ``sample_rate`` per second."""
        self._add(summaries.audio(tag, snd_tensor, sample_rate), global_step, walltime)

    def add_text(
        self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Text, shown as Markdown."""
        self._add(summaries.text(tag, text_string), global_step, walltime)

    def add_pr_curve(
        self,
        tag: str,
        labels: Any,
        predictions: Any,
        global_step: Any = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """A precision-recall curve from labels (0 or 1) and predicted probabilities."""
        rows = summaries.precision_recall(labels, predictions, min(num_thresholds, 127), weights)
        self._add(summaries.curve(tag, rows), global_step, walltime)

    def add_pr_curve_raw(
        self,
        tag: str,
        true_positive_counts: Any,
        false_positive_counts: Any,
        true_negative_counts: Any,
        false_negative_counts: Any,
        precision: Any,
        recall: Any,
        global_step: Any = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """A precision-recall curve given by its numbers."""
        rows = [true_positive_counts, false_positive_counts, true_negative_counts]
        rows += [false_negative_counts, precision, recall]
        summary = summaries.curve(tag, np.stack([np.asarray(r) for r in rows]))
        self._add(summary, global_step, walltime)

    def add_hparams(
        self,
        hparam_dict: dict[str, Any],
        metric_dict: dict[str, Any],
        hparam_domain_discrete: dict[str, list[Any]] | None = None,
        run_name: str | None = None,
        global_step: Any = None,
    ) -> None:
        """A run's settings and what it reached, in a folder of their own."""
        if not isinstance(hparam_dict, dict) or not isinstance(metric_dict, dict):
            raise TypeError("hparam_dict and metric_dict should be dictionary.")
        folder = os.path.join(self.log_dir, run_name or str(time.time()))
        with SummaryWriter(folder) as writer:
            for summary in summaries.hyperparameters(
                hparam_dict, metric_dict, hparam_domain_discrete
            ):
                writer._add(summary, None, None)
            for tag, number in metric_dict.items():
                writer.add_scalar(tag, number, global_step)

    def add_graph(
        self,
        model: Any,
        input_to_model: Any = None,
        verbose: bool = False,
        use_strict_trace: bool = True,
    ) -> None:
        """The modules that the model calls for ``input_to_model``, in order; functions between them
        are not shown.
        """
        if input_to_model is None:
            raise ValueError("add_graph: give input_to_model, so that the model can be called.")
        graph = graph_of(model, input_to_model)
        self._get_file_writer().add_graph(graph)

    def add_embedding(
        self,
        mat: Any,
        metadata: Any = None,
        label_img: Any = None,
        global_step: Any = None,
        tag: str = "default",
        metadata_header: Any = None,
    ) -> None:
        """Vectors for TensorBoard's projector.

        Args:
            mat: vectors, (N, D).
            metadata: a label (or a list of them, with ``metadata_header``) per vector.
            label_img: a picture per vector, (N, C, H, W).
        """
        vectors = to_numpy(mat)
        name = f"{0 if global_step is None else step_number(global_step):05d}/{tag}"
        folder = os.path.join(self.log_dir, name)
        os.makedirs(folder, exist_ok=True)
        lines = [f'tensor_name: "{tag}:{name[:5]}"', f'tensor_path: "{name}/tensors.tsv"']
        write_rows(os.path.join(folder, "tensors.tsv"), vectors.tolist())
        if metadata is not None:
            if len(metadata) != len(vectors):
                raise AssertionError("#labels should equal with #data points")
            rows = [m if isinstance(m, (list, tuple)) else [m] for m in metadata]
            rows = [metadata_header, *rows] if metadata_header else rows
            write_rows(os.path.join(folder, "metadata.tsv"), rows)
            lines.append(f'metadata_path: "{name}/metadata.tsv"')
        if label_img is not None:
            pictures = to_numpy(label_img)
            if len(pictures) != len(vectors):
                raise AssertionError("#images should equal with #data points")
            sprite = grid(pictures.transpose(0, 2, 3, 1), int(np.ceil(len(pictures) ** 0.5)))
            with open(os.path.join(folder, "sprite.png"), "wb") as file:
                file.write(png(to_bytes(sprite)))
            lines.append(f'sprite {{ image_path: "{name}/sprite.png"')
            lines += [f"single_image_dim: {n}" for n in pictures.shape[:1:-1]] + ["}"]
        with open(os.path.join(self.log_dir, "projector_config.pbtxt"), "a") as config:
            config.write("embeddings {\n" + "\n".join(lines) + "\n}\n")

    def add_onnx_graph(self, prototxt: Any) -> None:
        """Raises: ONNX files are not read."""
        raise NotSupportedError("add_onnx_graph: ONNX files are not supported; use add_graph.")

    def add_mesh(
        self,
        tag: str,
        vertices: Any,
        colors: Any = None,
        faces: Any = None,
        config_dict: dict[str, Any] | None = None,
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Points in space, or a surface of triangles.

        Args:
            tag: its name.
            vertices: places of points, (batch, points, 3).
            colors: of each point red, green and blue from 0 to 255, (batch, points, 3).
            faces: of each triangle the numbers of its three points, (batch, triangles, 3).
            config_dict: settings of the display in TensorBoard, which come from three.js.
        """
        parts = {"VERTEX": vertices, "FACE": faces, "COLOR": colors}
        for name, part in parts.items():
            shape = None if part is None else tuple(part.shape)
            if shape is not None and (len(shape) != 3 or shape[2] != 3):
                raise AssertionError(
                    f"add_mesh: {name.lower()} data has shape (batch, n, 3), but got {shape}."
                )
        self._add(summaries.mesh(tag, parts, config_dict), global_step, walltime)

    def add_custom_scalars(self, layout: dict[str, dict[str, Any]]) -> None:
        """Say which scalars, written by `add_scalar`, share a diagram; once, before or after them.

        Args:
            layout: ``{category: {title: ["Multiline", tags]}}``; with ``"Margin"`` the three tags
                are a curve and the lower and upper edge of a band around it.

        Example:
            >>> from rushlight.utils.tensorboard import SummaryWriter
            >>> with SummaryWriter("runs/example") as writer:
            ...     both = ["Multiline", ["loss/train", "loss/test"]]
            ...     writer.add_custom_scalars({"Learning": {"loss": both}})
        """
        self._add(summaries.diagrams(layout), None, None)

    def add_custom_scalars_multilinechart(
        self, tags: list[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """One diagram of several scalars: a shorter `add_custom_scalars`."""
        self.add_custom_scalars({category: {title: ["Multiline", tags]}})

    def add_custom_scalars_marginchart(
        self, tags: list[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """One diagram of a scalar and a band around it: a shorter `add_custom_scalars`."""
        if len(tags) != 3:
            raise AssertionError(
                f"add_custom_scalars_marginchart: tags are of a curve and of a band's lower and "
                f"upper edge, three, but got {len(tags)}."
            )
        self.add_custom_scalars({category: {title: ["Margin", tags]}})

    def flush(self) -> None:
        """Hand what was added to the system."""
        for writer in (self.all_writers or {}).values():
            writer.flush()

    def close(self) -> None:
        """Flush and close the files."""
        for writer in (self.all_writers or {}).values():
            writer.close()
        self.file_writer = self.all_writers = None

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def write_rows(path: str, rows: Any) -> None:
    """A file with tabs between the items of a row."""
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write("\t".join([str(v) for v in row]) + "\n")

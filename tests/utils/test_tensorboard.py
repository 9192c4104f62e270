"""Event files, read back by a decoder of their own: records, checksums, messages."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

import rushlight as rl
from rushlight.utils.tensorboard import SummaryWriter
from rushlight.utils.tensorboard.images import draw_boxes, grid, png
from rushlight.utils.tensorboard.records import masked_crc, varint


def messages(path):
    """Yield the events of a file, after checking every checksum."""
    data = path.read_bytes()
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        assert data[8:12] == masked_crc(data[:8])
        body, data = data[12 : 12 + size], data[12 + size :]
        assert data[:4] == masked_crc(body)
        data = data[4:]
        yield decode(body)


def number(data, at):
    """Return the integer that begins at a place, and where it ends."""
    out = shift = 0
    while True:
        out |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return out, at


def decode(data):
    """Return {field: [values]} of a message; messages inside stay bytes."""
    fields, at = {}, 0
    while at < len(data):
        key, at = number(data, at)
        if key & 7 == 0:
            value, at = number(data, at)
        elif key & 7 == 2:
            size, at = number(data, at)
            value, at = data[at : at + size], at + size
        else:
            size = 8 if key & 7 == 1 else 4
            value = struct.unpack("<d" if size == 8 else "<f", data[at : at + size])[0]
            at += size
        fields.setdefault(key >> 3, []).append(value)
    return fields


def values(folder):
    """Return {tag: value message} and the steps of a folder's only file."""
    (path,) = folder.glob("events.out.tfevents.*")
    events = list(messages(path))
    assert events[0][3] == [b"brain.Event:2"]
    found, steps = {}, {}
    for event in events:
        for summary in event.get(5, []):
            value = decode(decode(summary)[1][0])
            found[value[1][0].decode()] = value
            steps[value[1][0].decode()] = event.get(2, [None])[0]
    return found, steps


def test_checksums_and_integers():
    assert masked_crc(b"123456789") == struct.pack("<I", known_crc(0xE3069283))
    for n in (0, 1, 127, 128, 300, 2**40):
        assert number(varint(n), 0) == (n, len(varint(n)))
    assert number(varint(-1), 0)[0] == 2**64 - 1


def known_crc(crc):
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_scalars_text_and_steps(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", rl.tensor(1.5), 3, walltime=5.0)
        writer.add_scalar("exact", 1 / 3, rl.tensor(4), new_style=True, double_precision=True)
        writer.add_text("note", "**hello**")
        writer.add_tensor("weights", rl.arange(6.0).view(2, 3))
        writer.add_scalars("both", {"a": 1, "b": 2.0}, 7)
        with pytest.raises(AssertionError):
            writer.add_scalar("bad", rl.ones(2))
        with pytest.raises(NotImplementedError, match="array or number, but got list"):
            writer.add_scalar("bad", [1.0])
        writer.add_scalar("half", rl.tensor(1.5, dtype=rl.bfloat16))
        writer.add_scalar("large", rl.tensor(2.0**100, dtype=rl.bfloat16))  # not so in float16
    found, steps = values(tmp_path)
    assert found["loss"][2] == found["half"][2] == [1.5]
    assert found["large"][2] == [2.0**100]
    assert steps["loss"] == 3
    tensor = decode(found["exact"][8][0])
    assert struct.unpack("<d", tensor[6][0]) == (1 / 3,)
    assert steps["exact"] == 4
    assert decode(found["note/text_summary"][8][0])[8] == [b"**hello**"]
    assert steps["note/text_summary"] is None
    shape = decode(decode(found["weights"][8][0])[2][0])
    assert [decode(d)[1] for d in shape[2]] == [[2], [3]]
    for name, number_ in (("a", 1.0), ("b", 2.0)):
        found, steps = values(tmp_path / f"both_{name}")
        assert found["both"][2] == [number_]
        assert steps["both"] == 7


def test_histograms(tmp_path):
    data = rl.linspace(-1, 3, 101)
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("fine", data, 1)
        writer.add_histogram("ten", data, 1, bins=10)
        writer.add_histogram("few", data, 1, bins=10, max_bins=2)
    found, _ = values(tmp_path)
    for tag, buckets in (("fine", None), ("ten", 11), ("few", 3)):
        histogram = decode(found[tag][5][0])
        least, most, count, total, squares = (histogram[i][0] for i in range(1, 6))
        assert (least, most, count) == (-1, 3, 101)
        assert total == pytest.approx(101)
        assert squares == pytest.approx((data**2).sum().item())
        limits, counts = (np.frombuffer(histogram[i][0]) for i in (6, 7))
        assert len(limits) == len(counts)
        assert buckets is None or len(limits) == buckets
        assert counts.sum() == 101
        assert (np.diff(limits) > 0).all()


def test_images(tmp_path):
    colours = rl.rand(3, 4, 5)
    with SummaryWriter(tmp_path) as writer:
        writer.add_image("colour", colours)
        writer.add_image("grey", colours[0], dataformats="HW")
        writer.add_image("bytes", (colours * 255).to(rl.uint8))
        writer.add_images("several", rl.ones(10, 1, 4, 5))
        with pytest.raises(AssertionError):
            writer.add_image("bad", colours, dataformats="HW")
    found, _ = values(tmp_path)
    pictures = {}
    for tag, value in found.items():
        image = decode(value[4][0])
        pictures[tag] = np.asarray(Image.open(io.BytesIO(image[4][0])))
        assert pictures[tag].shape == (image[1][0], image[2][0], image[3][0])
    expected = (colours.numpy().transpose(1, 2, 0) * 255).astype(np.uint8)
    np.testing.assert_array_equal(pictures["colour"], expected)
    np.testing.assert_array_equal(pictures["bytes"], expected)
    np.testing.assert_array_equal(pictures["grey"][:, :, 1], expected[:, :, 0])
    assert pictures["several"].shape == (8, 40, 3)
    assert pictures["several"][:4].min() == 255
    assert pictures["several"][4:, 10:].max() == 0


def test_pictures_of_other_kinds(tmp_path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(1, 2), dpi=50)
    with SummaryWriter(tmp_path) as writer:
        writer.add_figure("figure", figure)
        writer.add_video("video", rl.rand(1, 3, 3, 8, 6))
        writer.add_audio("sound", rl.zeros(1, 50), sample_rate=8000)
        writer.add_image_with_boxes("boxes", rl.zeros(3, 9, 9), rl.tensor([[1, 2, 5, 6]]))
    assert not pyplot.fignum_exists(figure.number)
    found, _ = values(tmp_path)
    assert [decode(found["figure"][4][0])[i][0] for i in (1, 2)] == [100, 50]
    film = Image.open(io.BytesIO(decode(found["video"][4][0])[4][0]))
    assert (film.n_frames, film.size) == (3, (6, 8))
    sound = decode(found["sound"][6][0])
    assert (sound[1], sound[3], sound[4][0][:4]) == ([8000.0], [50], b"RIFF")
    boxed = draw_boxes(np.zeros((9, 9, 3), np.uint8), np.array([[1, 2, 5, 6]]))
    assert boxed[2, 3].tolist() == [255, 0, 0]
    assert boxed[3, 3].tolist() == [0, 0, 0]


def test_curves_settings_and_embeddings(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_pr_curve("curve", rl.tensor([0, 1, 1]), rl.tensor([0.1, 0.9, 0.4]))
        writer.add_hparams({"lr": 0.1, "name": "x", "flag": True}, {"accuracy": 0.5}, run_name="h")
        writer.add_embedding(rl.ones(3, 2), metadata=["a", "b", "c"], global_step=2)
    found, _ = values(tmp_path)
    rows = np.frombuffer(decode(found["curve"][8][0])[5][0], "<f4").reshape(6, -1)
    assert rows[0].max() == 2  # at the lowest threshold both true ones are found
    assert rows[4][-30:].max() == 1
    settings, _ = values(tmp_path / "h")
    assert {"_hparams_/experiment", "_hparams_/session_start_info", "accuracy"} <= set(settings)
    assert (tmp_path / "00002/default/metadata.tsv").read_text() == "a\nb\nc\n"
    assert (tmp_path / "00002/default/tensors.tsv").read_text() == "1.0\t1.0\n" * 3
    assert "00002/default/tensors.tsv" in (tmp_path / "projector_config.pbtxt").read_text()


def test_graph(tmp_path):
    model = rl.nn.Sequential(rl.nn.Linear(2, 3), rl.nn.Sequential(rl.nn.ReLU()))
    with SummaryWriter(tmp_path) as writer:
        writer.add_graph(model, rl.ones(1, 2))
    (path,) = tmp_path.glob("events*")
    (graph,) = [event[4][0] for event in messages(path) if 4 in event]
    nodes = [decode(n) for n in decode(graph)[1]]
    assert [(n[1][0].decode(), n.get(3, [b""])[0].decode()) for n in nodes] == [
        ("input/0", ""),
        ("Sequential/Linear[0]", "input/0"),
        ("Sequential/Sequential[1]/ReLU[0]", "Sequential/Linear[0]"),
        ("output/0", "Sequential/Sequential[1]/ReLU[0]"),
    ]
    assert not model[0]._forward_hooks


def test_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    writer = SummaryWriter(comment="_mine", filename_suffix=".end")
    assert writer.get_logdir().startswith("runs")
    assert writer.get_logdir().endswith("_mine")
    writer.add_scalar("a", 1)
    writer.flush()
    (path,) = (tmp_path / writer.get_logdir()).iterdir()
    assert path.name.endswith(".end")
    assert len(list(messages(path))) == 2
    writer.close()
    writer.add_scalar("b", 2)  # a closed writer begins another file
    writer.close()
    assert len(list((tmp_path / writer.get_logdir()).iterdir())) == 2


def test_grid_and_png():
    images = np.arange(3 * 2 * 2 * 3, dtype=np.uint8).reshape(3, 2, 2, 3)
    assert grid(images, 2).shape == (4, 4, 3)
    for channels in (1, 3, 4):
        pixels = np.random.randint(0, 256, (3, 5, channels), dtype=np.uint8)
        read = np.asarray(Image.open(io.BytesIO(png(pixels))))
        np.testing.assert_array_equal(read.reshape(pixels.shape), pixels)
    with pytest.raises(ValueError, match="channels"):
        png(np.zeros((2, 2, 2), np.uint8))


def layouts(folder):
    """Each event of a folder's only file that holds a summary: its values' fields."""
    (path,) = folder.glob("events.out.tfevents.*")
    summaries = [event[5][0] for event in messages(path) if 5 in event]
    return [[decode(value) for value in decode(summary)[1]] for summary in summaries]


def test_meshes(tmp_path):
    points = rl.tensor([[[1.0, 1, 1], [-1, -1, 1], [1, -1, -1]]])
    with SummaryWriter(tmp_path) as writer:
        writer.add_mesh("m", points, rl.full((1, 3, 3), 255), rl.tensor([[[0, 1, 2]]]))
        writer.add_mesh("plain", points, config_dict={"lights": []}, global_step=3)
        for wrong in (points[0], rl.ones(1, 3, 4)):
            with pytest.raises(AssertionError, match="has shape"):
                writer.add_mesh("m", wrong)
    both, plain = layouts(tmp_path)
    assert [v[1] for v in both] == [[b"m_VERTEX"], [b"m_FACE"], [b"m_COLOR"]]
    assert np.frombuffer(decode(both[0][8][0])[5][0], "<f4").tolist() == points.flatten().tolist()
    plugin = decode(decode(both[2][9][0])[1][0])
    content = {2: [b"m"], 3: [3], 5: [b"{}"], 6: [bytes([1, 3, 3])], 7: [2 + 4 + 8]}
    assert plugin[1] == [b"mesh"] and decode(plugin[2][0]) == content
    (only,) = plain
    content = decode(decode(decode(only[9][0])[1][0])[2][0])
    assert only[1] == [b"plain_VERTEX"] and content[5] == [b'{"lights": []}'] and content[7] == [2]


def test_diagrams_of_several_scalars(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_custom_scalars({"A": {"losses": ["Multiline", ["train", "test"]]}})
        writer.add_custom_scalars_multilinechart(["a", "b"])
        writer.add_custom_scalars_marginchart(["mean", "low", "high"], "C", "band")
        with pytest.raises(AssertionError, match="three, but got 2"):
            writer.add_custom_scalars_marginchart(["mean", "low"])
    found = []
    for (value,) in layouts(tmp_path):
        assert value[1] == [b"custom_scalars__config__"]
        category = decode(decode(decode(value[8][0])[8][0])[2][0])
        chart = decode(category[2][0])
        found.append((category[1], chart[1], chart))
    assert found[0][:2] == ([b"A"], [b"losses"]) and found[1][:2] == ([b"default"], [b"untitled"])
    assert [decode(chart[2][0])[1] for *_, chart in found[:2]] == [
        [b"train", b"test"],
        [b"a", b"b"],
    ]
    band = decode(decode(found[2][2][3][0])[1][0])
    assert band == {1: [b"mean"], 2: [b"low"], 3: [b"high"]}

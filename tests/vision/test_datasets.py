"""Image data sets: files of every kind, the bundled sample, whole batches, downloads."""

import gzip
import hashlib
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rushlight as rl
from rushlight.utils.data import DataLoader, Subset
from rushlight.vision import datasets, images, transforms
from rushlight.vision.datasets import utils

IMAGES = np.random.RandomState(0).randint(0, 256, (5, 28, 28), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5], np.uint8)


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def put(folder, images=IMAGES, labels=LABELS, packed=False, part="train"):
    folder.mkdir(parents=True, exist_ok=True)
    files = {f"{part}-images-idx3-ubyte": images, f"{part}-labels-idx1-ubyte": labels}
    for name, array in files.items():
        data = idx(array)
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / name).write_bytes(data)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["MNIST", "FashionMNIST", "KMNIST"])
def test_idx_files_where_torchvision_keeps_them(tmp_path, kind, packed):
    put(tmp_path / kind / "raw", packed=packed)
    data = getattr(datasets, kind)(str(tmp_path), transform=transforms.ToTensor())
    assert len(data) == 5
    assert data.data.dtype == rl.uint8
    assert data.targets.tolist() == LABELS.tolist()
    image, target = data[2]
    np.testing.assert_allclose(image.numpy()[0], IMAGES[2] / 255, rtol=1e-6)
    assert (image.shape, target, type(target)) == ((1, 28, 28), 4, int)
    assert data.class_to_idx[data.classes[7]] == 7
    assert repr(data) == (
        f"Dataset {kind}\n    Number of datapoints: 5\n    Root location: {tmp_path}\n"
        "    Split: Train\n    StandardTransform\nTransform: ToTensor()"
    )


@pytest.mark.parametrize("name", ["train_data", "test_data", "train_labels", "test_labels"])
def test_old_names_of_the_arrays_warn(tmp_path, name):
    put(tmp_path / "MNIST" / "raw", packed=False)
    data = datasets.MNIST(str(tmp_path))
    with pytest.warns(UserWarning, match=f"{name} is now called"):
        assert getattr(data, name) is (data.data if name.endswith("data") else data.targets)


def test_system_folder_is_searched(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.FashionMNIST, "system_folders", [str(tmp_path / "system")])
    put(tmp_path / "system", packed=True, part="t10k")
    data = datasets.FashionMNIST(tmp_path / "elsewhere", train=False, download=False)
    assert len(data) == 5


def test_missing_and_damaged_files(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.FashionMNIST, "system_folders", [])
    with pytest.raises(RuntimeError, match=r"Dataset not found.*download=True"):
        datasets.FashionMNIST(tmp_path)
    raw = tmp_path / "FashionMNIST" / "raw"
    put(raw)
    whole = (raw / "train-images-idx3-ubyte").read_bytes()
    (raw / "train-images-idx3-ubyte").write_bytes(whole[:1000])
    with pytest.raises(RuntimeError, match="not a whole idx file"):
        datasets.FashionMNIST(tmp_path)
    put(raw, labels=LABELS[:4])
    with pytest.raises(RuntimeError, match="do not belong together"):
        datasets.FashionMNIST(tmp_path)


def test_emnist(tmp_path):
    put(tmp_path / "EMNIST" / "raw", packed=True, part="emnist-letters-train")
    data = datasets.EMNIST(tmp_path, split="letters")
    assert len(data) == 5
    assert data.classes[1] == "a"
    assert len(datasets.EMNIST.classes_split_dict["balanced"]) == 47
    with pytest.raises(ValueError, match="Unknown value 'words'"):
        datasets.EMNIST(tmp_path, split="words")


# ------------------------------------------------------------ the bundled sample


@pytest.mark.parametrize("train,size", [(True, 6000), (False, 1000)])
def test_bundled_sample_is_balanced(train, size):
    data = datasets.FashionMNISTSample(train)
    assert data.data.shape == (size, 28, 28)
    assert np.bincount(data.targets.numpy()).tolist() == [size // 10] * 10
    assert data.classes[9] == "Ankle boot"


def test_bundled_sample_is_small_and_licensed():
    folder = Path(datasets.FashionMNISTSample().raw_folder)
    files = sorted(folder.iterdir())
    assert sum(file.stat().st_size for file in files) < 5e6
    assert "MIT License" in (folder / "LICENSE").read_text()


@pytest.mark.skipif(
    not os.path.isdir("/usr/share/datasets/fashion-mnist"),
    reason="Debian's package dataset-fashion-mnist is not installed",
)
def test_bundled_sample_can_be_made_again(tmp_path):
    script = Path(__file__).parents[2] / "scripts" / "make_fashion_sample.py"
    subprocess.run([sys.executable, script, "--target", tmp_path], check=True, capture_output=True)
    bundled = Path(datasets.FashionMNISTSample().raw_folder)
    for file in tmp_path.iterdir():
        assert gzip.decompress(file.read_bytes()) == gzip.decompress(
            (bundled / file.name).read_bytes()
        )


# ------------------------------------------------------------ whole batches

WHOLE = {
    "to tensor": transforms.ToTensor(),
    "normalized": transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.3,), (0.4,))]),
    "bytes": transforms.PILToTensor(),
    "converted": transforms.Compose(
        [transforms.PILToTensor(), transforms.ConvertImageDtype(rl.float64)]
    ),
}


@pytest.mark.parametrize("transform", WHOLE.values(), ids=WHOLE)
def test_whole_batches_equal_samples(transform, monkeypatch):
    data = datasets.FashionMNISTSample(train=False, transform=transform)
    part = Subset(data, range(100, 0, -1))
    images_, targets = next(iter(DataLoader(part, 32)))
    samples = [part[i] for i in range(32)]
    assert images_.equal(rl.stack([image for image, _ in samples]))
    assert targets.tolist() == [target for _, target in samples]
    assert targets.dtype == rl.int64
    monkeypatch.setattr(datasets.MNIST, "__getitem__", None)  # not visited
    next(iter(DataLoader(data, 32)))


def test_other_transforms_go_sample_by_sample():
    flip = transforms.Compose([transforms.RandomHorizontalFlip(), transforms.ToTensor()])
    data = datasets.FashionMNISTSample(transform=flip)
    assert data._batch([0, 1]) is None
    assert next(iter(DataLoader(data, 4)))[0].shape == (4, 1, 28, 28)
    data = datasets.FashionMNISTSample(target_transform=str)
    assert data._batch([0]) is None


# ------------------------------------------------------------ without Pillow


def test_without_pillow(monkeypatch):
    monkeypatch.setattr(images, "pillow", lambda: None)
    resize = transforms.Compose([transforms.Resize(32), transforms.ToTensor()])
    data = datasets.FashionMNISTSample()
    array, _target = data[0]
    assert (type(array), array.shape, array.dtype) == (np.ndarray, (28, 28), np.uint8)
    for transform, shape in [(transforms.ToTensor(), (1, 28, 28)), (resize, (1, 32, 32))]:
        assert transform(array).shape == shape
    monkeypatch.undo()
    pil, _ = data[0]
    assert transforms.ToTensor()(array).equal(transforms.ToTensor()(pil))


def test_import_does_not_load_pillow():
    code = "import sys, rushlight.vision; raise SystemExit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# ------------------------------------------------------------ CIFAR


def cifar(folder, files, key):
    folder.mkdir(parents=True)
    sums = {}
    for name, content in files.items():
        data = pickle.dumps(content, protocol=2)
        (folder / name).write_bytes(data)
        sums[name] = hashlib.md5(data).hexdigest()
    return sums


def small_cifar(monkeypatch, tmp_path):
    rows = np.random.RandomState(1).randint(0, 256, (4, 3072), dtype=np.uint8)
    batch = {"data": rows, "labels": [0, 1, 1, 0]}
    files = {f"data_batch_{i}": batch for i in range(1, 6)}
    files |= {"test_batch": batch, "batches.meta": {"label_names": ["cat", "dog"]}}
    sums = cifar(tmp_path / "cifar-10-batches-py", files, "labels")
    kind = datasets.CIFAR10
    for name in ("train_list", "test_list"):
        monkeypatch.setattr(kind, name, [[f, sums[f]] for f, _ in getattr(kind, name)])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": sums["batches.meta"]})
    return rows


def test_cifar(monkeypatch, tmp_path):
    rows = small_cifar(monkeypatch, tmp_path)
    data = datasets.CIFAR10(tmp_path, transform=transforms.ToTensor())
    assert (len(data), data.classes, data.class_to_idx["dog"]) == (20, ["cat", "dog"], 1)
    image, target = data[2]
    np.testing.assert_allclose(image.numpy(), rows[2].reshape(3, 32, 32) / 255, rtol=1e-6)
    assert target == 1
    batch, targets = next(iter(DataLoader(data, 6)))
    assert batch.equal(rl.stack([data[i][0] for i in range(6)]))
    assert targets.tolist() == [0, 1, 1, 0, 0, 1]


def test_cifar_files_are_checked(monkeypatch, tmp_path):
    small_cifar(monkeypatch, tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"x")
    with pytest.raises(RuntimeError, match="not found or corrupted"):
        datasets.CIFAR10(tmp_path)


class Evil:
    def __reduce__(self):
        return os.system, ("true",)


def test_pickles_run_nothing(tmp_path):
    from rushlight.vision.datasets.cifar import read_batch

    (tmp_path / "batch").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(RuntimeError, match="which no CIFAR file needs"):
        read_batch(tmp_path / "batch")


# ------------------------------------------------------------ folders, noise


def test_image_folder(tmp_path):
    for name, colour in [("b/1.png", 10), ("a/x/2.PNG", 20), ("a/0.jpg", 30), ("a/notes.txt", 0)]:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 3), colour).save(file, format="png")
    data = datasets.ImageFolder(tmp_path, transform=transforms.ToTensor())
    assert data.classes == ["a", "b"]
    assert [(os.path.relpath(path, tmp_path), k) for path, k in data.samples] == [
        (os.path.join("a", "0.jpg"), 0),
        (os.path.join("a", "x", "2.PNG"), 0),
        (os.path.join("b", "1.png"), 1),
    ]
    assert data[0][0].shape == (3, 3, 4)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty"):
        datasets.ImageFolder(tmp_path)
    assert len(datasets.ImageFolder(tmp_path, allow_empty=True)) == 3
    with pytest.raises(FileNotFoundError):
        datasets.ImageFolder(tmp_path / "nowhere")


def test_fake_data():
    data = datasets.FakeData(3, (3, 8, 9), transform=transforms.ToTensor())
    assert data[1][0].equal(data[1][0])
    assert data[0][0].shape == (3, 8, 9)
    # torchvision's values for this index and shape
    image, target = datasets.FakeData(2, (1, 2, 2), transform=transforms.ToTensor())[1]
    assert image.flatten().tolist() == pytest.approx([0.6588, 0.2667, 0.0588, 0.6196], abs=1e-4)
    assert target == 9
    with pytest.raises(IndexError):
        data[3]


# ------------------------------------------------------------ downloads


@pytest.fixture
def server():
    files = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = files.get(self.path)
            self.send_response(404 if body is None else 200)
            length = len(body or b"") + (10 if self.path.endswith("short") else 0)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}/", files
        http.shutdown()
        thread.join()


def test_download(server, tmp_path, monkeypatch):
    url, files = server
    put(tmp_path / "source", packed=True)
    put(tmp_path / "source", packed=True, part="t10k")
    resources = []
    for file in (tmp_path / "source").iterdir():
        files["/" + file.name] = file.read_bytes()
        resources.append((file.name, hashlib.md5(file.read_bytes()).hexdigest()))
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    monkeypatch.setattr(datasets.MNIST, "mirrors", [url + "gone/", url])  # the second one works
    root = tmp_path / "root"
    assert len(datasets.MNIST(root, download=True)) == 5
    monkeypatch.setattr(datasets.MNIST, "mirrors", [])  # not asked again
    assert len(datasets.MNIST(root, train=False, download=True)) == 5
    raw = root / "MNIST" / "raw"
    assert sorted(os.listdir(raw)) == sorted(name for name, _ in resources)


@pytest.mark.parametrize("name,reason", [("wrong", "checksum"), ("short", "connection|bytes")])
def test_damaged_downloads_leave_nothing(server, tmp_path, name, reason):
    url, files = server
    files["/" + name] = b"abc"
    with pytest.raises(RuntimeError, match=reason):
        utils.download_url(url + name, tmp_path, md5="0" * 32)
    assert list(tmp_path.iterdir()) == []


def test_offline_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(RuntimeError, match="Is this machine online"):
        datasets.MNIST(tmp_path, download=True)


def test_archives_stay_inside(tmp_path):
    good, bad = tmp_path / "good.tar.gz", tmp_path / "bad.tar.gz"
    (tmp_path / "file").write_text("text")
    with tarfile.open(good, "w:gz") as tar:
        tar.add(tmp_path / "file", "inner/file")
    with tarfile.open(bad, "w:gz") as tar:
        tar.add(tmp_path / "file", "../outside")
    utils.extract_archive(good, tmp_path / "out")
    assert (tmp_path / "out" / "inner" / "file").read_text() == "text"
    with pytest.raises(tarfile.TarError, match="outside"):
        utils.extract_archive(bad, tmp_path / "out")

"""Data sets whose classes are folders or lists: their files are found, labelled and opened."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rushlight.vision import datasets


def image(path: Path, grey: int, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (4, 3), grey if mode == "L" else (grey,) * 3).save(path)


def seen(data) -> list:
    """(mode, grey, label) of each sample; the labels are doubled."""
    found = []
    for i in range(len(data)):
        picture, label = data[i]
        grey = picture.getpixel((0, 0))
        found.append((picture.mode, grey if isinstance(grey, int) else grey[0], label))
    return found


def double(label):
    return 2 * label


def test_food(tmp_path):
    lists = {"pie": ["pie/2", "pie/1"], "apple": ["apple/7"]}
    (tmp_path / "food-101" / "meta").mkdir(parents=True)
    (tmp_path / "food-101" / "meta" / "train.json").write_text(json.dumps(lists))
    for i, path in enumerate(["pie/2", "pie/1", "apple/7"]):
        image(tmp_path / "food-101" / "images" / f"{path}.jpg", 50 * i)
    data = datasets.Food101(tmp_path, target_transform=double)
    assert data.class_to_idx == {"apple": 0, "pie": 1}
    assert seen(data) == [("RGB", 0, 2), ("RGB", 50, 2), ("RGB", 100, 0)]
    with pytest.raises(ValueError, match="split"):
        datasets.Food101(tmp_path, "val")


def test_textures(tmp_path):
    folder = tmp_path / "dtd" / "dtd"
    (folder / "labels").mkdir(parents=True)
    (folder / "labels" / "val3.txt").write_text("woven/b.jpg\nbanded/a.jpg\n")
    image(folder / "images" / "woven" / "b.jpg", 10)
    image(folder / "images" / "banded" / "a.jpg", 20)
    data = datasets.DTD(tmp_path, "val", 3)
    assert data.classes == ["banded", "woven"]
    assert seen(data) == [("RGB", 10, 1), ("RGB", 20, 0)]
    with pytest.raises(ValueError, match="partition"):
        datasets.DTD(tmp_path, "val", 11)


def test_flowers(tmp_path):
    io = pytest.importorskip("scipy.io", reason="its lists are read with SciPy")
    folder = tmp_path / "flowers-102"
    for n in (1, 2, 3):
        image(folder / "jpg" / f"image_{n:05d}.jpg", 40 * n)
    io.savemat(folder / "imagelabels.mat", {"labels": np.array([[7, 1, 102]])})
    parts = {"trnid": np.array([[3, 1]]), "valid": np.array([[2]]), "tstid": np.array([[1]])}
    io.savemat(folder / "setid.mat", parts)
    assert seen(datasets.Flowers102(tmp_path)) == [("RGB", 120, 101), ("RGB", 40, 6)]
    assert seen(datasets.Flowers102(tmp_path, "val")) == [("RGB", 80, 0)]


def test_traffic_signs(tmp_path):
    folder = tmp_path / "gtsrb"
    image(folder / "GTSRB" / "Training" / "00000" / "a.ppm", 9)
    image(folder / "GTSRB" / "Training" / "00005" / "b.ppm", 8)
    image(folder / "GTSRB" / "Final_Test" / "Images" / "00000.ppm", 7)
    rows = "Filename;Width;Height;ClassId\n00000.ppm;4;3;16\n"
    (folder / "GT-final_test.csv").write_text(rows)
    assert seen(datasets.GTSRB(tmp_path)) == [("RGB", 9, 0), ("RGB", 8, 1)]
    assert seen(datasets.GTSRB(tmp_path, "test")) == [("RGB", 7, 16)]


def test_characters(tmp_path):
    folder = tmp_path / "omniglot-py" / "images_background"
    for alphabet, number, grey in (("B", 1, 1), ("A", 2, 2), ("A", 1, 3)):
        image(folder / alphabet / f"character0{number}" / "0001_01.png", grey, "L")
    data = datasets.Omniglot(tmp_path, target_transform=double)
    assert seen(data) == [("L", 3, 0), ("L", 2, 2), ("L", 1, 4)]
    with pytest.raises(RuntimeError, match="download=True"):
        datasets.Omniglot(tmp_path, background=False)


def test_folders(tmp_path):
    image(tmp_path / "eurosat" / "2750" / "River" / "River_1.jpg", 3)
    image(tmp_path / "eurosat" / "2750" / "Forest" / "Forest_1.jpg", 5)
    image(tmp_path / "country211" / "valid" / "CH" / "1.jpg", 6)
    image(tmp_path / "imagenette2-160" / "val" / "n01440764" / "1.JPEG", 7)
    image(tmp_path / "imagenette2-160" / "val" / "n03888257" / "1.JPEG", 8)
    assert seen(datasets.EuroSAT(tmp_path)) == [("RGB", 5, 0), ("RGB", 3, 1)]
    assert seen(datasets.Country211(tmp_path, "valid")) == [("RGB", 6, 0)]
    data = datasets.Imagenette(tmp_path, "val", "160px")
    assert seen(data) == [("RGB", 7, 0), ("RGB", 8, 1)]
    assert data.classes == [("tench", "Tinca tinca"), ("parachute", "chute")]
    assert data.class_to_idx["chute"] == 1 and data.wnids == ["n01440764", "n03888257"]


@pytest.mark.parametrize(
    "name",
    ["Country211", "DTD", "EuroSAT", "Flowers102", "Food101", "GTSRB", "Imagenette", "Omniglot"],
)
def test_what_is_not_there(name, tmp_path):
    with pytest.raises(RuntimeError, match="Dataset not found"):
        getattr(datasets, name)(tmp_path)

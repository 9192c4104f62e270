"""Data sets of photographs, read from files as their authors lay them out."""

import os
import shutil
import tarfile

import numpy as np
import pytest

from rushlight.vision import datasets
from rushlight.vision.datasets import imagenet


def test_svhn(tmp_path, monkeypatch):
    from scipy.io import savemat

    pixels = np.arange(32 * 32 * 3 * 2, dtype=np.uint8).reshape(32, 32, 3, 2)
    savemat(tmp_path / "test_32x32.mat", {"X": pixels, "y": np.array([[10], [3]], np.uint8)})
    with pytest.raises(RuntimeError, match="not found or corrupted"):
        datasets.SVHN(tmp_path, "test")
    monkeypatch.setitem(datasets.SVHN.split_list, "test", ["", "test_32x32.mat", None])
    found = datasets.SVHN(tmp_path, "test", target_transform=str)
    assert len(found) == 2 and found.data.shape == (2, 3, 32, 32) and found[1][1] == "3"
    assert found.labels.tolist() == [0, 3] and "Split: test" in str(found)
    assert (np.asarray(found[1][0]) == pixels[..., 1]).all()
    with pytest.raises(ValueError, match="split"):
        datasets.SVHN(tmp_path, "val")


def test_stl10(tmp_path, monkeypatch):
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    pixels = np.random.RandomState(0).randint(0, 256, (3, 3, 96, 96)).astype(np.uint8)
    for name, count in (("train", 3), ("test", 2), ("unlabeled", 1)):
        pixels[:count].tofile(folder / f"{name}_X.bin")
        np.array([1, 10, 5], np.uint8)[:count].tofile(folder / f"{name}_y.bin")
    (folder / "class_names.txt").write_text("airplane\nbird\n")
    (folder / "fold_indices.txt").write_text("\n".join(["0 2 "] * 10))
    for files in ("train_list", "test_list"):
        names = [[name, None] for name, _ in getattr(datasets.STL10, files)]
        monkeypatch.setattr(datasets.STL10, files, names)
    found = datasets.STL10(tmp_path, "train+unlabeled")
    assert found.labels.tolist() == [0, 9, 4, -1] and found.classes == ["airplane", "bird"]
    assert (np.asarray(found[1][0]) == pixels[1].transpose(2, 1, 0)).all()
    assert datasets.STL10(tmp_path, folds=3).labels.tolist() == [0, 4]
    assert len(datasets.STL10(tmp_path, "test")) == 2
    with pytest.raises(ValueError, match="folds"):
        datasets.STL10(tmp_path, folds=10)
    with pytest.raises(RuntimeError, match="not found or corrupted"):
        datasets.STL10(tmp_path / "none")


def archive(path, folder):
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for file in sorted(folder.iterdir()):
            tar.add(file, file.name)


def test_imagenet_is_unpacked_from_its_archives(tmp_path, monkeypatch):
    from scipy.io import savemat

    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(RuntimeError, match=r"devkit_t12\.tar\.gz is not present"):
        datasets.ImageNet(root)
    monkeypatch.setattr(
        imagenet, "ARCHIVE_META", {k: (n, None) for k, (n, _) in imagenet.ARCHIVE_META.items()}
    )
    data = tmp_path / "devkit" / "ILSVRC2012_devkit_t12" / "data"
    data.mkdir(parents=True)
    fields = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    synsets = [(1, "n02", "kit fox, Vulpes", 0), (2, "n01", "dog", 0), (3, "n03", "animal", 2)]
    savemat(data / "meta.mat", {"synsets": np.array(synsets, fields)})
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text("2\n1\n2\n")
    archive(root / "ILSVRC2012_devkit_t12.tar.gz", tmp_path / "devkit")
    photographs(tmp_path / "val", ["a", "b", "c"])
    archive(root / "ILSVRC2012_img_val.tar", tmp_path / "val")
    (tmp_path / "train").mkdir()
    for wnid, names in (("n01", ["x"]), ("n02", ["y", "z"])):
        photographs(tmp_path / wnid, names)
        archive(tmp_path / "train" / f"{wnid}.tar", tmp_path / wnid)
    archive(root / "ILSVRC2012_img_train.tar", tmp_path / "train")
    train = datasets.ImageNet(str(root))
    assert train.targets == [0, 1, 1] and "Split: train" in str(train)
    for _ in range(2):  # the second time from what was unpacked
        found = datasets.ImageNet(root, "val", target_transform=str)
        assert found.targets == [0, 0, 1] and found[2][1] == "1"
        assert found.wnids == ["n01", "n02"] and found.wnid_to_idx == {"n01": 0, "n02": 1}
        assert found.classes == [("dog",), ("kit fox", "Vulpes")]
        assert found.class_to_idx == {"dog": 0, "kit fox": 1, "Vulpes": 1}
        assert [os.path.relpath(p, root / "val") for p, _ in found.samples] == [
            os.path.join(*p) for p in (("n01", "a.jpg"), ("n01", "c.jpg"), ("n02", "b.jpg"))
        ]
        for file in root.glob("*.tar*"):
            file.unlink()
    assert sorted(p.name for p in root.iterdir()) == ["meta.bin", "train", "val"]


def test_celeba(tmp_path, monkeypatch):
    folder = tmp_path / "celeba"
    folder.mkdir()
    names = ["1.jpg", "2.jpg", "3.jpg"]
    photographs(tmp_path / "zip" / "img_align_celeba", ["1", "2", "3"])
    shutil.make_archive(str(folder / "img_align_celeba"), "zip", tmp_path / "zip")
    for file, head, rows in (
        ("list_eval_partition", "", ("0", "2", "0")),
        ("identity_CelebA", "", ("7", "8", "9")),
        ("list_bbox_celeba", "3\nimage_id x y width height\n", ("1 2 3 4", "5 6 7 8", "9 1 2 3")),
        ("list_landmarks_align_celeba", "3\nx y\n", ("1 2", "3 4", "5 6")),
        ("list_attr_celeba", "3\nBald Male\n", ("-1  1", " 1 -1", "-1 -1")),
    ):
        lines = [f"{name} {row}\n" for name, row in zip(names, rows, strict=True)]
        (folder / f"{file}.txt").write_text(head + "".join(lines))
    with pytest.raises(RuntimeError, match="not found or corrupted"):
        datasets.CelebA(tmp_path, download=True)
    files = [(place, None, name) for place, _, name in datasets.CelebA.file_list]
    monkeypatch.setattr(datasets.CelebA, "file_list", files)
    found = datasets.CelebA(str(tmp_path), download=True)
    assert len(found) == 2 and found.filename == ["1.jpg", "3.jpg"]
    assert found.attr.tolist() == [[0, 1], [0, 0]] and found.attr_names == ["Bald", "Male"]
    assert found[0][0].size == (6, 4) and found[0][1].tolist() == [0, 1]
    kinds = ["identity", "bbox", "landmarks"]
    test = datasets.CelebA(tmp_path, "test", kinds, target_transform=list)
    assert [t.tolist() for t in test[0][1]] == [8, [5, 6, 7, 8], [3, 4]]
    everything = datasets.CelebA(tmp_path, "all", [])
    assert len(everything) == 3 and everything[2][1] is None
    assert "Target type: []" in str(everything) and "Split: all" in str(everything)
    with pytest.raises(ValueError, match="split"):
        datasets.CelebA(tmp_path, "val")
    with pytest.raises(RuntimeError, match="target_type is empty"):
        datasets.CelebA(tmp_path, target_type=[], target_transform=list)


def photographs(folder, names, mode="RGB", ending="jpg"):
    image = pytest.importorskip("PIL.Image", reason="reads files with Pillow")
    folder.mkdir(parents=True)
    for name in names:
        image.new(mode, (6, 4)).save(folder / f"{name}.{ending}")


NOTES = """<annotation><folder>VOC2012</folder><owner/>
<size><width>6</width><height>4</height></size>
<object><name>cat</name><part><name>head</name></part><part><name>foot</name></part></object>
</annotation>"""


def test_voc(tmp_path):
    folder = tmp_path / "VOCdevkit" / "VOC2012"
    photographs(folder / "JPEGImages", ["a", "b"])
    photographs(folder / "SegmentationClass", ["a", "b"], "P", "png")
    for kind in ("Segmentation", "Main"):
        (folder / "ImageSets" / kind).mkdir(parents=True)
        (folder / "ImageSets" / kind / "val.txt").write_text("a\nb\n")
    (folder / "Annotations").mkdir()
    (folder / "Annotations" / "a.xml").write_text(NOTES)
    found = datasets.VOCSegmentation(str(tmp_path), image_set="val")
    image, mask = found[1]
    assert len(found) == 2 and image.mode == "RGB" and mask.mode == "P" and mask.size == (6, 4)
    assert found.masks[0].endswith("SegmentationClass/a.png")
    found = datasets.VOCDetection(tmp_path, image_set="val", transforms=lambda i, t: (t, i))
    notes = found[0][0]["annotation"]
    assert notes["size"] == {"width": "6", "height": "4"} and notes["folder"] == "VOC2012"
    assert "owner" not in notes
    assert notes["object"] == [{"name": "cat", "part": [{"name": "head"}, {"name": "foot"}]}]
    with pytest.raises(RuntimeError, match="not found"):
        datasets.VOCDetection(tmp_path, "2007", "test")
    with pytest.raises(ValueError, match="image_set"):
        datasets.VOCDetection(tmp_path, "2012", "test")


def test_pets(tmp_path):
    folder = tmp_path / "oxford-iiit-pet"
    names = ["Abyssinian_1", "great_pyrenees_7", "Abyssinian_2"]
    photographs(folder / "images", names)
    photographs(folder / "annotations" / "trimaps", names, "L", "png")
    numbers = [(1, 1), (2, 2), (1, 1)]
    rows = [f"{name} {a} {b} 1" for name, (a, b) in zip(names, numbers, strict=True)]
    (folder / "annotations" / "test.txt").write_text("\n".join(rows))
    found = datasets.OxfordIIITPet(
        tmp_path, "test", ["category", "binary-category", "segmentation"]
    )
    assert found.classes == ["Abyssinian", "Great Pyrenees"] and len(found) == 3
    image, (breed, kind, mask) = found[1]
    assert (image.size, breed, kind, mask.mode) == ((6, 4), 1, 1, "L")
    assert datasets.OxfordIIITPet(tmp_path, "test")[0][1] == 0
    with pytest.raises(RuntimeError, match="not found"):
        datasets.OxfordIIITPet(tmp_path / "none")
    with pytest.raises(ValueError, match="target_types"):
        datasets.OxfordIIITPet(tmp_path, target_types="breed")


def test_coco(tmp_path, monkeypatch):
    import sys
    import types

    class COCO:  # as much of pycocotools as is used
        def __init__(self, file):
            self.imgs = {7: {"file_name": "b.jpg"}, 3: {"file_name": "a.jpg"}}

        def loadImgs(self, id):
            return [self.imgs[id]]

        def getAnnIds(self, id):
            return [id + 1]

        def loadAnns(self, ids):
            return [{"id": i, "caption": f"number {i}"} for i in ids]

    module = types.ModuleType("pycocotools.coco")
    module.COCO = COCO
    monkeypatch.setitem(sys.modules, "pycocotools", types.ModuleType("pycocotools"))
    monkeypatch.setitem(sys.modules, "pycocotools.coco", module)
    photographs(tmp_path / "photos", ["a", "b"])
    found = datasets.CocoDetection(tmp_path / "photos", "notes.json")
    assert found.ids == [3, 7] and found[1][1] == [{"id": 8, "caption": "number 8"}]
    assert datasets.CocoCaptions(tmp_path / "photos", "", target_transform=len)[0][1] == 1
    with pytest.raises(ValueError, match="integer"):
        found["a"]

#!/usr/bin/env python3
"""Draw the bundled sample of Fashion-MNIST: 600 training and 100 test images of each class.

    apt install dataset-fashion-mnist
    python scripts/make_fashion_sample.py

Which images are drawn, and the files to the last byte, depend on nothing but the Debian package and
zlib.
"""

import argparse
import gzip
import struct
from pathlib import Path

import numpy as np

SOURCE = "/usr/share/datasets/fashion-mnist"
TARGET = Path(__file__).parents[1] / "rushlight" / "vision" / "data" / "fashion-mnist-sample"
PER_CLASS = {"train": 600, "t10k": 100}
SEED = 20170825  # the day the data set was published


def read(path):
    data = gzip.decompress(Path(path).read_bytes())
    ndim = data[3]
    shape = struct.unpack_from(f">{ndim}I", data, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * ndim).reshape(shape)


def write(path, array):
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes(), compresslevel=9, mtime=0))


def draw(labels, count):
    """Indices of `count` images of each class, in the order of the full data set."""
    random = np.random.RandomState(SEED)  # its stream never changes
    chosen = [random.permutation(np.flatnonzero(labels == kind))[:count] for kind in range(10)]
    return np.sort(np.concatenate(chosen))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", default=SOURCE, help="folder of the full data set")
    parser.add_argument("--target", type=Path, default=TARGET, help="folder to write to")
    args = parser.parse_args()
    args.target.mkdir(parents=True, exist_ok=True)
    for part, count in PER_CLASS.items():
        names = f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz"
        images, labels = (read(Path(args.source) / name) for name in names)
        index = draw(labels, count)
        for name, array in zip(names, (images, labels), strict=True):
            write(args.target / name, array[index])
            print(f"{args.target / name}: {array[index].shape}")


if __name__ == "__main__":
    main()

"""Image data sets. `base` is what they share, `utils` fetches their files."""

from rushlight.vision.datasets.base import VisionDataset
from rushlight.vision.datasets.cifar import CIFAR10, CIFAR100
from rushlight.vision.datasets.fake import FakeData
from rushlight.vision.datasets.folder import DatasetFolder, ImageFolder
from rushlight.vision.datasets.mnist import EMNIST, KMNIST, MNIST, FashionMNIST, FashionMNISTSample

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "EMNIST",
    "KMNIST",
    "MNIST",
    "DatasetFolder",
    "FakeData",
    "FashionMNIST",
    "FashionMNISTSample",
    "ImageFolder",
    "VisionDataset",
]

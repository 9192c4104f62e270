"""Image data sets. `base` is what they share, `utils` fetches their files."""

from rushlight.vision.datasets.base import VisionDataset
from rushlight.vision.datasets.celeba import CelebA
from rushlight.vision.datasets.cifar import CIFAR10, CIFAR100
from rushlight.vision.datasets.coco import CocoCaptions, CocoDetection
from rushlight.vision.datasets.fakedata import FakeData
from rushlight.vision.datasets.folder import DatasetFolder, ImageFolder
from rushlight.vision.datasets.imagenet import ImageNet
from rushlight.vision.datasets.listed import (
    DTD,
    GTSRB,
    Country211,
    EuroSAT,
    Flowers102,
    Food101,
    Imagenette,
    Omniglot,
)
from rushlight.vision.datasets.mnist import EMNIST, KMNIST, MNIST, FashionMNIST, FashionMNISTSample
from rushlight.vision.datasets.oxford_iiit_pet import OxfordIIITPet
from rushlight.vision.datasets.stl10 import STL10
from rushlight.vision.datasets.svhn import SVHN
from rushlight.vision.datasets.voc import VOCDetection, VOCSegmentation

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "DTD",
    "EMNIST",
    "GTSRB",
    "KMNIST",
    "MNIST",
    "STL10",
    "SVHN",
    "CelebA",
    "CocoCaptions",
    "CocoDetection",
    "Country211",
    "EuroSAT",
    "Flowers102",
    "Food101",
    "Imagenette",
    "Omniglot",
    "OxfordIIITPet",
    "VOCDetection",
    "VOCSegmentation",
    "DatasetFolder",
    "FakeData",
    "FashionMNIST",
    "FashionMNISTSample",
    "ImageFolder",
    "ImageNet",
    "VisionDataset",
]

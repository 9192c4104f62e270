"""The functions of `torch.utils.data` that make batches."""

from rushlight.utils.data.collate import default_collate as default_collate
from rushlight.utils.data.collate import default_convert as default_convert

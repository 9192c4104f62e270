"""Files that TensorBoard shows. They are written here, so that nothing has to be installed for
that; looking at them takes ``pip install tensorboard`` and ``tensorboard --logdir runs``.

Reading order: records (files and messages), images, summaries (one function per kind), graphs,
writer.
"""

from rushlight.utils.tensorboard.records import FileWriter
from rushlight.utils.tensorboard.writer import SummaryWriter

__all__ = ["FileWriter", "SummaryWriter"]

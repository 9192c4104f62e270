"""Data pipes: datasets chained by methods, ``pipe.map(f).batch(4)``. PyTorch keeps them for old
programs; new ones use datasets and a ``DataLoader``. ``iter`` has streams, ``map`` what is found by
index.
"""

from rushlight.utils.data.datapipes import datapipe as datapipe, iter as iter, map as map

"""Convolution, its gradients, and maxima of windows. In the order in which to read it:

- ``shapes``: sizes, and which convolutions the gradient of an input is made of
- products of weights and columns: ``columns``, ``tiles``, ``panels``, ``weights``, ``conv``
- few outputs (``direct``); few channels and many images (``batched``, ``turn``); each channel by
  itself on narrow planes (``channels``)
- Winograd's transforms: ``ways`` (of one dim), ``winograd``, ``blocks``,
  ``transformed``
- ``pool``
"""

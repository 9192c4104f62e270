"""Sparse tensors, compared with PyTorch's."""

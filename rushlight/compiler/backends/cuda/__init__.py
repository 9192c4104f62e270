"""Kernels for NVIDIA GPUs: CUDA C, written for each shape and compiled by NVRTC, beside cuBLAS and
cuDNN.
"""

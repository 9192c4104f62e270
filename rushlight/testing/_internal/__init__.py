"""Where test files of libraries look for what PyTorch's own tests are made of."""

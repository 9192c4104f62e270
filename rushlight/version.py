"""The version, and those of libraries that rushlight does not have."""

# programs ask for PyTorch's version to know what they may call: its part comes first, ours follows
__version__ = "2.13.0+rushlight.0.1.0"
cuda = None
hip = None
debug = False
rocm = None
xpu = None
git_version = "Unknown"  # of PyTorch, whose sources these are not

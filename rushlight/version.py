"""The version, and those of libraries that rushlight does not have."""

__version__ = "0.1.0"
cuda = None
hip = None
debug = False

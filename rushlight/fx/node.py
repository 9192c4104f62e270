"""Where programs import the class from."""

from rushlight.fx import Node as Node

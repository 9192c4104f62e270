"""Where programs import the class from."""

from rushlight.fx import Proxy as Proxy

"""``python -m rushlight program.py ...``: runs a PyTorch program as it is, with rushlight.

``import torch`` in the program, and in all that it imports, gives rushlight, and ``torchvision``
gives ``rushlight.vision``; PyTorch need not be installed. ``-m package.module`` in place of the
file works as in Python itself.
"""

import runpy
import sys
from pathlib import Path

from rushlight import alias
from rushlight.version import __version__

USAGE = f"""rushlight {__version__}

usage: python -m rushlight program.py [arguments]
       python -m rushlight -m package.module [arguments]

Runs a PyTorch program as it is: `import torch` gives rushlight."""


def main() -> None:
    arguments = sys.argv[1:]
    module = arguments[:1] == ["-m"]
    if not arguments[module:] or arguments[0] in ("-h", "--help"):
        print(USAGE)
        sys.exit(0 if arguments and not module else 2)
    alias.install()
    sys.argv = arguments[module:]
    if module:
        sys.path.insert(0, "")
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    elif Path(sys.argv[0]).exists():
        alias.search(sys.argv[0])
        sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        sys.exit(f"rushlight: there is no file {sys.argv[0]!r}.")


if __name__ == "__main__":
    main()

"""Depth of pictures, as the original's run.py: see `python run.py --help`."""

import sys

try:
    from depth_anything_v2.cli.original import run_main
except ModuleNotFoundError as missing:
    sys.exit(f"run.py: error: {missing}: `pip install .` first, or use the Python of .venv that `make demo` sets up")

if __name__ == "__main__":
    sys.exit(run_main())

"""Depth of pictures, as the original's run.py: see `python run.py --help`."""

import sys

from depth_anything_v2.cli.original import run_main

if __name__ == "__main__":
    sys.exit(run_main())

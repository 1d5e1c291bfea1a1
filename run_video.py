"""Depth of videos, as the original's run_video.py: see `python run_video.py --help`."""

import sys

try:
    from depth_anything_v2.cli.video import main
except ModuleNotFoundError as missing:
    sys.exit(
        f"run_video.py: error: {missing}: `pip install .` first, or use the Python of .venv that `make demo` sets up"
    )

if __name__ == "__main__":
    sys.exit(main())

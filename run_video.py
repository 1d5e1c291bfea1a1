"""Depth of videos, as the original's run_video.py: see `python run_video.py --help`."""

import sys

from depth_anything_v2.cli.video import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m depth_anything_v2` is `depth-anything`."""

import sys

from depth_anything_v2.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

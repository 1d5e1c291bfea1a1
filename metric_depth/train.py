"""Training for depth in metres, as the original's metric_depth/train.py: see `python metric_depth/train.py --help`."""

import sys
from pathlib import Path

try:
    import depth_anything_v2  # noqa: F401
except ModuleNotFoundError:  # not installed: the package is beside this folder
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

try:
    from depth_anything_v2.cli.original_train import train_main
except ModuleNotFoundError as missing:
    sys.exit(f"train.py: error: {missing}: `pip install .` first, or use the Python of .venv that `make demo` sets up")

if __name__ == "__main__":
    sys.exit(train_main())

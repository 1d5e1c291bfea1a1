"""Point clouds from pictures, as the original's script: see `python metric_depth/depth_to_pointcloud.py --help`."""

import sys
from pathlib import Path

try:
    import depth_anything_v2  # noqa: F401
except ModuleNotFoundError:  # not installed: the package is beside this folder
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

try:
    from depth_anything_v2.cli.original_cloud import pointcloud_main
except ModuleNotFoundError as missing:
    sys.exit(
        f"depth_to_pointcloud.py: error: {missing}: `pip install .` first, or use the Python of .venv that `make demo` "
        "sets up"
    )

if __name__ == "__main__":
    sys.exit(pointcloud_main())

"""The web page: python app.py [--host 127.0.0.1] [--port 7860] [--checkpoint NAME]."""

from __future__ import annotations

import sys

try:
    from depth_anything_v2.cli.app import main
except ModuleNotFoundError as missing:
    sys.exit(f"app.py: error: {missing}: `pip install .` first, or use the Python of .venv that `make demo` sets up")

if __name__ == "__main__":
    sys.exit(main())

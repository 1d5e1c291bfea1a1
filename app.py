"""The web page: python app.py [--host 127.0.0.1] [--port 7860] [--checkpoint NAME]."""

from __future__ import annotations

import sys

from depth_anything_v2.cli.app import main

if __name__ == "__main__":
    sys.exit(main())

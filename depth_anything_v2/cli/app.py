"""The command of `app.py`: serve the web page."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from depth_anything_v2.cli import common

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="app.py", description="Serve the web page.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 lets others in (127.0.0.1)")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on (7860)")
    parser.add_argument("--checkpoint", default="auto", metavar="NAME", help="the one chosen at first (auto)")
    parser.add_argument("--max-depth", type=float, metavar="METRES", help="that checkpoint is metric, up to this depth")
    parser.add_argument("--relative", action="store_true", help="that checkpoint is relative")
    common.add_engine_options(parser)
    options = parser.parse_args(argv)

    def serve() -> None:
        from depth_anything_v2.jobs.options import EstimatorOptions
        from depth_anything_v2.web.page import launch

        loading = EstimatorOptions(
            options.checkpoint,
            max_depth_m=options.max_depth,
            relative=options.relative,
            **common.engine_options(options),
        )

        def ready(address: str, checkpoint: str) -> None:
            common.say(f"Depth Anything V2, checkpoint {checkpoint}: {address} (Ctrl-C ends it)")

        launch(loading, host=options.host, port=options.port, examples=EXAMPLES, on_ready=ready)

    return common.run_safely(serve, "app.py")

"""The page: upload, choose, compute, compare, download. It loads nothing from other hosts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from depth_anything_v2.errors import DepthAnythingError, MissingExtraError, OptionError
from depth_anything_v2.io.colormaps import COLORMAPS
from depth_anything_v2.io.images import IMAGE_SUFFIXES
from depth_anything_v2.web.session import PageSession, checkpoint_choices

TITLE = "Depth Anything V2"
INTRODUCTION = """# Depth Anything V2
Depth from one ordinary picture. The picture stays on the machine that serves this page."""
CSS = """
.gradio-container { max-width: 1100px !important; margin: 0 auto !important; }
#result img { object-fit: contain; }
"""


def import_gradio() -> Any:
    """Return gradio with everything that phones home switched off. Raises MissingExtraError without it."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import gradio
    except ImportError:
        raise MissingExtraError("gradio", "app", "the web page") from None
    return gradio


def build_page(session: PageSession, *, checkpoint: str = "auto", examples: Path | None = None) -> Any:
    """Return the page as gradio.Blocks.

    checkpoint: the one chosen at first; examples: a folder of pictures to try.
    """
    gradio = import_gradio()
    choices = checkpoint_choices(checkpoint)

    def compute(path: str | None, name: str, input_size: float | None, colormap: str) -> tuple[Any, ...]:
        try:
            result = session.compute(path, name, int(input_size or 0), colormap)
        except DepthAnythingError as error:
            raise gradio.Error(str(error), title="That did not work", print_exception=False) from error
        files = [gradio.DownloadButton(value=str(file), interactive=True) for file in (result.grey, result.png16)]
        return (result.before, result.after), *files, result.text

    with gradio.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gradio.Markdown(INTRODUCTION)
        with gradio.Row():
            with gradio.Column(min_width=320):
                picture = gradio.Image(label="Picture", sources=["upload", "clipboard"], height=360, elem_id="upload")
                # The upload as the file it was: the package's own reader decodes it, or says what is wrong with it.
                picture.preprocess = _path_of
                name = gradio.Dropdown(choices, value=choices[0][1], label="Checkpoint, its numbers and its licence")
                with gradio.Row():
                    input_size = gradio.Number(
                        label="Input size (0: the model's own)", value=0, minimum=0, maximum=4096, precision=0
                    )
                    colormap = gradio.Dropdown(list(COLORMAPS), value="spectral", label="Colours")
                button = gradio.Button("Compute depth", variant="primary", elem_id="compute")
            with gradio.Column(min_width=320):
                slider = gradio.ImageSlider(
                    label="Picture and depth",
                    slider_position=50,
                    max_height=460,
                    buttons=["fullscreen"],
                    elem_id="result",
                )
                text = gradio.Markdown(elem_id="told")
                with gradio.Row():
                    grey = gradio.DownloadButton("Grey picture (8 bit)", interactive=False, elem_id="grey")
                    png16 = gradio.DownloadButton("The numbers (16-bit PNG)", interactive=False, elem_id="png16")
        found = sorted(p for p in examples.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES) if examples else []
        if found:
            gradio.Examples([[str(path)] for path in found], [picture], cache_examples=False, label="Examples")
        button.click(compute, [picture, name, input_size, colormap], [slider, grey, png16, text], api_name="depth")
    return page


def _path_of(payload: Any) -> str | None:
    return payload.path if payload else None


def launch(
    *, host: str = "127.0.0.1", port: int = 7860, checkpoint: str = "auto", examples: Path | None = None
) -> None:
    """Serve the page until interrupted.

    Raises MissingExtraError without gradio, OptionError when the port is taken, CheckpointError when a
    checkpoint that was named is not to be had.
    """
    gradio = import_gradio()
    theme = gradio.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    with PageSession() as session:
        if checkpoint != "auto":
            session.estimator(checkpoint)
        examples = examples if examples is not None and examples.is_dir() else None
        page = build_page(session, checkpoint=checkpoint, examples=examples)
        try:
            page.launch(
                server_name=host,
                server_port=port,
                share=False,
                ssr_mode=False,
                run_history=False,
                footer_links=[],
                allowed_paths=[str(session.folder)],
                theme=theme,
                css=CSS,
            )
        except OSError as error:
            raise OptionError(f"the page can't be served at {host}:{port}: {error}; choose another --port") from error

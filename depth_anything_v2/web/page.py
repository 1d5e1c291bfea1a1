"""The page: upload, choose, compute, compare, download. It loads nothing from other hosts."""

from __future__ import annotations

import html
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from depth_anything_v2.errors import DepthAnythingError, MissingExtraError, OptionError
from depth_anything_v2.io.colormaps import COLORMAPS
from depth_anything_v2.io.images import IMAGE_SUFFIXES
from depth_anything_v2.jobs.options import EstimatorOptions
from depth_anything_v2.web.session import PageResult, PageSession

TITLE = "Depth Anything V2"
INTRODUCTION = """# Depth Anything V2
Depth from one ordinary picture. Pictures go to the machine that serves this page, and no further."""
MAX_UPLOAD = "200mb"
CSS_FILE = Path(__file__).with_name("page.css")


def import_gradio() -> Any:
    """Return gradio with everything that phones home switched off. Raises MissingExtraError without it."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import gradio
    except ImportError:
        raise MissingExtraError("gradio", "app", "the web page") from None
    return gradio


def build_page(session: PageSession, *, examples: Path | None = None) -> Any:
    """Return the page as gradio.Blocks. examples: a folder of pictures to try.

    Raises MissingExtraError without gradio.
    """
    gradio = import_gradio()
    offers = session.offers
    first = next(iter(offers))
    with gradio.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gradio.Markdown(INTRODUCTION)
        with gradio.Row():
            with gradio.Column(min_width=300):
                picture = gradio.Image(
                    label="Picture", sources=["upload", "clipboard"], type="filepath", height=360, elem_id="upload"
                )
                choices = [(offer.label, offer.name) for offer in offers.values()]
                name = gradio.Dropdown(choices, value=first, label="Checkpoint", elem_id="checkpoint")
                about = gradio.Markdown(offers[first].describe(), elem_id="about")
                fetch = gradio.Button("Download", visible=False, elem_id="fetch")
                with gradio.Row():
                    input_size = gradio.Number(
                        label="Input size (0 = auto)",
                        value=0,
                        precision=0,
                        min_width=120,
                    )
                    colormap = gradio.Dropdown(list(COLORMAPS), value="spectral", label="Colours", min_width=120)
                button = gradio.Button("Compute depth", variant="primary", elem_id="compute")
            with gradio.Column(min_width=300):
                slider = gradio.ImageSlider(
                    label="Picture and depth",
                    type="filepath",
                    interactive=False,
                    max_height=480,
                    buttons=["fullscreen"],
                    elem_id="result",
                )
                told = gradio.Markdown("Upload a picture or choose an example, then compute.", elem_id="told")
                files = _download_buttons(gradio)
        _add_examples(gradio, picture, examples)
        result = gradio.State(None)
        shown = [result, slider, told, *files]
        # preprocess=False: an upload reaches the package's own reader as the file it was.
        button.click(
            _computing(gradio, session),
            [picture, name, input_size, colormap],
            shown,
            preprocess=False,
            api_name="depth",
            concurrency_limit=1,
            show_progress_on=slider,
        )
        colormap.input(
            _recolouring(gradio, session),
            [result, colormap],
            shown,
            preprocess=False,
            api_visibility="private",
            show_progress_on=slider,
        )
        tell = _telling(gradio, session)
        gradio.on(
            [page.load, name.change], tell, [name], [about, fetch], api_visibility="private", show_progress="hidden"
        )
        fetch.click(
            _fetching(gradio, session), [name], [about, fetch], concurrency_limit=1, api_visibility="private"
        ).then(tell, [name], [about, fetch], api_visibility="private", show_progress="hidden")
    return page


def launch(
    options: EstimatorOptions | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    examples: Path | None = None,
    on_ready: Callable[[str, str], None] | None = None,
) -> None:
    """Serve the page until interrupted (KeyboardInterrupt passes through).

    options: the checkpoint chosen at first, downloaded if it was named and can be, and how it runs. 'auto' is
    `vits` if it is on disk, else the built-in one: the page is there at once. on_ready: called with the address
    and the name of that checkpoint.

    Raises MissingExtraError without gradio, OptionError when the port is taken, CheckpointError when the
    checkpoint is not to be had.
    """
    gradio = import_gradio()
    _reach_itself_without_proxy()
    options = options or EstimatorOptions()
    cache = Path(gradio.utils.get_upload_folder())
    cache.mkdir(parents=True, exist_ok=True)
    with PageSession(options, cache) as session:
        first = next(iter(session.offers))
        if session.offers[first].download_size and not options.offline:
            session.download(first)
        session.estimator(first)
        page = build_page(session, examples=examples)
        try:
            _start(gradio, page, host, port)
            if on_ready is not None:
                on_ready(page.local_url, first)
            threading.Event().wait()
        finally:
            page.close(verbose=False)


def _start(gradio: Any, page: Any, host: str, port: int) -> None:
    theme = gradio.themes.Base(
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"], radius_size="md"
    )
    try:
        page.launch(
            server_name=host,
            server_port=port,
            share=False,
            ssr_mode=False,
            run_history=False,
            footer_links=[],
            max_file_size=MAX_UPLOAD,
            theme=theme,
            css_paths=CSS_FILE,
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise OptionError(
            f"the page can't be served at {host}:{port}, which is taken or not of this machine: "
            "choose another --port or --host"
        ) from error


def _reach_itself_without_proxy() -> None:
    """gradio asks itself whether it is there; through a proxy it would not find itself."""
    for key in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in os.environ.get(key, "").split(",") if host]
        os.environ[key] = ",".join(dict.fromkeys([*hosts, "localhost", "127.0.0.1", "::1"]))


def _download_buttons(gradio: Any) -> list[Any]:
    buttons = []
    for labels in (
        (("Colours (PNG)", "colours"), ("Grey, 8 bit (PNG)", "grey")),
        (("Numbers, 16 bit (PNG)", "png16"), ("Numbers, float32 (NPZ)", "npz")),
    ):
        with gradio.Row():
            buttons += [
                gradio.DownloadButton(label, interactive=False, elem_id=name, size="md", min_width=140)
                for label, name in labels
            ]
    return buttons


def _add_examples(gradio: Any, picture: Any, folder: Path | None) -> None:
    if folder is None or not folder.is_dir():
        return
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if found:
        gradio.Examples([[str(path)] for path in found], [picture], cache_examples=False, label="Examples")


@contextmanager
def _errors_shown(gradio: Any) -> Iterator[None]:
    """The errors of this package become a message on the page; gradio takes it for HTML."""
    try:
        yield
    except DepthAnythingError as error:
        message = html.escape(str(error), quote=False)
        raise gradio.Error(message, print_exception=False, duration=None) from error


def _outputs(gradio: Any, result: PageResult) -> tuple[Any, ...]:
    files = (result.colours, result.grey, result.png16, result.npz)
    buttons = [gradio.update(value=str(file), interactive=True) for file in files]
    return result, (str(result.before), str(result.after)), result.text, *buttons


def _computing(gradio: Any, session: PageSession) -> Callable[..., tuple[Any, ...]]:
    def compute(picture: dict[str, Any] | None, name: str, input_size: float | None, colormap: str) -> tuple[Any, ...]:
        """Depth of one picture: [picture, depth in colours], what the numbers are, and the files."""
        with _errors_shown(gradio):
            path = Path(picture["path"]) if picture else None
            return _outputs(gradio, session.compute(path, name, input_size, colormap))

    return compute


def _recolouring(gradio: Any, session: PageSession) -> Callable[..., Any]:
    def recolour(result: PageResult | None, colormap: str) -> Any:
        if result is None:
            return gradio.skip()
        with _errors_shown(gradio):
            return _outputs(gradio, session.recolour(result, colormap))

    return recolour


def _telling(gradio: Any, session: PageSession) -> Callable[..., tuple[Any, ...]]:
    def tell(name: str) -> tuple[Any, ...]:
        offer = session.offer(name)
        size = offer.download_size
        return offer.describe(), gradio.update(
            visible=size is not None, interactive=True, value=f"Download {name} ({size})"
        )

    return tell


def _fetching(gradio: Any, session: PageSession) -> Callable[..., Iterator[tuple[Any, ...]]]:
    def fetch(name: str) -> Iterator[tuple[Any, ...]]:
        with _errors_shown(gradio):
            size = session.offer(name).download_size
            yield f"Downloading {name} ({size}) …", gradio.update(interactive=False)
            session.download(name)

    return fetch

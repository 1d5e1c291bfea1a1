"""The page's server in a process of its own, asked over HTTP."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from page_server import ROOT, WATCHED, Server

from depth_anything_v2.cli.app import main
from depth_anything_v2.errors import MissingExtraError
from depth_anything_v2.web.page import import_gradio

COFFEE = ROOT / "assets" / "examples" / "coffee.jpg"


def ask(server: Server, path: str, name: Any = "builtin") -> tuple[str, Any]:
    """Call the page's function; return the last event ('complete' or 'error') and its data."""
    data = [{"path": path, "meta": {"_type": "gradio.FileData"}}, name, 64, "spectral"]
    call = f"{server.address}gradio_api/call/depth"
    body = json.dumps({"data": data}).encode()
    request = urllib.request.Request(call, body, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        event = json.load(answer)["event_id"]
    with opener.open(f"{call}/{event}", timeout=60) as answer:
        lines = [line for line in answer.read().decode().splitlines() if line]
    return lines[-2].removeprefix("event: "), json.loads(lines[-1].removeprefix("data: "))


def test_only_uploads_are_read(server: Server, tmp_path: Path) -> None:
    outside = tmp_path / "private.jpg"
    shutil.copy(COFFEE, outside)
    event, _ = ask(server, str(outside))
    assert event == "error"
    (server.cache / "upload").mkdir(parents=True, exist_ok=True)
    event, data = ask(server, str(shutil.copy(COFFEE, server.cache / "upload")))
    assert event == "complete"
    assert "Inverse depth" in json.dumps(data)


def test_a_visitor_names_no_files(server: Server) -> None:
    (server.cache / "upload").mkdir(parents=True, exist_ok=True)
    upload = str(shutil.copy(COFFEE, server.cache / "upload"))
    event, _ = ask(server, upload, "/etc/passwd")
    assert event == "error"


def test_no_connection_leaves_the_machine(server: Server) -> None:
    (server.cache / "upload").mkdir(parents=True, exist_ok=True)
    event, _ = ask(server, str(shutil.copy(COFFEE, server.cache / "upload")))
    assert event == "complete"
    assert server.connections.read_text() == ""
    assert "checkpoint builtin" in server.output.read_text()


def test_the_watch_on_connections_works(server: Server, tmp_path: Path) -> None:
    script = tmp_path / "leak.py"
    script.write_text("import socket\ntry:\n socket.getaddrinfo('leak.invalid', 80)\nexcept OSError:\n pass\n")
    log = tmp_path / "log.txt"
    subprocess.run([sys.executable, "-c", WATCHED, str(script)], env={"WATCH_LOG": str(log)}, check=True)
    assert "leak.invalid" in log.read_text()


def test_what_cannot_be_served_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In this process, so without the real gradio, which leaves sockets open."""

    def taken(**options: Any) -> None:
        raise OSError("Cannot find empty port in range: 7860-7860")

    closed: list[bool] = []
    page = SimpleNamespace(launch=taken, close=lambda verbose: closed.append(verbose))
    gradio = SimpleNamespace(
        utils=SimpleNamespace(get_upload_folder=lambda: tmp_path),
        themes=SimpleNamespace(Base=lambda **options: None),
    )
    monkeypatch.setattr("depth_anything_v2.web.page.import_gradio", lambda: gradio)
    monkeypatch.setattr("depth_anything_v2.web.page.build_page", lambda session, examples: page)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    assert main(["--checkpoint", "builtin", "--port", "7860"]) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "127.0.0.1:7860" in shown
    assert "--port" in shown
    assert closed == [False]
    assert main(["--checkpoint", "vitz"]) == 2
    assert "vits" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_without_gradio_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(MissingExtraError, match="pip install gradio"):
        import_gradio()

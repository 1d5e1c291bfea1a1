"""Pictures behind http and https addresses, within a time and a size."""

from __future__ import annotations

import http.client
import queue
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from depth_anything_v2.errors import InputError
from depth_anything_v2.version import __version__

MAX_DOWNLOAD_BYTES = 500_000_000
_CHUNK = 1 << 18


def fetch(url: str, timeout_s: float, max_bytes: int = MAX_DOWNLOAD_BYTES) -> bytes:
    """Return the body behind an http or https address, at most `max_bytes`, within `timeout_s` in all.

    Redirects are followed as long as they stay with http and https; the proxies of the environment are used.
    Raises InputError: another scheme, no answer in time, an HTTP error, too large, cut off.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise InputError(f"cannot read '{url}': only http:// and https:// addresses are read; for a file give its path")
    answer: queue.Queue[bytes | BaseException] = queue.Queue()
    # A thread of its own, because looking up a name and a server that sends its header one byte at a time
    # are beyond the reach of a socket's timeout.
    threading.Thread(target=_download, args=(url, timeout_s, max_bytes, answer), daemon=True).start()
    try:
        result = answer.get(timeout=timeout_s)
    except queue.Empty:
        raise _too_slow(url, timeout_s) from None
    if isinstance(result, BaseException):
        raise result
    return result


def _download(url: str, timeout_s: float, max_bytes: int, answer: queue.Queue[bytes | BaseException]) -> None:
    try:
        answer.put(_read_body(url, timeout_s, max_bytes))
    except InputError as error:
        answer.put(error)
    except urllib.error.HTTPError as error:
        error.close()
        answer.put(InputError(f"cannot read '{url}': the server answered {error.code} ({error.reason})"))
    except TimeoutError:
        answer.put(_too_slow(url, timeout_s))
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        slow = isinstance(reason, TimeoutError)
        if isinstance(reason, socket.gaierror):
            reason = "no such host, or no network"
        answer.put(_too_slow(url, timeout_s) if slow else InputError(f"cannot read '{url}': {_one_line(reason)}"))


def _read_body(url: str, timeout_s: float, max_bytes: int) -> bytes:
    deadline = time.monotonic() + timeout_s
    request = urllib.request.Request(_quoted(url), headers={"User-Agent": f"depth-anything-v2/{__version__}"})
    too_large = InputError(f"cannot read '{url}': it is larger than the limit of {max_bytes / 1e6:g} MB for a download")
    with _opener().open(request, timeout=timeout_s) as response:
        length = response.headers.get("Content-Length")
        expected = int(length) if length is not None and length.isdigit() else None
        if expected is not None and expected > max_bytes:
            raise too_large
        body = bytearray()
        while chunk := response.read1(_CHUNK):
            body += chunk
            if len(body) > max_bytes:
                raise too_large
            if time.monotonic() > deadline:
                raise TimeoutError
        if expected is not None and len(body) < expected:
            raise InputError(
                f"cannot read '{url}': the connection ended after {len(body)} of {expected} bytes; try again"
            )
        return bytes(body)


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener without the handlers for file: and ftp: that a redirect could reach."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener


def _quoted(url: str) -> str:
    """Return the address in ASCII: spaces and letters beyond it escaped, escapes kept."""
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode("ascii")
    path, query = (urllib.parse.quote(part, safe="%/:=&?~+!$,;'@()*[]") for part in (parts.path, parts.query))
    return urllib.parse.urlunsplit((parts.scheme, host, path, query, ""))


def _too_slow(url: str, timeout_s: float) -> InputError:
    return InputError(f"cannot read '{url}': no complete answer within {timeout_s:g} s; try again or download it first")


def _one_line(reason: object) -> str:
    return " ".join(str(reason).split()) or type(reason).__name__

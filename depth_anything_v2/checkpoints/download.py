"""Fetching files from the Hugging Face Hub: resumable, checked by SHA-256, and quick to see that there is no network.

Addresses, credentials and transfer are huggingface-hub's. What it doesn't give any more, a download that goes
on in the next run, is the partial file kept here; plain HTTP is used for that, not the chunk store.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from depth_anything_v2.checkpoints import cache
from depth_anything_v2.errors import CheckpointDigestError, CheckpointDownloadError, CheckpointNotFoundError
from depth_anything_v2.version import __version__

PROBE_TIMEOUT_S = 1.5  # what the first picture may wait for a network that isn't there
METADATA_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 10.0  # until the next byte, per attempt
_CONNECT_TIMEOUT_S = 3.0  # per address of a host; the hub sends transfers to other hosts, which a firewall may swallow
PATIENCE_S = 60.0  # without a byte, however often it was tried: then a download of a named checkpoint fails
AUTO_PATIENCE_S = 10.0  # the same where the built-in checkpoint can stand in
_RETRY_PAUSE_S = 1.0
_SPARE_BYTES = 64 << 20  # left free on the disk


def endpoint() -> str:
    """Return the address of the hub: $HF_ENDPOINT, or https://huggingface.co."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def offline_by_environment() -> bool:
    """Whether $HF_HUB_OFFLINE (or $TRANSFORMERS_OFFLINE) forbids the network, as huggingface-hub reads them."""
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in {"1", "ON", "YES", "TRUE"}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer too: the hub is there."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def probe(repo: str, path: str, repo_type: str = "model", timeout_s: float = PROBE_TIMEOUT_S) -> str | None:
    """Ask the hub for one file without fetching it; return None if it is there, else why not, within timeout_s.

    The request runs in a thread of its own because name resolution has no time limit.
    """
    prefix = "" if repo_type == "model" else f"{repo_type}s/"
    address = f"{endpoint()}/{prefix}{repo}/resolve/main/{path}"
    outcome: list[str | None] = []

    def ask() -> None:
        try:
            request = urllib.request.Request(address, method="HEAD")
            with urllib.request.build_opener(_NoRedirect()).open(request, timeout=timeout_s):
                outcome.append(None)
        except urllib.error.HTTPError as error:
            error.close()
            outcome.append(None if error.code < 400 else f"the hub answered {error.code}")
        except (ValueError, http.client.InvalidURL):
            outcome.append(f"HF_ENDPOINT is not an address: {endpoint()}")
        except (OSError, http.client.HTTPException) as error:
            # A certificate that this Python can't check was still sent by somebody: let the download decide.
            untrusted = "CERTIFICATE_VERIFY_FAILED" in str(error)
            outcome.append(None if untrusted else "no network")

    thread = threading.Thread(target=ask, name="hub-probe", daemon=True)
    thread.start()
    thread.join(timeout_s)
    return outcome[0] if outcome else "the network doesn't answer"


def _hub() -> Any:
    """Import huggingface-hub with its telemetry off."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import huggingface_hub.errors
    import huggingface_hub.utils

    return huggingface_hub


def _network_errors() -> tuple[type[Exception], ...]:
    """Return the transport errors of whichever HTTP library this huggingface-hub uses."""
    names = (("httpx2", "HTTPError"), ("httpx", "HTTPError"), ("requests", "RequestException"))
    loaded = [(sys.modules[module], name) for module, name in names if module in sys.modules]
    return tuple(getattr(module, name) for module, name in loaded if hasattr(module, name))


@contextlib.contextmanager
def _translated(repo: str, path: str) -> Iterator[None]:
    """Turn the errors of huggingface-hub into this package's own, one sentence each."""
    errors = _hub().errors
    transport: tuple[type[Exception], ...] = (errors.HfHubHTTPError, errors.OfflineModeIsEnabled, *_network_errors())
    what = f"{repo}/{path}"
    try:
        yield
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        gated = isinstance(error, errors.GatedRepoError)
        way = "ask for access on its page, then `hf auth login`" if gated else "check the name; log in if it is private"
        raise CheckpointDownloadError(f"the hub has no repository '{repo}' that you can read: {way}") from error
    except errors.EntryNotFoundError as error:
        raise CheckpointDownloadError(f"the repository '{repo}' has no file '{path}' (404)") from error
    except transport as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        cause = f"the hub answered {status}" if status else f"no answer from {endpoint()}"
        raise CheckpointDownloadError(
            f"{what} can't be downloaded ({cause}): try again (a download that had begun goes on where it "
            "stopped), or put the file into ./checkpoints"
        ) from error
    except errors.HFValidationError as error:
        raise CheckpointNotFoundError(f"'{repo}' is not the name of a hub repository") from error
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise CheckpointDownloadError(f"{what} can't be saved or came incomplete: {reason}") from error


def list_repository(repo: str) -> list[str]:
    """Return the paths of the files in a model repository; raises CheckpointDownloadError."""
    hub = _hub()
    with _translated(repo, ""):
        info = hub.HfApi(endpoint=endpoint()).model_info(repo, timeout=METADATA_TIMEOUT_S)
    return [entry.rfilename for entry in info.siblings or []]


def fetch(
    repo: str,
    path: str,
    *,
    repo_type: str = "model",
    sha256: str | None = None,
    progress: bool = False,
    patience_s: float = PATIENCE_S,
) -> Path:
    """Download one file of a Hub repository into the cache and return it; a cut-off download goes on.

    sha256: what the file must have; without it the digest recorded at the first download, else the hub's own.
    A download with other bytes is deleted; a file in the cache that has changed is replaced by a good one.
    patience_s: seconds without a byte after which it fails. Raises CheckpointDownloadError, CheckpointDigestError.
    """
    hub = _hub()
    target = cache.repo_dir(repo) / path
    expected = sha256 or cache.recorded_digest(repo, path)
    with _translated(repo, path):
        headers = hub.utils.build_hf_headers(library_name="depth-anything-v2", library_version=__version__)
        url = hub.hf_hub_url(repo, path, repo_type=repo_type, endpoint=endpoint())
        found = hub.get_hf_file_metadata(url, timeout=METADATA_TIMEOUT_S, headers=dict(headers))
        target.parent.mkdir(parents=True, exist_ok=True)
        with hub.utils.WeakFileLock(target.with_name(target.name + ".lock")):
            if not _intact(target, expected):
                pinned = hub.hf_hub_url(
                    repo, path, repo_type=repo_type, revision=found.commit_hash, endpoint=endpoint()
                )
                version = (found.etag or "new").replace("/", "_")[:16]
                partial = target.with_name(f"{target.name}.{version}.part")
                _make_room(partial, found.size, path)
                _transfer(pinned, partial, found.size, dict(headers), _bar(path, found.size, progress), patience_s)
                hub_digest = found.etag if found.etag and len(found.etag) == 64 else None
                digest = _check(partial, expected or hub_digest, repo, path, recorded=sha256 is None)
                partial.replace(target)
                cache.record_download(repo, path, digest, found.commit_hash)
    cache.remember_unreachable(endpoint(), False)
    return target


def _intact(target: Path, expected: str | None) -> bool:
    return target.is_file() and expected in (None, cache.file_digest(target))


def _make_room(partial: Path, size: int | None, name: str) -> None:
    """Raise CheckpointDownloadError where the rest of a file doesn't fit on the disk; drop a part that is too long."""
    done = partial.stat().st_size if partial.is_file() else 0
    if size is None:  # nothing tells whether a part is already the whole
        partial.unlink(missing_ok=True)
        return
    if done > size:
        partial.unlink()
        done = 0
    free = shutil.disk_usage(partial.parent).free
    if done < size and size - done + _SPARE_BYTES > free:
        raise CheckpointDownloadError(
            f"{name} needs {(size - done) / 1e6:.0f} MB and {partial.parent} has {free / 1e6:.0f} MB free: "
            "make room, or set DEPTH_ANYTHING_CACHE to a folder on another disk"
        )


def _bar(name: str, size: int | None, shown: bool) -> Any:
    """Return huggingface-hub's bar on stderr, which the user's settings for it may hide."""
    return _hub().utils.tqdm(
        total=size,
        unit="B",
        unit_scale=True,
        desc=Path(name).name,
        disable=not shown,
        name="huggingface_hub.http_get",
    )


def _transfer(url: str, partial: Path, size: int | None, headers: dict[str, str], bar: Any, patience_s: float) -> None:
    """Fill the partial file from where it stands; what has come stays there when the line breaks for good.

    A broken or silent line is tried again until nothing has come for patience_s; an answer such as 503 is final.
    huggingface-hub's own download isn't used because its timeouts, six times ten seconds, can't be set.
    """
    moment = time.monotonic()
    with bar:
        while size is None or not partial.is_file() or partial.stat().st_size < size:
            left = max(1.0, patience_s - (time.monotonic() - moment))
            failure: Exception = OSError("the file ended early")
            try:
                for _ in _blocks(url, partial, headers, bar, min(READ_TIMEOUT_S, left), patience_s > AUTO_PATIENCE_S):
                    moment = time.monotonic()
                if size is None:
                    return
            except _network_errors() as error:
                failure = error
            if size is not None and partial.stat().st_size >= size:
                return
            final = getattr(failure, "response", None) is not None
            if final or time.monotonic() - moment + _RETRY_PAUSE_S >= patience_s:
                raise failure
            time.sleep(_RETRY_PAUSE_S)


def _blocks(
    url: str, partial: Path, headers: dict[str, str], bar: Any, timeout_s: float, patient: bool
) -> Iterator[None]:
    """Append one answer to the partial file and yield after each block, with either HTTP library of the hub's."""
    utils = _hub().utils
    stream = getattr(utils, "http_stream_backoff", None)
    connect_s = min(_CONNECT_TIMEOUT_S, timeout_s)
    limits = (connect_s, timeout_s, timeout_s, timeout_s) if stream else (connect_s, timeout_s)
    options: dict[str, Any] = {"timeout": limits, "max_retries": 5 if patient else 0}
    options |= {"retry_on_exceptions": (), "retry_on_status_codes": (408, 429)}
    with contextlib.ExitStack() as stack, partial.open("ab") as file:
        done = file.tell()
        asked = {**headers, "Accept-Encoding": "identity", **({"Range": f"bytes={done}-"} if done else {})}
        if stream is not None:
            response = stack.enter_context(stream("GET", url, headers=asked, **options))
        else:
            response = stack.enter_context(utils.http_backoff("GET", url, headers=asked, stream=True, **options))
        utils.hf_raise_for_status(response)
        if done and response.status_code != 206:  # the whole file, whatever was asked for
            file.truncate(0)
            done = 0
        bar.update(done - bar.n)
        for block in response.iter_bytes() if stream is not None else response.iter_content(1 << 14):
            file.write(block)
            bar.update(len(block))
            yield


def _check(partial: Path, expected: str | None, repo: str, path: str, *, recorded: bool) -> str:
    """Return the digest of a finished download; delete it and raise when it isn't the expected one."""
    digest = cache.file_digest(partial)
    if expected is None or digest == expected:
        return digest
    partial.unlink()
    known = f"the one first downloaded or announced (recorded in {cache.downloads_record()})"
    raise CheckpointDigestError(
        f"the download of {repo}/{path} was deleted: its SHA-256 is {digest[:12]}..., "
        f"not {expected[:12]}..., {known if recorded else 'the published one'}; "
        "try again, and don't use the file if it stays so"
    )

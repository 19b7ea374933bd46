"""Downloading a file once: within bounds of size and time, and a wrong file is never kept."""

import contextlib
import hashlib
import http.client
import io
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any, BinaryIO

from tqdm import tqdm

from support.errors import UserError
from support.locks import LOCK, held_if_possible

PART = ".part"  # FILE.part holds what has arrived of FILE
_CHUNK = 1 << 20  # bytes
_LARGEST = 2 << 30  # bytes a file: weights, of which no known network has a third
_LONGEST = 6 * 3600  # seconds a file
_TIMEOUT = 60  # seconds without a byte
_SLOWEST, _WINDOW = 64 << 10, 60  # a server must send so many bytes in so many seconds


class NotThereError(UserError):
    """The server has no such file."""


class _WrongFileError(Exception):
    """What was sent is not what it should be."""


def fetch(
    address: str,
    path: str,
    what: str,
    check: Callable[[str], object],
    hash_prefix: str | None = None,
    largest: int | None = None,
) -> None:
    """Downloads a file, unless `path` exists. Processes that want the same file wait for each other.

    address: an http or https address.
    path: where the file goes, once it is whole and checked.
    what: the file's name, for messages.
    check: called with the downloaded file's path; raises UserError if it is not what it should be.
    hash_prefix: the beginning of the file's SHA-256 (hexadecimal).
    largest: bytes that the file may have, where that is known (default: 2 GiB)

    Raises UserError, which says how to do it by hand, and NotThereError if the server has no such file.
    """
    if os.path.exists(path):
        return
    by_hand = f"download {address} by hand and put it at {path}"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with held_if_possible(path + LOCK, f"that fetches {what}"):
            if not os.path.exists(path):  # else another process was faster
                _fetch_checked(address, path, what, check, hash_prefix, min(largest or _LARGEST, _LARGEST))
    except _WrongFileError as error:
        raise UserError(
            f"what {address} sent is not {what}: {str(error).replace(path + PART, 'the download')}; or {by_hand}"
        ) from error
    except (OSError, http.client.HTTPException) as error:  # URLError, HTTPError and timeouts are OSErrors
        raise _refusal(error, f"{what} could not be fetched", by_hand) from error


def read_small(address: str, limit: int = 1 << 20) -> bytes:
    """The bytes at an http or https address, at most `limit`. Raises NotThereError or UserError."""
    try:
        with _open(address) as response:
            return response.read(limit)
    except (OSError, http.client.HTTPException) as error:
        raise _refusal(error, f"{address} could not be read", "check the address") from error


def is_address(text: str) -> bool:
    """Whether a text is an http or https address."""
    return urllib.parse.urlsplit(text).scheme in ("http", "https")


def _fetch_checked(
    address: str, path: str, what: str, check: Callable[[str], object], hash_prefix: str | None, largest: int
) -> None:
    part = path + PART
    try:
        with open(part, "wb") as file, _open(address) as response:
            _receive(response, file, what, largest)
            file.flush()
            os.fsync(file.fileno())
        _check(part, check, hash_prefix)
        os.replace(part, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)


def _receive(response: http.client.HTTPResponse, file: BinaryIO, what: str, largest: int) -> None:
    """Copies a response to a file. Raises OSError or HTTPException if it is cut off, too large, or takes too long."""
    total = response.headers.get("Content-Length")
    total = int(total) if total and total.isdigit() else None
    size, deadline = 0, time.monotonic() + _LONGEST
    with tqdm(desc=what, total=total, unit="B", unit_scale=True, leave=False, disable=None) as progress:
        # read1 does not wait for a whole chunk: a slow server could stretch that for hours
        while (total or 0) <= largest and (data := response.read1(_CHUNK)):
            size += len(data)
            if size > largest:
                break
            if time.monotonic() > deadline:
                raise OSError(f"it takes more than {_LONGEST / 3600:.3g} hours")
            file.write(data)
            progress.update(len(data))
    if max(size, total or 0) > largest:
        raise OSError(f"it has more than {largest / 1e9:.3g} GB")
    if total is not None and size != total:
        raise http.client.HTTPException(f"the connection ended after {size / 1e6:.1f} of {total / 1e6:.1f} MB")


def _check(part: str, check: Callable[[str], object], hash_prefix: str | None) -> None:
    if hash_prefix:
        with open(part, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if not found.startswith(hash_prefix):
            raise _WrongFileError(f"its SHA-256 begins with {found[: len(hash_prefix)]}, not {hash_prefix}")
    try:
        check(part)
    except UserError as error:
        raise _WrongFileError(str(error)) from error


def _refusal(error: Exception, problem: str, advice: str) -> UserError:
    kind = NotThereError if getattr(error, "code", None) in (404, 410) else UserError
    return kind(f"{problem} ({' '.join(str(error).split())}): {advice}")


def _open(address: str) -> http.client.HTTPResponse:
    """The response to a GET. Raises OSError (HTTPError among them) or HTTPException."""
    if not is_address(address):
        raise OSError(f"{address} is no http or https address")
    request = urllib.request.Request(address, headers={"User-Agent": "cosplace", "Accept-Encoding": "identity"})
    return urllib.request.build_opener(_Redirects, _Http, _Https).open(request, timeout=_TIMEOUT)


class _Paced(io.RawIOBase):
    """What a server sends, headers too. Raises OSError when it sends too little in _WINDOW seconds."""

    def __init__(self, source: io.RawIOBase):
        self._source, self._since, self._received = source, None, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        count = self._source.readinto(buffer)
        self._received += count
        now = time.monotonic()
        if self._since is None:
            self._since = now
        if now > self._since + _WINDOW:
            if count and self._received < _SLOWEST:
                raise OSError(f"the server sent {self._received} bytes in {now - self._since:.0f} s")
            self._since, self._received = now, 0
        return count

    def close(self) -> None:
        self._source.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        # `fp` is what http.client reads everything from
        self.fp = io.BufferedReader(_Paced(self.fp.detach()))


class _Pacing:
    def do_open(self, connection: type, request: urllib.request.Request, **options: Any) -> http.client.HTTPResponse:
        return super().do_open(type("_Connection", (connection,), {"response_class": _Response}), request, **options)


class _Http(_Pacing, urllib.request.HTTPHandler):
    pass


class _Https(_Pacing, urllib.request.HTTPSHandler):
    pass


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https alone, and none from https to http."""

    def redirect_request(self, request, response, code, message, headers, address):  # noqa: ANN001
        if not is_address(address) or (request.type == "https" and urllib.parse.urlsplit(address).scheme != "https"):
            raise urllib.error.HTTPError(
                request.full_url, code, f"it leads to {address}, which is not followed", headers, response
            )
        return super().redirect_request(request, response, code, message, headers, address)

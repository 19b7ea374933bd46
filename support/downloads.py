"""Fetching a file once: an interrupted download goes on where it stopped, and a wrong one is never kept.

What has arrived of FILE is in FILE.part; FILE.part.json says of which address it is, and which version the server named
(ETag or date), so that no file is pieced together of two.
"""

import contextlib
import hashlib
import http.client
import json
import logging
import os
import re
import urllib.error
import urllib.parse
import urllib.request

from tqdm import tqdm

from support.errors import UserError
from support.locks import held_if_possible

PART = ".part"
_CHUNK = 1 << 20  # bytes
_TIMEOUT = 60  # seconds without a byte
_RETRIES = 4  # after connections that ended in the middle


class NotThereError(UserError):
    """The server has no such file."""


def fetch(address, path, what, check, hash_prefix=None):
    """Downloads an http or https address to a path unless that exists. Processes that want the same file wait for each
    other.

    what: its name, for messages; check: called with the downloaded file's path before it takes its name, raises
    UserError if it is not what it should be; hash_prefix: the beginning of its SHA-256 (hexadecimal). Raises UserError
    that says how to do it by hand, and NotThereError if the server has no such file; what has arrived then stays for
    the next call, unless it is not what it should be.
    """
    if os.path.exists(path):
        return
    by_hand = f"download {address} by hand and put it at {path}"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with held_if_possible(path + ".lock", f"that fetches {what}"):
            if os.path.exists(path):  # another process was at work
                return
            with _Part(path, address, what) as part:
                _fetch_checked(part, check, hash_prefix)
    except _WrongFileError as error:
        raise UserError(
            f"what {address} sent is not {what}: {str(error).replace(path + PART, 'the download')}; or {by_hand}"
        ) from error
    except (OSError, http.client.HTTPException) as error:  # URLError, HTTPError and timeouts are OSErrors
        raise _refusal(error, f"{what} could not be fetched", by_hand) from error


def read_small(address, limit=1 << 20):
    """The bytes at an http or https address, at most `limit`. Raises NotThereError or UserError."""
    try:
        with _open(address) as response:
            return response.read(limit)
    except (OSError, http.client.HTTPException) as error:
        raise _refusal(error, f"{address} could not be read", "check the address") from error


def _refusal(error, problem, advice):
    kind = NotThereError if getattr(error, "code", None) in (404, 410) else UserError
    return kind(f"{problem} ({' '.join(str(error).split())}): {advice}")


def is_address(text):
    """Whether a text is an http or https address."""
    return urllib.parse.urlsplit(text).scheme in ("http", "https")


class _WrongFileError(Exception):
    """What was sent is not what it should be."""


def _fetch_checked(part, check, hash_prefix):
    """Fills a part, checks it, and gives it its name; one that was begun by an earlier call gets a second chance, from
    its beginning.
    """
    resumed = part.receive_all()
    try:
        _check(part, check, hash_prefix)
    except _WrongFileError:
        part.discard()
        if not resumed:
            raise
        logging.warning(f"What was there of {part.what} does not fit what came: fetching it again")
        part.receive_all()
        try:
            _check(part, check, hash_prefix)
        except _WrongFileError:
            part.discard()
            raise
    part.finish()


def _check(part, check, hash_prefix):
    if hash_prefix:
        part.file.seek(0)
        found = hashlib.file_digest(part.file, "sha256").hexdigest()
        if not found.startswith(hash_prefix):
            raise _WrongFileError(f"its SHA-256 begins with {found[: len(hash_prefix)]}, not {hash_prefix}")
    try:
        check(part.path)
    except UserError as error:
        raise _WrongFileError(str(error)) from error


class _Part:
    """FILE.part, open as long as the context lasts: for one process at a time."""

    def __init__(self, final_path, address, what):
        self.final_path, self.path, self.address, self.what = final_path, final_path + PART, address, what

    def __enter__(self):
        self.file = open(self.path, "a+b", buffering=0)  # noqa: SIM115
        return self

    def __exit__(self, *exception):
        with contextlib.suppress(FileNotFoundError):
            if not os.stat(self.path).st_size:
                os.unlink(self.path)  # nothing to go on with
                self._forget_version()
        self.file.close()

    def _size(self):
        return os.fstat(self.file.fileno()).st_size

    def receive_all(self):
        """Receives what is missing. Returns whether some of it was there before; raises OSError or HTTPException."""
        resumed = self._size() > 0
        for retry in range(_RETRIES + 1):
            before = self._size()
            try:
                return self._receive(before) and resumed
            except urllib.error.HTTPError:
                raise
            except (OSError, http.client.HTTPException) as error:
                size = self._size()
                if not size:
                    raise
                if retry == _RETRIES or size == before:
                    goes_on = "; the same command goes on from there" if self._version() else ""
                    raise OSError(f"{error}{goes_on}") from error
                logging.debug(f"{self.what}: {error}; going on after {size} bytes")

    def _receive(self, offset):
        """One request. Returns whether the server went on at `offset` (else it began again)."""
        headers = {}
        if offset and (version := self._version()):
            headers = {"Range": f"bytes={offset}-", "If-Range": version}
        try:
            response = _open(self.address, headers)
        except urllib.error.HTTPError as error:
            if error.code != 416 or not headers:
                raise
            error.close()
            if error.headers.get("Content-Range") == f"bytes */{offset}":
                return True  # it was all there
            self.discard()
            return self._receive(0)
        with response:
            total = response.headers.get("Content-Length")
            total = int(total) if total and total.isdigit() else None
            goes_on = response.status == 206
            if goes_on:
                found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
                if not found or int(found[1]) != offset:
                    raise http.client.HTTPException(
                        f"the server sent {response.headers.get('Content-Range')!r} when asked for {headers}"
                    )
                total = None if total is None else offset + total
            else:
                offset = 0
                self._begin(response.headers)
            self._copy(response, offset, total)
        return goes_on

    def _copy(self, response, offset, total):
        with tqdm(
            desc=self.what, total=total, initial=offset, unit="B", unit_scale=True, leave=False, disable=None
        ) as progress:
            while data := response.read(_CHUNK):
                progress.update(len(data))
                while data:
                    data = data[self.file.write(data) :]
        size = self._size()
        if total is not None and size != total:
            raise http.client.HTTPException(f"the connection ended after {size / 1e6:.1f} of {total / 1e6:.1f} MB")

    def _begin(self, headers):
        """Empties the file and notes which version is going to be in it."""
        self.file.truncate(0)
        etag = headers.get("ETag", "")
        version = (
            etag if etag.startswith('"') else headers.get("Last-Modified")
        )  # a weak ETag does not promise the same bytes
        with open(self.path + ".json", "w") as file:
            json.dump({"address": self.address, "version": version}, file)

    def _version(self):
        """What the server called the version of which a part is there; None if that is not known, or it is of another
        address.
        """
        try:
            with open(self.path + ".json") as file:
                noted = json.load(file)
            return noted["version"] if noted["address"] == self.address and isinstance(noted["version"], str) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _forget_version(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path + ".json")

    def discard(self):
        """Forgets what has arrived."""
        self.file.truncate(0)
        self._forget_version()

    def finish(self):
        """Gives the file its name, once it is on the disk."""
        os.fsync(self.file.fileno())
        os.replace(self.path, self.final_path)
        self._forget_version()


def _open(address, headers=()):
    """The response to a GET. Raises OSError (HTTPError among them) or HTTPException."""
    if not is_address(address):
        raise OSError(f"{address} is no http or https address")
    request = urllib.request.Request(
        address, headers={"User-Agent": "cosplace", "Accept-Encoding": "identity", **dict(headers)}
    )
    return urllib.request.build_opener(_Redirects).open(request, timeout=_TIMEOUT)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https alone, and none from https to http."""

    def redirect_request(self, request, response, code, message, headers, address):
        if not is_address(address) or (request.type == "https" and urllib.parse.urlsplit(address).scheme != "https"):
            raise urllib.error.HTTPError(
                request.full_url, code, f"it leads to {address}, which is not followed", headers, response
            )
        return super().redirect_request(request, response, code, message, headers, address)

"""Fetching a file once, through torch.hub's functions, so that a cut-off or wrong one is never kept."""

import http.client
import os

import torch

from .errors import UserError


def fetch(address, path, what, check, hash_prefix=None):
    """Downloads an address to a path unless that exists.

    what: its name, for messages; check: called with the downloaded file's path before it takes its name, raises UserError if it is not
    what it should be; hash_prefix: the beginning of its SHA-256, as torch.hub takes it. Raises UserError that says how to do it by hand.
    """
    if os.path.exists(path):
        return
    download = f"{path}.{os.getpid()}.download"
    by_hand = f"download {address} by hand and put it at {path}"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        torch.hub.download_url_to_file(address, download, hash_prefix)
        check(download)
        os.replace(download, path)
    except UserError as error:
        raise UserError(f"what {address} sent is not {what}: {str(error).replace(download, 'the download')}; or {by_hand}") from error
    except (OSError, RuntimeError, http.client.HTTPException) as error:  # URLError and HTTPError are OSErrors, a wrong hash RuntimeError
        raise UserError(f"{what} could not be fetched ({error}): {by_hand}") from error
    finally:
        if os.path.exists(download):
            os.unlink(download)

"""What descriptors depend on, as digests: two extractions of one identity give the same bits."""

import hashlib
import json
import os
import time
from collections.abc import Iterator

import PIL
import torch

from datasets.pack.reading import original_folder, stat_image
from datasets.test_dataset import ImageFolder
from model.network import GeoLocalizationNet
from model.state_dicts import digest_tensors
from retrieval.descriptors import ExtractionOptions
from support.verified import settled

NO_STAMP = bytes(16)
_EXTRACTION = 2  # version of what happens between a file and its descriptor: raise it when descriptors change


def identify(network: GeoLocalizationNet, images: ImageFolder, options: ExtractionOptions) -> dict:
    """The identity of the descriptors of a folder's images, as a dict for JSON.

    The batch size and the device are part of it, because results depend on them in the last bits.
    """
    device = torch.device(options.device)
    settings = {
        "extraction": _EXTRACTION,
        "resize": list(images.resize) if isinstance(images.resize, tuple) else images.resize,
        "infer_dtype": str(options.dtype).removeprefix("torch."),
        "batch_size": options.batch_size,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "torch": torch.__version__,
        "Pillow": PIL.__version__,
    }
    if device.type == "cpu":
        settings["threads"] = torch.get_num_threads()  # they decide how many images go through the network at once
    if options.compile:
        settings["compiled"] = True
    if hasattr(network, "runtime"):  # an ONNX file's
        settings["runtime"] = network.runtime
    if hasattr(images, "settings"):  # changed before extraction, as by --fda_queries
        settings |= {"changed": images.settings, "targets": images_digest(images.targets)}
    return {
        "weights": weights_digest(network),
        "folder": original_folder(images.folder),
        "images": images_digest(images),
        "settings": settings,
    }


def identity_key(identity: dict) -> str:
    """16 hexadecimal digits of an identity, for file names."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def weights_digest(network: GeoLocalizationNet) -> str:
    """SHA-256 over a network's architecture and its state_dict, wherever its tensors lie."""
    # the line breaks are part of the digests in stores of earlier versions
    state_dict = {f"\n{name}": tensor for name, tensor in network.state_dict().items()}
    details = network.details() if hasattr(network, "details") else None  # only networks of this project have them
    further = f" {details.gem_activation} {details.normalization}" if details and details.are_needed else ""
    name = getattr(network, "identity", network.backbone_name)
    return digest_tensors(state_dict, f"{name} {network.fc_output_dim}{further}")


def images_digest(images: ImageFolder) -> str:
    """SHA-256 over the names, sizes (bytes) and modification times (ns) of a folder's images, in order.

    A missing file has no size or time, and counts too. No image is read: it takes about 4 microseconds each.
    """
    digest = hashlib.sha256()
    for line, _ in _stamped(images):
        digest.update(line)
    return digest.hexdigest()


def image_stamps(images: ImageFolder) -> Iterator[bytes]:
    """16 bytes of each image, SHA-256 over its name, size and modification time.

    NO_STAMP: the image is missing, or has changed so recently that it may change again without another time.
    """
    now = time.time_ns()
    for line, mtime_ns in _stamped(images):
        lasting = mtime_ns is not None and settled(mtime_ns, now)
        yield hashlib.sha256(line).digest()[: len(NO_STAMP)] if lasting else NO_STAMP


def _stamped(images: ImageFolder) -> Iterator[tuple[bytes, int | None]]:
    """(a line with name, size and modification time; that time in ns, or None) of each image, in order."""
    for name in images.names:
        path, name = os.path.join(images.folder, name), os.fsencode(name)
        try:
            status = stat_image(path)
            stamp, mtime_ns = b"%d %d" % (status.st_size, status.st_mtime_ns), status.st_mtime_ns
        except OSError:
            stamp, mtime_ns = b"missing", None
        yield b"%d %b %b\n" % (len(name), name, stamp), mtime_ns

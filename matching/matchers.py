"""Matchers: local features of an image, and which of two images' features belong together."""

from importlib import metadata
from typing import Any, Protocol

import numpy as np
import torch

from matching.choices import KEYPOINTS
from matching.weights import SOURCES, load_weights
from model.normalization import to_float
from support.errors import UserError

Features = dict[str, np.ndarray]
_RATIO = 0.8  # of the nearest and the second nearest descriptor's distance (Lowe, 2004)
_MIN_SIMILARITY = 0.82  # cosine of two of XFeat's descriptors, as its authors have it
_INSTALL = "pip install -r requirements-rerank.txt"


class Matcher(Protocol):
    """What a matcher has.

    name: as --matcher names it
    identity: what its features depend on, apart from the image, as text
    digest: of its weights; "" without any
    """

    name: str
    identity: str
    digest: str

    def features(self, image: torch.Tensor) -> Features:
        """The local features of an image, uint8 (3, H, W), as arrays by name."""

    def matches(self, first: Features, second: Features) -> np.ndarray:
        """The matches of two images: float32 (n, 2, 2), x and y in the first and in the second, pixels."""


class Sift:
    """OpenCV's SIFT, matched by the ratio test and mutually. It has no weights."""

    name = "sift"
    digest = ""

    def __init__(self) -> None:
        self._cv2 = import_cv2()
        self._sift = self._cv2.SIFT_create(nfeatures=KEYPOINTS, enable_precise_upscale=True)
        self.identity = f"sift, {KEYPOINTS} points, OpenCV {self._cv2.__version__}"

    def features(self, image: torch.Tensor) -> Features:
        """As of Matcher: keypoints float32 (n, 2), descriptors uint8 (n, 128)."""
        gray = self._cv2.cvtColor(np.ascontiguousarray(image.movedim(0, -1).numpy()), self._cv2.COLOR_RGB2GRAY)
        try:
            points, descriptors = self._sift.detectAndCompute(gray, None)
        except self._cv2.error as error:
            if error.code == self._cv2.Error.StsNoMem:
                raise MemoryError from error
            raise
        keypoints = np.array([point.pt for point in points], np.float32).reshape(-1, 2)
        descriptors = np.zeros((0, 128)) if descriptors is None else descriptors
        # whole numbers up to 255, and up to KEYPOINTS + 1 of them where several are equally strong
        return {"keypoints": keypoints[:KEYPOINTS], "descriptors": descriptors[:KEYPOINTS].astype(np.uint8)}

    def matches(self, first: Features, second: Features) -> np.ndarray:
        """As of Matcher."""
        a, b = (torch.from_numpy(features["descriptors"]).float() for features in (first, second))
        if min(len(a), len(b)) < 2:
            return np.zeros((0, 2, 2), np.float32)
        # exact: sums of whole numbers below 2^24, in whatever order they are added
        distances = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
        mutual = distances.argmin(0)
        nearest, partner = distances.min(1)
        next_ = distances.scatter_(1, partner[:, None], torch.inf).amin(1)
        mutual = mutual[partner] == torch.arange(len(a))
        rows = torch.nonzero(mutual & (nearest < _RATIO**2 * next_))[:, 0].numpy()
        return _pairs(first, second, rows, partner.numpy()[rows])


class XFeat:
    """kornia's XFeat (Potje et al., CVPR 2024), whose mutually nearest descriptors match.

    device: where it computes
    weights: its file; None: it is looked for
    """

    name = "xfeat"

    def __init__(self, device: torch.device | str = "cpu", weights: str | None = None) -> None:
        self.device = torch.device(device)
        self._network = import_kornia().XFeat(top_k=KEYPOINTS)
        self.digest = load_weights(self._network.net, SOURCES["xfeat"], weights)
        self.identity = _identity("xfeat", self.digest, self.device)
        self._network.to(self.device)

    def features(self, image: torch.Tensor) -> Features:
        """As of Matcher: keypoints float32 (n, 2), descriptors float16 (n, 64), size (width, height)."""
        (found,) = self._network.detectAndCompute(to_float(image[None].to(self.device)))
        return _arrays(found["keypoints"], found["descriptors"], image)

    @torch.inference_mode()
    def matches(self, first: Features, second: Features) -> np.ndarray:
        """As of Matcher."""
        if not len(first["keypoints"]) or not len(second["keypoints"]):
            return np.zeros((0, 2, 2), np.float32)
        a, b = (torch.from_numpy(features["descriptors"]).to(self.device).float() for features in (first, second))
        similarity, partner = (cosines := a @ b.T).max(1)
        mutual = cosines.argmax(0)[partner] == torch.arange(len(a), device=self.device)
        rows = torch.nonzero(mutual & (similarity > _MIN_SIMILARITY))[:, 0]
        return _pairs(first, second, rows.cpu().numpy(), partner[rows].cpu().numpy())


class LightGlue:
    """Features of a network, matched by LightGlue (Lindenberger et al., ICCV 2023), both kornia's.

    kind: "xfeat", "aliked" or "disk"
    device: where it computes
    weights: the files of the features and of LightGlue; (): they are looked for
    """

    def __init__(self, kind: str, device: torch.device | str = "cpu", weights: tuple[str, ...] = ()) -> None:
        self.name, self.kind, self.device = f"{kind}-lightglue", kind, torch.device(device)
        kornia = import_kornia()
        make = {
            "xfeat": lambda: kornia.XFeat(top_k=KEYPOINTS),
            "aliked": lambda: kornia.ALIKED("aliked-n16", max_num_keypoints=KEYPOINTS),
            "disk": kornia.DISK,
        }[kind]
        self._network = make()
        first, second = weights or (None, None)
        inner = self._network.net if kind == "xfeat" else self._network
        digest = load_weights(inner, SOURCES[kind], first)
        settings = kornia.LightGlue.features[kind] | {"weights": None}  # which would be downloaded
        self._glue = kornia.LightGlue(None, **settings)
        self.digest = digest[:8] + load_weights(self._glue, SOURCES[f"{kind}-lightglue"], second)[:8]
        self.identity = _identity(kind, digest, self.device)  # of features, which do not depend on LightGlue
        self._network.to(self.device)
        self._glue.to(self.device)

    @torch.inference_mode()
    def features(self, image: torch.Tensor) -> Features:
        """As of Matcher: keypoints float32 (n, 2), descriptors float16 (n, dim), size (width, height)."""
        batch = to_float(image[None].to(self.device))
        if self.kind == "xfeat":
            (found,) = self._network.detectAndCompute(batch)
            return _arrays(found["keypoints"], found["descriptors"], image)
        options = {"n": KEYPOINTS, "pad_if_not_divisible": True} if self.kind == "disk" else {}
        (found,) = self._network(batch, **options)
        return _arrays(found.keypoints, found.descriptors, image)

    @torch.inference_mode()
    def matches(self, first: Features, second: Features) -> np.ndarray:
        """As of Matcher."""
        if not len(first["keypoints"]) or not len(second["keypoints"]):
            return np.zeros((0, 2, 2), np.float32)
        found = self._glue({"image0": self._input(first), "image1": self._input(second)})
        pairs = found["matches"][0].cpu().numpy()
        return _pairs(first, second, pairs[:, 0], pairs[:, 1])

    def _input(self, features: Features) -> dict[str, torch.Tensor]:
        tensors = {name: torch.from_numpy(value)[None].to(self.device).float() for name, value in features.items()}
        return {
            "keypoints": tensors["keypoints"],
            "descriptors": tensors["descriptors"],
            "image_size": tensors["size"],
        }


def _identity(kind: str, digest: str, device: torch.device) -> str:
    """What the features of a network depend on. kind: of network; digest: of its weights; device: its own."""
    versions = f"torch {torch.__version__}, kornia {metadata.version('kornia')}"
    return f"{kind}, {KEYPOINTS} points, weights {digest}, {versions}, {device.type}"


def _arrays(keypoints: torch.Tensor, descriptors: torch.Tensor, image: torch.Tensor) -> Features:
    return {
        "keypoints": keypoints.float().cpu().numpy(),
        "descriptors": descriptors.half().cpu().numpy(),
        "size": np.array(image.shape[:0:-1], np.int32),
    }


def _pairs(first: Features, second: Features, rows: np.ndarray, partners: np.ndarray) -> np.ndarray:
    return np.stack([first["keypoints"][rows], second["keypoints"][partners]], axis=1)


def make_matcher(name: str, device: torch.device | str = "cpu", weights: tuple[str, ...] = ()) -> Matcher:
    """Makes the matcher of a name.

    name: one of choices.MATCHERS
    device: where it computes
    weights: its files, the features' first; (): they are looked for

    Raises UserError if a package or weights are missing.
    """
    if name == "sift":
        return Sift()
    if name == "xfeat":
        return XFeat(device, *weights)
    return LightGlue(name.removesuffix("-lightglue"), device, weights)


def import_cv2() -> Any:
    """OpenCV. Raises UserError if it is not installed."""
    try:
        import cv2
    except ImportError as error:
        raise UserError(f"--rerank needs OpenCV: {_INSTALL}") from error
    return cv2


def import_kornia() -> Any:
    """kornia.feature. Raises UserError if it is not installed, or too old."""
    try:
        from kornia import feature
    except ImportError as error:
        raise UserError(f"this --matcher needs kornia: {_INSTALL} (sift needs OpenCV alone)") from error
    if not hasattr(feature, "XFeat"):
        raise UserError(f"this --matcher needs a newer kornia: {_INSTALL}")
    return feature

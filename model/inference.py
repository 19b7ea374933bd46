"""A network prepared to compute descriptors and nothing else."""

import contextlib
import copy
import functools
import logging
from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model.compilation import compiled
from model.hub.method import HubMethod
from model.normalization import normalize

logger = logging.getLogger(__name__)

FOLDING_TOLERANCE = 1e-5  # largest difference of an entry of a descriptor
_BATCH_NORMS = nn.BatchNorm2d | nn.SyncBatchNorm
_CACHED_PIXELS = 1 << 17  # pixels per CPU thread and pass: the feature maps then stay in the thread's cache


class Describer:
    """Computes descriptors with a copy of a network, in evaluation mode and with folded batch norms.

    network: a GeoLocalizationNet on `device`, which is not changed; it is copied when it is first used. Or a HubMethod,
        which is used as it is: its module may not bear another order of computing, or of memory
    dtype: what its backbone computes in
    compile: whether the copy is compiled: faster after minutes, results differ a little
    """

    def __init__(
        self,
        network: nn.Module,
        device: torch.device | str,
        dtype: torch.dtype = torch.float32,
        compile: bool = False,
    ):
        self._original, self.device, self.dtype, self._compile = network, torch.device(device), dtype, compile

    @functools.cached_property
    def network(self) -> nn.Module:
        """The copy."""
        if isinstance(self._original, HubMethod):
            return self._original
        # channels_last is faster, also for depthwise networks: MobileNetV2 takes 32 ms per image instead of 73 (512 px)
        network = fold_batch_norm(self._original, self.device).to(memory_format=torch.channels_last)
        return compiled(network, self.device) if self._compile else network

    @functools.cached_property
    def _uploads(self) -> torch.cuda.Stream:
        return torch.cuda.Stream(self.device)

    def stack(self, images: list[torch.Tensor]) -> torch.Tensor:
        """Stacks images (3, H, W) of one size to a batch (b, 3, H, W), where it is copied to the device from."""
        if self.device.type != "cuda":
            return torch.stack(images)
        pinned = torch.empty((len(images), *images[0].shape), dtype=images[0].dtype, pin_memory=True)
        return torch.stack(images, out=pinned)

    def start(self, images: torch.Tensor) -> Callable[[], torch.Tensor]:
        """Begins to describe a batch of stack(). Returns a function that waits for it, and returns what __call__ does.

        Meanwhile the next batch can be read, stacked, and copied to a GPU. Elsewhere nothing is left to wait for.
        """
        if self.device.type != "cuda":
            descriptors = self(images)
            return lambda: descriptors
        computing = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self._uploads):
            images = images.to(self.device, non_blocking=True)
        computing.wait_stream(self._uploads)
        images.record_stream(computing)  # its memory is not given to the next batch before this one is computed
        with self._computing():
            computed = self._describe(images)
        descriptors = torch.empty(computed.shape, dtype=computed.dtype, pin_memory=True)
        descriptors.copy_(computed, non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record(computing)
        return lambda: arrived.synchronize() or descriptors

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Computes descriptors: uint8 images (b, 3, H, W) -> float32 (b, fc_output_dim), on the CPU."""
        at_once = len(images)
        if self.device.type == "cpu":
            at_once = max(1, _CACHED_PIXELS * torch.get_num_threads() // (images.shape[-2] * images.shape[-1]))
        with self._computing():
            return torch.cat([self._describe(part.to(self.device)).cpu() for part in images.split(at_once)])

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        autocast = (
            contextlib.nullcontext()
            if self.dtype == torch.float32
            else torch.autocast(self.device.type, dtype=self.dtype)
        )
        with torch.inference_mode(), autocast:
            yield

    def _describe(self, images: torch.Tensor) -> torch.Tensor:
        if isinstance(self.network, HubMethod):
            return self.network(self.network.normalize(images).contiguous())  # (b, fc_output_dim)
        images = normalize(images)  # float32 (b, 3, H, W)
        return self.network(images.contiguous(memory_format=torch.channels_last)).float()  # (b, fc_output_dim)


def fold_batch_norm(network: nn.Module, device: torch.device | str = "cpu") -> nn.Module:
    """Copies a network, in evaluation mode, and folds its batch norms into the convolutions before them.

    Nothing is folded if that would change the descriptors of a random image by more than FOLDING_TOLERANCE.
    """
    folded = copy.deepcopy(network).eval()
    if not any(isinstance(module, _BATCH_NORMS) for module in folded.modules()):
        return folded
    probe = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.inference_mode():
        expected = folded(probe)
    _fold(folded)
    with torch.inference_mode():
        difference = (folded(probe) - expected).abs().max().item()
    if difference <= FOLDING_TOLERANCE:
        return folded
    logger.debug(f"Batch norms are not folded: descriptors would change by {difference:.1e}")
    return copy.deepcopy(network).eval()


def _fold(module: nn.Module) -> None:
    """Folds every batch norm that follows a convolution among a module's children, in place."""
    previous = None, None
    for name, child in list(module.named_children()):
        if isinstance(child, _BATCH_NORMS) and isinstance(previous[1], nn.Conv2d):
            setattr(module, previous[0], fuse_conv_bn_eval(previous[1], child))
            setattr(module, name, getattr(child, "act", nn.Identity()))  # timm's have the activation in them
        else:
            _fold(child)
        previous = name, child

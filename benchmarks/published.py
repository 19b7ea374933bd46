"""The plain reference of the benchmarks: training and evaluation in the way and order of the published code."""

import numpy as np
import torch
import torchvision.transforms as T
from PIL import Image
from torch import nn

from model.heads import CosFace
from model.network import GeoLocalizationNet
from model.normalization import IMAGENET_MEAN, IMAGENET_STD


class ImageDataset(torch.utils.data.Dataset):
    """Images as float32 tensors (3, H, W), opened and converted in the worker. An item is (image, index)."""

    def __init__(self, paths: list[str], normalized: bool = False):
        self.paths = paths
        self.transform = (
            T.Compose([T.ToTensor(), T.Normalize(IMAGENET_MEAN, IMAGENET_STD)]) if normalized else T.ToTensor()
        )

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index: int):
        return self.transform(Image.open(self.paths[index]).convert("RGB")), index


class Augmentation:
    """Jitter and crop of a float batch, image by image, then normalisation."""

    def __init__(self, size: int, jitter: tuple[float, float, float, float] = (0.7, 0.7, 0.7, 0.5), crop: float = 0.5):
        self.jitter, self.crop = (
            T.ColorJitter(*jitter),
            T.RandomResizedCrop([size, size], scale=(1 - crop, 1), antialias=True),
        )
        self.normalize = T.Normalize(IMAGENET_MEAN, IMAGENET_STD)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the augmented, normalised batch of a float batch (B, 3, H, W)."""
        images = torch.cat([self.jitter(image).unsqueeze(0) for image in images])
        images = torch.cat([self.crop(image).unsqueeze(0) for image in images])
        return self.normalize(images)


class Trainer:
    """A network, a CosFace head and their Adam optimizers, with the defaults of PyTorch."""

    def __init__(
        self,
        backbone: str,
        dim: int,
        classes: int,
        device: torch.device | str = "cpu",
        train_all_layers: bool = False,
        amp: bool = False,
    ):
        torch.manual_seed(0)
        self.network = GeoLocalizationNet(backbone, dim, train_all_layers).to(device).train()
        self.head = CosFace(dim, classes).to(device)
        self.optimizers = [
            torch.optim.Adam(self.network.parameters(), lr=1e-5),
            torch.optim.Adam(self.head.parameters(), lr=0.01),
        ]
        self.scaler = torch.amp.GradScaler(torch.device(device).type, enabled=amp)
        self.amp, self.device = amp, torch.device(device)

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """Trains one step on normalised images (B, 3, H, W) and labels (B,). Returns the loss."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        with torch.autocast(self.device.type, dtype=torch.float16, enabled=self.amp):
            loss = nn.functional.cross_entropy(self.head(self.network(images), labels), labels)
        self.scaler.scale(loss).backward()
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()
        return loss.item()


def extract(
    network: GeoLocalizationNet,
    paths: list[str],
    batch_size: int,
    num_workers: int = 0,
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """Extracts the descriptors of images of one size. Returns float32 (n, dim).

    network: on the device
    paths: of the images
    batch_size: images
    num_workers: processes that decode
    device: the network's
    """
    loader = torch.utils.data.DataLoader(ImageDataset(paths, normalized=True), batch_size, num_workers=num_workers)
    network.eval()
    descriptors = torch.empty(len(paths), network.fc_output_dim)
    with torch.inference_mode():
        for images, indices in loader:
            descriptors[indices] = network(images.to(device)).cpu()
    return descriptors.numpy()

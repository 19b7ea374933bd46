"""torch.hub entry points: `torch.hub.load(repository, "get_trained_model", backbone="ResNet50", fc_output_dim=2048)`."""

import importlib
import importlib.util
import os
import sys

dependencies = ["torch", "torchvision", "numpy", "PIL"]
_HERE = os.path.dirname(os.path.abspath(__file__))


def get_trained_model(backbone="ResNet50", fc_output_dim=2048, method="CosPlace"):
    """A published network with its weights, in eval mode: normalised images (B, 3, H, W) -> unit descriptors (B, fc_output_dim).

    backbone: VGG16, ResNet18, ResNet50, ResNet101 or ResNet152; fc_output_dim: one that is published for it; method: "CosPlace" or
    "EigenPlaces". Prepare images with `preprocess`.
    """
    prefix = {"cosplace": "", "eigenplaces": "EigenPlaces_"}.get(method.lower())
    if prefix is None:
        raise ValueError(f'method is {method!r}, and must be "CosPlace" or "EigenPlaces"')
    checkpoints = _load("model.checkpoints")
    return checkpoints.load_network(f"{prefix}{backbone}_{fc_output_dim}").eval()


def preprocess(image, resize=None):
    """A photo (path, file object or PIL image) as the network expects it: float32 (3, H, W), upright, ImageNet-normalised.

    resize: pixels of the shorter side; None keeps the photo's own size, as in the published evaluation.
    """
    images, normalization = _load("datasets.images"), _load("model.normalization")
    image = images.open_rgb(image)
    return normalization.normalize(normalization.to_tensor(images.to_array(images.resize_shorter_side(image, resize) if resize else image)))


def _load(name):
    """Imports a module of this repository under a private name, so that a user's own `model` or `datasets` stays what it is."""
    package, module = name.split(".")
    private = f"_cosplace_{package}"
    if private not in sys.modules:
        folder = os.path.join(_HERE, package)
        spec = importlib.util.spec_from_file_location(private, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder])
        sys.modules[private] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[private])
    return importlib.import_module(f"{private}.{module}")

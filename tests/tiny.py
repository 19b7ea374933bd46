"""A tiny generated data set: a few places along a street, each with an appearance of its own."""

import os

import numpy as np
from PIL import Image

from datasets.names import format_name

EAST, NORTH = 551000.0, 4181000.0


def place_image(place, heading, variant, size=64):
    """An RGB image whose pattern depends on the place and the heading; variants differ by noise and brightness."""
    rng = np.random.default_rng((7, place, int(heading)))
    blocks = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
    image = np.asarray(Image.fromarray(blocks).resize((size, size), Image.Resampling.NEAREST)).astype(float)
    noise = np.random.default_rng((8, place, int(heading), variant))
    image = image * noise.uniform(0.8, 1.2) + noise.normal(0, 10, image.shape)
    return Image.fromarray(image.clip(0, 255).astype(np.uint8))


def save_place(folder, place, heading, variant, size=64, offset=0.0):
    """Writes one image, 10 m a place; returns its name."""
    name = format_name(
        EAST + 10 * place + 5 + offset,
        NORTH + 5,
        10,
        "S",
        37.77,
        -122.42,
        f"pano{place}",
        "",
        heading,
        timestamp=f"2013{variant:02d}",
    )
    path = os.path.join(folder, "sub", name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    place_image(place, heading, variant, size).save(path, quality=95)
    return f"sub/{name}"


def make_tiny(root, places=12, headings=(0, 30), variants=3, size=64):
    """train (places x headings x variants images), val and test of the same places: enough for two groups with N=2,
    L=1.
    """
    for place in range(places):
        for heading in headings:
            for variant in range(variants):
                save_place(os.path.join(root, "train"), place, heading, variant, size, offset=variant)
            for part in ("val", "test"):
                save_place(os.path.join(root, part, "database"), place, heading, 5, size)
        save_place(os.path.join(root, "val", "queries"), place, headings[0], 6, size)
        save_place(os.path.join(root, "test", "queries_v1"), place, headings[0], 7, size)
    return str(root)


def save_panoramas(folder):
    """Panoramas of 8 classes along a street from west to east, 3 of each."""
    os.makedirs(folder)
    rng = np.random.default_rng(0)
    for row in range(8):
        blocks = rng.integers(0, 256, (8, 52, 3))
        for image in range(3):
            place = EAST + 15 * (row + 0.7) + image, NORTH + 5 + image % 2
            path = os.path.join(folder, format_name(*place, 10, "S", heading=40 * row + 100 * image))
            pixels = (blocks + rng.integers(-20, 20, blocks.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).resize((416, 64)).save(path, quality=95)


# groups: place parity (N=2); 6 places x 2 headings = 12 classes in each
FLAGS = [
    "--M",
    "10",
    "--alpha",
    "30",
    "--N",
    "2",
    "--L",
    "1",
    "--groups_num",
    "2",
    "--min_images_per_class",
    "2",
    "--backbone",
    "Small",
    "--fc_output_dim",
    "32",
    "--backbone_weights",
    "none",
    "--train_all_layers",
    "--batch_size",
    "4",
    "--epochs_num",
    "2",
    "--iterations_per_epoch",
    "3",
    "--image_size",
    "64",
    "--device",
    "cpu",
    "--num_workers",
    "0",
]
# what every quick evaluation needs
EVAL = [
    "--backbone_weights",
    "none",
    "--fc_output_dim",
    "32",
    "--num_workers",
    "0",
    "--infer_batch_size",
    "1",
    "--device",
    "cpu",
]
SHORT = [*FLAGS, "--iterations_per_epoch", "4", "--lr", "0.001"]
FEW = [*FLAGS, "--image_size", "32", "--iterations_per_epoch", "4"]

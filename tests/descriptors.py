"""A small network, its descriptors in stores, and evaluations with it."""

import os

import numpy as np
import torch
from PIL import Image
from torch import nn

from datasets.test_dataset import TestDataset
from retrieval import store_header
from retrieval.cache import DescriptorCache
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from test import TestOptions, test

IMAGES, BATCH = 40, 2  # three blocks of 16 images, the last not full
DIM = 16  # of unit_vectors


class SmallNetwork(nn.Module):
    """As much of a GeoLocalizationNet as extraction needs. It counts its images, and fails when told to."""

    backbone_name, fc_output_dim = "Small", 4

    def __init__(self, seed=0, fail_after=None):
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(3, 4, 3)
        self.seen, self.fail_after = 0, fail_after

    def __deepcopy__(self, memo):
        return self  # extraction computes with a copy, and these images count too

    def forward(self, images):
        self.seen += len(images)
        if self.fail_after is not None and self.seen > self.fail_after:
            raise KeyboardInterrupt
        return nn.functional.normalize(self.conv(images).mean(dim=(2, 3)))


def make_images(folder):
    """IMAGES images of three sizes, one of them cut off."""
    os.makedirs(folder)
    rng = np.random.default_rng(0)
    for i in range(IMAGES):
        Image.fromarray(rng.integers(0, 256, (36 + 4 * rng.integers(3), 40, 3), np.uint8)).save(f"{folder}/{i:02d}.png")
    os.truncate(f"{folder}/21.png", 30)


def extract(cache, images, network=None, **options):
    """(descriptors, unreadable, how many images the network saw)."""
    network = network or SmallNetwork()
    with cache.store(network, images, ExtractionOptions(BATCH)) as opened:
        values, unreadable = extract_descriptors(network, images, ExtractionOptions(BATCH, **options), opened)
        return np.array(values), unreadable, network.seen


def kept(cache):
    """The names of the stores that a cache keeps."""
    return sorted(name for name in os.listdir(cache.folder) if not name.endswith(".lock"))


def change_header(folder, **values):
    """Writes other values into a store's header, with the digest that goes with them."""
    header = store_header.read_header(folder)
    store_header.write_header(folder, {**header, **values})


def unit_vectors(n, seed=0, dim=DIM):
    vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def fill(store):
    """Writes a store of 600 unit vectors, two of which are unreadable."""
    vectors = unit_vectors(600)
    vectors[[0, 300]] = 0
    for block in store.pending():
        rows = store.rows(block)
        store.write(block, vectors[rows.start : rows.stop], {i: "no image" for i in (0, 300) if i in rows})
    store.finish()
    return store


def evaluation(cache_folder, faiss_index="Flat", fail_after=None):
    """Of the fixture `places`: predictions, recalls, unreadable images, and how many images this process described."""
    network = SmallNetwork(fail_after=fail_after)
    result = test(
        TestDataset("db", "q", positive_dist_threshold=12),
        network,
        TestOptions(batch_size=1, faiss_index=faiss_index),
        DescriptorCache(cache_folder),
    )
    return result.predictions, result.recalls, result.unreadable_database, result.unreadable_queries, network.seen


def assert_same(result, expected):
    """Two evaluations found and read the same."""
    np.testing.assert_array_equal(result[0], expected[0])
    np.testing.assert_array_equal(result[1], expected[1])
    assert result[2:4] == expected[2:4]

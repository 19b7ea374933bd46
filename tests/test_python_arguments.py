"""Odd arguments of the Python interface: ValueErrors in one line, or the same as plain ones."""

import copy
import pathlib

import numpy as np
import pytest
import torch

from model.checkpoints import save_network
from model.network import GeoLocalizationNet
from model.state_dicts import digest_tensors
from support.errors import UserError
from support.files import read_tensors
from tests.children import in_child
from tests.tiny import place_image


@pytest.fixture
def folder(workdir):
    """Two photos, and weights."""
    (workdir / "photos").mkdir()
    for place in (0, 1):
        place_image(place, 0, 1).save(f"photos/{place}.png")
    torch.manual_seed(0)
    save_network(GeoLocalizationNet("MobileNet_V2", 32, weights=None), "small.pth")
    pathlib.Path("open.txt").touch()


def try_odd_arguments():
    import cosplace

    model = cosplace.get_trained_model(weights="small.pth", fc_output_dim=np.int64(32))
    photo, one = "photos/0.png", np.ones((1, 1), np.float32)
    with open("open.txt") as text:
        for problem, function, *arguments in (
            ("weights is of type int, and must be a path", cosplace.get_trained_model, None, None, "CosPlace", 5),
            ("with weights, leave it out", cosplace.get_trained_model, None, None, "EigenPlaces", "small.pth"),
            ("fc_output_dim is '32'", cosplace.get_trained_model, None, "32", "CosPlace", "small.pth"),
            ("image 0 is a file that is open for text", cosplace.describe, text, model),
            ("are torch.bfloat16, and must be float32", cosplace.describe, photo, copy.deepcopy(model).bfloat16()),
            (
                "are torch.float64, and must be float32",
                cosplace.localize,
                photo,
                "photos",
                copy.deepcopy(model).double(),
            ),
            ("photos is of type NoneType", cosplace.localize, None, "photos", model),
            ("photos is of type bytes", cosplace.localize, b"photos", "photos", model),
            ("item 1 of photos is of type ndarray", cosplace.localize, [photo, one], "photos", model),
            ("photos is empty", cosplace.localize, [], "photos", model),
            ("database is of type NoneType", cosplace.localize, photo, None, model),
            ("folder is of type NoneType", cosplace.list_photos, None),
            ("image is of type ndarray", cosplace.preprocess, one),
            ("resize is -4, and must be a whole number of at least 32", cosplace.preprocess, photo, -4),
            ("resize is '64'", cosplace.preprocess, photo, "64"),
        ):
            with pytest.raises(ValueError, match=problem):
                function(*arguments)
    whole = np.int64(48)
    assert (cosplace.describe(photo, model, whole, np.int32(2)) == cosplace.describe(photo, model, 48)).all()
    assert cosplace.preprocess(photo, whole).shape == (3, 48, 48)
    assert cosplace.nearest(one, one, np.int64(1))[1].tolist() == [[0]]


def test_bad_arguments_raise_value_errors_and_whole_numbers_of_numpy_are_taken(folder):
    in_child(try_odd_arguments)


def test_a_torchscript_file_is_called_that(folder):
    network = GeoLocalizationNet("MobileNet_V2", 32, weights=None)
    torch.jit.save(torch.jit.script(network), "script.pt")
    with pytest.raises(UserError, match="script.pt holds a TorchScript program: give the file of weights") as caught:
        read_tensors("script.pt")
    assert "weights_only" not in str(caught.value)
    assert digest_tensors(read_tensors("small.pth"))

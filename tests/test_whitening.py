"""--whiten: networks whose last layer is fitted to images, for eval.py, localize.py and descriptions."""

import glob
import json
import os
import shutil
from argparse import Namespace

import numpy as np
import pytest
import torch

import eval as evaluation
import localize
from datasets.night.fda_images import FDAImages
from datasets.pack.building import Packing, pack
from datasets.samples import ImageSample
from datasets.test_dataset import ImageFolder
from model.checkpoints import save_network
from model.last_layer import without_last_layer
from model.network import GeoLocalizationNet
from retrieval import __main__ as description
from retrieval import last_layer, whitening
from retrieval.cache import DescriptorCache
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from retrieval.whitening import Whitening, whitened
from support.errors import UserError
from support.files import read_tensors, write_tensors
from tests import small
from tests.children import in_child
from tests.ranks import all_ranks, run_ranks
from tests.scripts import fails, run
from tests.tiny import place_image, save_place

OPTIONS = ExtractionOptions(8)
FLAGS = ["--device", "cpu", "--num_workers", "0", "--infer_batch_size", "8"]
WHITEN = ["--whiten", "database", "--whiten_dim", "6"]


def make_network(seed=0, dim=8):
    torch.manual_seed(seed)
    return GeoLocalizationNet("Small", dim).eval().to(memory_format=torch.channels_last)


@pytest.fixture
def city(workdir):
    """A database of 20 images, 12 queries, and two networks. Image 11 is cut off."""
    names = [save_place("city/database", place, 0, 1, 32) for place in range(20)]
    for place in range(12):
        save_place("city/queries", place, 0, 2, 32)
    os.truncate(f"city/database/{names[11]}", 40)
    save_network(make_network(), "m.pth")
    save_network(make_network(1, 7), "other.pth")
    return "city"


def fits(patch):
    """The folders that layers are fitted to from now on."""
    folders, fit = [], last_layer.fit_last_layer

    def watched(network, images, *rest):
        folders.append(images.folder)
        return fit(network, images, *rest)

    patch.setattr(whitening, "fit_last_layer", watched)
    return folders


def layers(folder="cache/descriptors"):
    return sorted(glob.glob(f"{folder}/last_layer_*.pth"))


# --- the layer


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_descriptors_are_numpys_pca_of_the_pooled_features(city, power):
    network, images = make_network(), ImageFolder("city/database")
    fitted = whitened(network, images, Whitening(6, power), OPTIONS)
    assert fitted.fc_output_dim == 6 and network.fc_output_dim == 8
    pooled, bad = extract_descriptors(without_last_layer(network, unit_length=False), images, OPTIONS)
    assert list(bad) == [11]
    readable = np.delete(pooled, 11, axis=0).astype(np.float64)
    centred = readable - readable.mean(axis=0)
    _, deviations, directions = np.linalg.svd(centred, full_matrices=False)
    expected = centred @ directions[:6].T / deviations[:6] ** power
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = np.delete(extract_descriptors(fitted, images, OPTIONS)[0], 11, axis=0)
    # components have no sign of their own
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=2e-3)
    again = whitened(network, images, Whitening(6, power), OPTIONS)
    assert torch.equal(again.aggregation[3].weight, fitted.aggregation[3].weight)


def test_a_sample_is_spread_evenly_and_reads_as_its_folder(city):
    images, queries = ImageFolder("city/database"), ImageFolder("city/queries")
    sample = ImageSample(images, 5)
    assert sample.rows.tolist() == [0, 4, 9, 14, 19] and sample.path(2) == images.path(9)
    assert sample[2][0] == 2 and torch.equal(sample[2][1], images[9][1])
    assert len(ImageSample(images, 100)) == 20 and ImageSample(images, 20)[11][1] is None
    changed = FDAImages(images, queries, 0.1, 3)  # each image draws its own colours
    sample = ImageSample(changed, 5)
    assert torch.equal(sample[2][1], changed[9][1]) and sample.settings["rows"] == [0, 4, 9, 14, 19]


# --- kept layers


def test_a_kept_layer_serves_again_and_another_is_fitted_for_anything_else(city, monkeypatch, caplog):
    network, images, cache = make_network(), ImageFolder("city/database"), DescriptorCache("kept")
    fitted = fits(monkeypatch)
    first = whitened(network, images, Whitening(6), OPTIONS, cache)
    caplog.set_level("INFO")
    for exact in (True, False, False):
        again = whitened(network, images, Whitening(6), OPTIONS, cache, exact)
        assert torch.equal(again.aggregation[3].weight, first.aggregation[3].weight)
    assert len(fitted) == 2 and len(layers("kept")) == 2
    assert caplog.text.count("that was fitted to images of city/database is read from kept/last_layer_") == 2
    for network_, images_, wanted, options in (
        (make_network(2), images, Whitening(6), OPTIONS),
        (network, ImageFolder("city/database", 48), Whitening(6), OPTIONS),
        (network, ImageFolder("city/queries"), Whitening(6), OPTIONS),
        (network, images, Whitening(5), OPTIONS),
        (network, images, Whitening(6, 0.0), OPTIONS),
        (network, images, Whitening(6, count=15), OPTIONS),
        (network, images, Whitening(6), ExtractionOptions(4)),
    ):
        before = len(fitted)
        whitened(network_, images_, wanted, options, cache)
        assert len(fitted) == before + 1
    # the size of a batch changes the last bits alone
    whitened(network, images, Whitening(6), ExtractionOptions(4), cache, exact=False)
    assert len(fitted) == before + 1


@pytest.mark.parametrize("damage", ["cut", "nan", "shape", "identity", "list"])
def test_a_damaged_layer_is_fitted_again(city, monkeypatch, caplog, damage):
    network, images, cache = make_network(), ImageFolder("city/database"), DescriptorCache("kept")
    first = whitened(network, images, Whitening(6), OPTIONS, cache)
    (path,) = layers("kept")
    content = read_tensors(path)
    if damage == "cut":
        os.truncate(path, 1000)
    else:
        changes = {
            "nan": {"bias": content["bias"] * np.nan},
            "shape": {"weight": content["weight"][:3]},
            "identity": {"identity": json.dumps({"folder": "/other"})},
        }
        write_tensors({**content, **changes[damage]} if damage in changes else [1], path)
    fitted = fits(monkeypatch)
    again = whitened(network, images, Whitening(6), OPTIONS, cache)
    assert fitted == ["city/database"] and "The kept last layer cannot be used: " in caplog.text
    assert torch.equal(again.aggregation[3].weight, first.aggregation[3].weight)
    whitened(network, images, Whitening(6), OPTIONS, cache)
    assert len(fitted) == 1


def test_layers_are_bounded_and_a_disk_that_refuses_is_logged(city, monkeypatch, caplog):
    network, images = make_network(), ImageFolder("city/database")
    monkeypatch.setattr(whitening, "_MOST", 2)
    for number, power in enumerate((0, 0.25, 0.5, 0.75)):
        whitened(network, images, Whitening(6, power), OPTIONS, DescriptorCache("kept", limit=10**9))
        for path in layers("kept"):
            os.utime(path, ns=(10**18 + number, 10**18 + number)) if number < 3 else None
    assert len(layers("kept")) == 2
    whitened(network, images, Whitening(6), OPTIONS, DescriptorCache("small", limit=1000))
    assert not layers("small")
    open("file", "w").close()
    whitened(network, images, Whitening(6), OPTIONS, DescriptorCache("file"))
    assert "The last layer is not kept, and serves this run: " in caplog.text


# --- scripts


def test_eval_tests_the_fitted_network_and_fits_once(city, monkeypatch):
    fitted = fits(monkeypatch)
    flags = ["--test_set_folder", city, "--resume_model", "m.pth", *FLAGS, *WHITEN, "--save_descriptors", "npy"]
    first = run(evaluation, *flags, "--report", "page.html")
    again = run(evaluation, *flags)
    assert fitted == ["city/database"]
    database, same = (np.load(f"{folder}/database_descriptors.npy") for folder in (first, again))
    network = whitened(make_network(), ImageFolder("city/database"), Whitening(6), OPTIONS)
    expected, _ = extract_descriptors(network, ImageFolder("city/database"), OPTIONS)
    assert (database == expected).all() and (same == database).all()
    log = open(f"{again}/info.log").read()
    assert (
        "The descriptors of city/database are read from" in log and "is read from cache/descriptors/last_layer" in log
    )
    line = "A last layer is fitted to 19 images of city/database: 6 dimensions, power 0.5, "
    assert line in open(f"{first}/info.log").read()
    assert "fitted to images of the database, 6-D, power 0.5" in open("page.html").read()


@pytest.mark.parametrize(
    ("images", "warns"), [("city/queries", True), ("city", True), ("city/database", False), ("packed", True)]
)
def test_a_layer_that_is_fitted_to_queries_is_warned_of(city, images, warns, caplog):
    pack("city/queries", "packed", Packing())
    queries = ImageFolder("city/queries", names=["a.jpg"])
    whitening.warn_of_queries(Namespace(whiten=images), queries)
    assert ("is fitted to its queries" in caplog.text) == warns


def test_eval_compares_two_fitted_networks_on_several_folders_of_queries(city, monkeypatch):
    shutil.copytree("city/queries", "city/more")
    fitted = fits(monkeypatch)
    flags = ["--test_set_folder", city, "--resume_model", "m.pth", "--compare", "other.pth", *FLAGS]
    folder = run(evaluation, *flags, "--further_queries", "more", "--whiten", "database", "--no_descriptors_cache")
    assert fitted == ["city/database"] * 2 and not layers()  # once for each network
    log = open(f"{folder}/info.log").read()
    assert "8 dimensions" in log and "7 dimensions" in log and "m.pth minus other.pth" in log
    fitted.clear()
    folder = run(evaluation, *flags, "--whiten", "city/queries", "--whiten_dim", "5")
    assert fitted == ["city/queries"] * 2
    assert "Network: Small with 5-D descriptors, whose last layer --whiten fits" in open(f"{folder}/info.log").read()


def test_a_database_in_the_colours_of_its_queries_has_a_layer_for_each_folder_of_them(city, monkeypatch):
    shutil.copytree("city/queries", "city/more")
    fitted = fits(monkeypatch)
    flags = ["--test_set_folder", city, "--resume_model", "m.pth", *FLAGS, *WHITEN, "--further_queries", "more"]
    run(evaluation, *flags, "--fda_database", "--fda_targets", "test")
    assert fitted == ["city/database"] * 2
    fitted.clear()
    run(evaluation, *flags, "--fda_database", "--train_set_folder", "city/more", "--no_descriptors_cache")
    assert fitted == ["city/database"]  # its colours are the same for all queries


def test_eval_fits_to_each_database_of_several_test_sets(city, monkeypatch):
    shutil.copytree("city", "town")
    fitted = fits(monkeypatch)
    run(evaluation, "--test_set_folders", "city", "town", "--resume_model", "m.pth", *FLAGS, *WHITEN)
    assert fitted == ["city/database", "town/database"]


def test_eval_on_ranks_uses_one_layer(city):
    flags = ["--test_set_folder", city, "--resume_model", "m.pth", *FLAGS, *WHITEN]
    for cache in ([], ["--no_descriptors_cache"]):
        folder, _ = all_ranks(2, run, evaluation, *flags, *cache)
        assert "A last layer is fitted to 19 images" in open(f"{folder}/info.log").read()
    (path,) = layers()
    expected = whitened(make_network(), ImageFolder("city/database"), Whitening(6), OPTIONS).aggregation[3].weight
    torch.testing.assert_close(read_tensors(path)["weight"], expected.detach(), rtol=1e-3, atol=1e-3)
    folder, _ = all_ranks(2, run, evaluation, *flags)
    assert "is read from cache/descriptors/last_layer" in open(f"{folder}/info.log").read()
    _, codes, errors = run_ranks(2, run, evaluation, *flags, "--whiten_images", "4", "--no_descriptors_cache")
    assert codes == [2, 2] and "--whiten_dim 3 is the most" in "".join(errors)


def test_python_m_retrieval_fits_to_the_folder_itself_or_to_another(city, monkeypatch):
    fitted = fits(monkeypatch)
    flags = ["--resume_model", "m.pth", *FLAGS, "--whiten_dim", "6"]
    run(description, "city/queries", "--output", "own.npy", *flags, "--whiten", "database")
    run(description, "city/queries", "--output", "other.npy", *flags, "--whiten", "city/database")
    assert fitted == ["city/queries", "city/database"]
    network = whitened(make_network(), ImageFolder("city/queries"), Whitening(6), OPTIONS)
    expected, _ = extract_descriptors(network, ImageFolder("city/queries"), OPTIONS)
    assert (np.load("own.npy") == expected).all() and np.abs(np.load("other.npy") - expected).max() > 0.01


def localized(capsys, *flags):
    """What localize.py finds of the photo."""
    capsys.readouterr()
    assert localize.main(["photo.png", "--format", "jsonl", "--resume_model", "m.pth", *FLAGS, *flags]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    return json.loads(line)


def test_localize_finds_its_layer_again_with_and_without_the_images(city, monkeypatch, capsys):
    place_image(5, 0, 9, 32).save("photo.png")
    fitted = fits(monkeypatch)
    database = ["--database_folder", "city/database"]
    for index in ([], ["--index_folder", "index"]):
        first = localized(capsys, *WHITEN, *database, *index)
        if not index:  # which would refuse another network
            assert first["neighbours"] != localized(capsys, *database)["neighbours"]
        assert localized(capsys, *WHITEN, *database, *index, "--infer_batch_size", "4") == first
        os.rename("city", "away")
        assert localized(capsys, *WHITEN, *(index or database)) == first
        os.rename("away", "city")
    assert fitted == ["city/database"] * 2
    (index,) = map(os.path.dirname, glob.glob("index/*/header.json"))
    assert localized(capsys, *WHITEN, "--index_folder", index) == first
    save_place("city/database", 25, 0, 1, 32)  # another image: another layer, and another index beside the first
    changed = localized(capsys, *WHITEN, *database, "--index_folder", "index")
    assert len(fitted) == 3 and changed["neighbours"] != first["neighbours"]


def test_a_calibration_serves_the_layer_of_the_same_images(city, monkeypatch, capsys):
    place_image(5, 0, 9, 32).save("photo.png")
    for variant in range(3, 9):
        for place in range(20):
            save_place("city/queries", place, 0, variant, 32)
    fitted = fits(monkeypatch)
    flags = ["--resume_model", "m.pth", *FLAGS, "--whiten_dim", "6"]
    line = fails(localize, capsys, *flags, "--calibrate", city, "--whiten", "database")
    assert "would calibrate a network that is fitted to the validation set" in line
    run(localize, *flags, "--calibrate", city, "--whiten", "city/database")
    found = localized(capsys, *WHITEN, "--database_folder", "city/database")
    assert found["confidence"] is not None and fitted == ["city/database"]


def test_what_cannot_be_fitted_is_one_line(city, capsys):
    flags = ["--test_set_folder", city, "--resume_model", "m.pth", *FLAGS]
    line = fails(evaluation, capsys, *flags, "--whiten", "database", "--whiten_dim", 50)
    assert "50 dimensions needs 51 images that can be read, and there are 20" in line
    assert line.endswith("--whiten_dim 19 is the most")
    # one of them cannot be read
    assert "--whiten_dim 18 is the most" in fails(
        evaluation, capsys, *flags, "--whiten", "database", "--whiten_dim", 19
    )
    assert "folder nowhere does not exist" in fails(evaluation, capsys, *flags, "--whiten", "nowhere")
    assert "--whiten_dim says how a last layer is fitted: give --whiten too" in fails(
        evaluation, capsys, *flags, "--whiten_dim", 5
    )
    where = ["photo.png", "--resume_model", "m.pth", *FLAGS]
    place_image(5, 0, 9, 32).save("photo.png")
    line = fails(localize, capsys, *where, "--database_folder", "city/database", "--whiten", "nowhere")
    assert "there is no folder nowhere, and cache/descriptors holds no last layer that was fitted with these" in line
    assert "index holds no last layer" in fails(localize, capsys, *where, "--index_folder", "index", *WHITEN)


def test_a_folder_of_layers_of_two_databases_asks_which(city, capsys):
    place_image(5, 0, 9, 32).save("photo.png")
    shutil.copytree("city", "town")
    save_place("town/database", 25, 0, 1, 32)
    for name in ("city", "town"):
        localized(capsys, *WHITEN, "--database_folder", f"{name}/database", "--index_folder", "index")
    where = ["photo.png", "--resume_model", "m.pth", *FLAGS, "--index_folder", "index", *WHITEN]
    assert "fitted to several folders: name one with --database_folder" in fails(localize, capsys, *where)
    shutil.rmtree("town")
    assert localized(capsys, *WHITEN, "--index_folder", "index", "--database_folder", "town/database")["neighbours"]


# --- from Python


def fit_from_python():
    import cosplace.model.choices

    small.register(cosplace.model.choices.BACKBONES)
    model = cosplace.get_trained_model(weights="m.pth")
    fitted = cosplace.fit_last_layer("city/database", model, 6, batch_size=8, power=np.float32(0.5))
    expected = whitened(make_network(), ImageFolder("city/database"), Whitening(6), OPTIONS).aggregation[3].weight
    torch.testing.assert_close(fitted.aggregation[3].weight, expected)
    assert cosplace.describe("city/queries", fitted).shape == (12, 6)
    (found,) = cosplace.localize("photo.png", "city/database", fitted)
    assert found.neighbours and not found.error
    for problem, *arguments in (
        ("power is 2", "city/database", model, 6, None, 8, 2),
        ("power is 'half'", "city/database", model, 6, None, 8, "half"),
        ("dim is 0", "city/database", model, 0),
        ("count is 1", "city/database", model, 6, None, 8, 0.5, 1),
    ):
        with pytest.raises(ValueError, match=problem):
            cosplace.fit_last_layer(*arguments)
    with pytest.raises(cosplace.UserError, match="dim 19 is the most"):
        cosplace.fit_last_layer("city/database", model, 50)


def test_from_python(city):
    place_image(5, 0, 9, 32).save("photo.png")
    in_child(fit_from_python)


def test_a_network_without_a_last_layer_is_refused(city):
    with pytest.raises(UserError, match="has no last linear layer"):
        whitened(without_last_layer(make_network()), ImageFolder("city/database"), Whitening(6), OPTIONS)

"""eval.py on methods of torch.hub (--hub): a local repository made here, whose modules have names of this project."""

import csv
import glob
import io
import json
import os
import subprocess
import sys
import urllib.error
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

import eval as eval_script
import model as our_model
from datasets.images import resize
from model.checkpoints import save_network
from model.hub.choices import METHODS, HubSpec
from model.hub.method import HubMethod
from model.last_layer import principal_components
from model.network import GeoLocalizationNet
from support.errors import UserError
from tests.ranks import all_ranks, run_ranks
from tests.scripts import fails, run
from tests.tiny import place_image, save_place

FOLDERS = ["--database_folder", "db", "--queries_folder", "q", "--device", "cpu", "--num_workers", 0]
HUBCONF = '''
dependencies = ["torch"]
import torch
from model import Net  # a name of this project


def tiny(dim=8, seed=0, **further):
    """A convolution and a mean."""
    torch.manual_seed(seed)
    return Net(dim, **further).train()


def mapping():
    return {"no": "module"}


def asks():
    input("Really? ")


def leaves():
    raise SystemExit(3)


def changes():
    """Changes whatever a program has only once."""
    import logging, os, random
    net = tiny()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.manual_seed(5), random.seed(5)
    os.chdir("/")
    logging.disable()
    logging.getLogger().handlers.clear()
    return net


def _hidden():
    pass
'''
NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, dim, output="matrix", scale=1.0, patch=1, sized=False, together=False):
        super().__init__()
        self.conv, self.further = nn.Conv2d(3, dim, 4, stride=4), (output, scale, patch, sized, together)

    def forward(self, images):
        import datasets  # theirs, when it is needed

        output, scale, patch, sized, together = self.further
        height, width = images.shape[-2:]
        assert height % patch == 0 == width % patch, f"not a multiple of {patch}"
        features = self.conv(images)
        found = nn.functional.normalize(features.view(len(images), features.shape[1], -1).mean(-1)) * scale
        if together:
            found = found - found.mean(0)
        if sized:
            found = torch.cat([found] * (width // 32), 1)
        return {
            "matrix": found,
            "tuple": (found, [features]),
            "dict": {"map": features, "global": found},
            "two": (found, found),
            "map": features,
            "list of numbers": [1, 2],
            "nan": found * float("nan"),
            "nothing": None,
        }[output]
"""


def write_repository(folder, seed=0):
    os.makedirs(folder)
    for name, text in (
        ("hubconf.py", HUBCONF.replace("seed=0", f"seed={seed}")),
        ("model.py", NET),
        ("datasets.py", ""),
    ):
        with open(f"{folder}/{name}", "w") as file:
            file.write(text)


@pytest.fixture
def city(workdir):
    """12 places in the database, 6 of them queried; and a repository."""
    for place in range(12):
        save_place("db", place, 0, 1, size=32)
        if place % 2:
            save_place("q", place, 0, 2, size=32)
    write_repository("repo")
    return workdir


def log_of(folder):
    return open(f"{folder}/info.log").read()


def recall(folder):
    (line,) = [line for line in log_of(folder).splitlines() if "< " in line and "R@1: " in line]
    return line.split(": ", 1)[1]


def load(*words, **settings):
    return HubMethod.load(HubSpec.parse("--hub", ["repo", "tiny", *words], **settings))


def test_a_method_is_tested_and_named(city):
    output = run(eval_script, *FOLDERS, "--hub", "repo", "tiny", "dim=16", "--trust_code", "--save_descriptors")
    assert "Method: repo tiny dim=16 with 16-D descriptors, images of their own size" in log_of(output)
    (record,) = json.load(open(f"{output}/environment.json"))["hub"].values()
    assert (record["source"], record["entry"], record["arguments"]) == ("repo", "tiny", {"dim": 16})
    assert record["commit"] is None and len(record["code"]["repo"]) == 64 and record["dim"] == 16
    assert sys.modules["model"] is our_model and "Net" not in vars(our_model)
    # what is computed: the module's own output, of images that are normalised once
    names = open(f"{output}/database_names.txt").read().splitlines()
    images = torch.stack([normalized(name) for name in names])
    with torch.inference_mode():
        expected = load("dim=16").module(images)
    np.testing.assert_allclose(np.load(f"{output}/database_descriptors.npy"), expected, atol=1e-5)


def normalized(name):
    image = np.asarray(Image.open(f"db/{name}").convert("RGB"), np.float32) / 255
    return torch.from_numpy((image - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)).float().movedim(-1, 0)


def test_methods_are_compared_with_each_other_and_with_a_checkpoint(city):
    write_repository("other", seed=1)  # modules of the same names
    hub = [*FOLDERS, "--trust_code", "--hub", "repo", "tiny"]
    of_other = ["--compare_hub", "other", "tiny", "dim=4", "--compare_hub_image_size", 48, 64]
    output = run(eval_script, *hub, *of_other, "--save_dir", "two", "--report", "page.html", "--dimensions", 2)
    log = log_of(output)
    assert "repo tiny minus other tiny dim=4 (64 x 48 pixels)" in log and "minus    95% interval" in log
    alone = run(eval_script, *FOLDERS, "--trust_code", "--hub", *of_other[1:4], "--hub_image_size", 48, 64)
    assert "are read from cache" in log_of(alone)  # of the second method, in its size
    page = open("page.html").read()
    assert "other tiny dim=4 (64 x 48 pixels), 4-D" in page and "repo tiny, 8-D" in page
    save_network(GeoLocalizationNet("Small", 16), "m.pth")
    output = run(eval_script, *hub, "--compare", "m.pth", "--save_dir", "three")
    assert "repo tiny minus m.pth" in log_of(output)
    of_network = ["--resume_model", "m.pth", "--trust_code", "--compare_hub", "repo", "tiny"]
    assert "m.pth minus repo tiny" in log_of(run(eval_script, *FOLDERS, *of_network, "--save_dir", "four"))


def test_kept_descriptors_are_of_the_same_method(city):
    def is_kept(*flags, words=("repo", "tiny")):
        output = run(eval_script, *FOLDERS, "--trust_code", "--hub", *words, *flags, "--save_dir", "again")
        return "are read from cache" in log_of(output)

    assert not is_kept() and is_kept()
    assert not is_kept(words=("repo", "tiny", "seed=1"))  # other weights
    assert not is_kept("--hub_mean", 0, 0, 0)
    assert not is_kept("--hub_image_size", 64)
    with open("repo/model.py", "a") as file:
        file.write("# changed\n")
    assert not is_kept() and is_kept()


def test_a_commit_is_recorded(city):
    def git(*words):
        identity = ["-c", "user.name=n", "-c", "user.email=e"]
        return subprocess.run(
            ["git", "-C", "repo", *identity, *words], check=True, capture_output=True, text=True
        ).stdout

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    commit = git("rev-parse", "HEAD").strip()
    assert load().origin["commit"] == commit
    open("repo/model.py", "a").write("# changed\n")
    assert load().origin["commit"] == f"{commit}+"


def run_eval(*flags):
    return eval_script.main([str(flag) for flag in flags])


def test_processes_share_a_method(city):
    flags = [*FOLDERS, "--trust_code", "--hub", "repo", "tiny", "--no_descriptors_cache"]
    alone = run(eval_script, *flags, "--whiten", "database", "--whiten_dim", 4, "--save_dir", "one")
    assert all_ranks(2, run_eval, *flags, "--whiten", "database", "--whiten_dim", 4, "--save_dir", "two") == [0, 0]
    (shared,) = glob.glob("logs/two/*")
    assert recall(shared) == recall(alone)
    _, codes, errors = run_ranks(2, run_eval, *flags[:-2], "big")
    assert codes == [2, 2] and "has no entry point big" in errors[0] + errors[1]


def test_images_with_other_colours_have_the_size_of_the_method(city):
    flags = ["--trust_code", "--hub", "repo", "tiny", "--fda_queries", "--fda_targets", "test", "--fda_beta", 0.1]
    output = run(eval_script, *FOLDERS, *flags, "--hub_image_size", 48, "--save_descriptors", "--save_dir", "fda")
    assert "FDA: the queries take colours" in log_of(output) and "images: shorter side 48 pixels" in log_of(output)
    plain = run(eval_script, *FOLDERS, *flags, "--save_descriptors", "--save_dir", "plain")
    ours, theirs = (np.load(f"{folder}/queries_descriptors.npy") for folder in (output, plain))
    assert not np.allclose(ours, theirs, atol=1e-6)


def test_images_without_labels(city):
    flags = ["--no_labels", "--trust_code", "--hub", "repo", "tiny", "--report", "page.html"]
    output = run(eval_script, *FOLDERS, *flags)
    assert "searched, no recalls" in log_of(output) and "repo tiny, 8-D" in open("page.html").read()


# --- what is not right


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["repo", "big"], "repo has no entry point big; it has Net, asks, changes, leaves, mapping, tiny"),
        (["empty", "tiny"], "/empty has no hubconf.py, in which torch.hub looks for tiny"),
        (["lacking", "tiny"], "lacking tiny needs packages that are not installed: install a_package, another"),
        (["importing", "tiny"], "importing tiny needs the package a_package, which is not installed"),
        (["repo", "mapping"], "repo mapping gives a dict, no torch.nn.Module"),
        (["repo", "asks"], "repo asks asks a question, which nobody can answer here"),
        (["repo", "leaves"], "repo leaves cannot be loaded with these arguments (SystemExit: 3)"),
        (["repo", "tiny", "size=3"], "(TypeError: Net.__init__() got an unexpected keyword argument 'size')"),
        (["repo", "tiny", "output=map"], "gives a tensor float32 (2, 8, 56, 56), and should give descriptors"),
        (["repo", "tiny", "output=two"], "gives a tuple of 2, and should give descriptors"),
        (["repo", "tiny", "output=list of numbers"], "gives a list of 2, and should"),
        (["repo", "tiny", "output=nothing"], "gives nothing, and should"),
        (["repo", "tiny", "output=nan"], "a descriptor of NaN or infinity"),
        (["repo", "tiny", "sized=true"], "56 of 224 x 224 pixels and 112 of 448 x 224 pixels: give one size"),
        (
            ["repo", "tiny", "patch=15"],
            "fails on images of 224 x 224 pixels (AssertionError: not a multiple of 15): give",
        ),
        (
            ["repo", "tiny", "patch=14"],
            "fails on images of 32 x 32 pixels (AssertionError: not a multiple of 14): give",
        ),
        (
            ["absent/", "tiny"],
            "there is no such folder, and it is no OWNER/REPO:COMMIT of GitHub and none of the known",
        ),
        (["o/r", "tiny"], "may be another program tomorrow: pin it to a commit, as o/r:COMMIT with all 40 digits"),
        (["o/r:main", "tiny"], "pin it to a commit"),
        (["repo"], "--hub repo names no entry point"),
        (["repo", "dim=3"], "--hub repo names no entry point"),
        (["repo", "tiny", "dim"], "'dim' is no argument of the entry point: write it as key=value"),
        (["repo", "tiny", "dim=3", "dim=4"], "gives dim twice"),
    ],
)
def test_a_method_that_gives_no_descriptors_is_one_line(city, capsys, words, problem):
    write_repository("lacking")
    write_repository("importing")
    os.mkdir("empty")
    for name, old, new in (
        ("lacking", '["torch"]', '["a_package", "another"]'),
        ("importing", "torch\n", "a_package\n"),
    ):
        path = f"{name}/hubconf.py"
        text = open(path).read()
        open(path, "w").write(text.replace(old, new, 1))
    assert problem in fails(eval_script, capsys, *FOLDERS, "--trust_code", "--hub", *words)
    assert sys.modules["model"] is our_model


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--hub", "repo", "tiny"], "repo tiny runs code that other people wrote"),
        (["--hub", "megaloc"], "read it at https://github.com/gmberton/MegaLoc/tree/1af071c"),
        (["--trust_code"], "--trust_code has no use without --hub"),
        (["--hub_mean", 0, 0, 0], "--hub_mean has no use without --hub"),
        (["--compare_hub_image_size", 9], "--compare_hub_image_size has no use without --compare_hub"),
        (["--hub", "repo", "tiny", "--hub_image_size", 9, 9, 9], "takes the shorter side alone, or height and width"),
        (["--hub", "repo", "tiny", "--resume_model", "m.pth"], "to compare them, give one as --compare"),
        (["--hub", "repo", "tiny", "--backbone", "VGG16"], "--backbone is of networks of this project"),
        (["--hub", "repo", "tiny", "--compare_hub", "repo", "tiny"], "--compare_hub repo tiny is --hub itself"),
        (["--compare", "m.pth", "--compare_hub", "repo", "tiny"], "both name a second method"),
        (["--no_labels", "--compare_hub", "repo", "tiny"], "--compare_hub needs to know which images are right"),
        (
            "--trust_code --database_descriptors a b --queries_descriptors a b --compare_hub repo tiny".split(),
            "--database_descriptors and --compare_hub name more than two methods",
        ),
    ],
)
def test_what_does_not_go_together(city, capsys, flags, problem):
    assert problem in fails(eval_script, capsys, *FOLDERS, *flags)
    assert not os.path.exists("repo/__pycache__")  # nothing of it was run


# --- what is taken, with a line


@pytest.mark.parametrize(("output", "part"), [("tuple", 0), ("dict", "global")])
def test_the_only_matrix_of_an_output_is_taken(city, caplog, output, part):
    with caplog.at_level("INFO"):
        method = load(f"output={output}")
    assert f"gives a {output} of 2: its part {part!r} is taken as the descriptors" in caplog.text
    assert torch.equal(method(torch.ones(2, 3, 32, 32)), load()(torch.ones(2, 3, 32, 32)))


@pytest.mark.parametrize(
    ("word", "warning"),
    [
        ("scale=3", "do not have unit length (those of test images: 3 and 3): they are compared by L2 distance"),
        ("together=true", "depend on the other images of their batch"),
    ],
)
def test_odd_descriptors_are_warned_of(city, caplog, word, warning):
    load()
    assert "unit length" not in caplog.text and "depend" not in caplog.text
    load(word)
    assert warning in caplog.text


def test_a_size_of_its_own(city):
    method = load("patch=14", image_size=[28, 42])
    assert method.fc_output_dim == 8 and load("sized=true", image_size=[28, 64]).fc_output_dim == 16
    assert resize(place_image(0, 0, 0), (28, 42)).size == (42, 28)
    assert resize(place_image(0, 0, 0), 28).size == (28, 28)


def test_arguments_are_values(monkeypatch):
    words = ["./tests", "e", "a=1", "b=0.5", "c=True", "d=false", "e=none", "f=[1, 2]", "g=ViT-G/14", "h='1'", "i="]
    monkeypatch.chdir(os.path.dirname(os.path.dirname(__file__)))
    spec = HubSpec.parse("--hub", words)
    values = (1, 0.5, True, False, None, [1, 2], "ViT-G/14", "1", "")
    assert spec.arguments == dict(zip("abcdefghi", values, strict=True)) and spec.commit is None


def test_known_methods():
    for name, known in METHODS.items():
        spec = HubSpec.parse("--hub", [name, "further=1"])
        assert (spec.source, spec.commit, spec.image_size) == (known.repository, known.commit, known.image_size)
        assert spec.arguments == {**known.arguments, "further": 1} and spec.name == f"{name} further=1"
        assert HubSpec.parse("--hub", [f"{known.repository}:{known.commit}", known.entry]).source == known.repository
    assert HubSpec.parse("--hub", ["boq"], image_size=[224]).image_size == 224


# --- from GitHub, without a network


def archive(address, path, **_):
    """What GitHub sends of a commit: a folder of another name in a zip."""
    assert address == f"https://github.com/owner/name/zipball/{'a' * 40}"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("owner-name-aaa/", "")
        for name in ("hubconf.py", "model.py", "datasets.py"):
            file.write(f"repo/{name}", f"owner-name-aaa/{name}")


def test_a_commit_of_github(city, monkeypatch):
    monkeypatch.setattr(torch.hub, "download_url_to_file", archive)
    method = HubMethod.load(HubSpec.parse("--hub", [f"owner/name:{'a' * 40}", "tiny"]))
    assert method.origin["commit"] == "a" * 40 and list(method.origin["code"]) == [f"owner_name_{'a' * 40}"]
    assert method.backbone_name == "owner/name tiny"
    monkeypatch.setattr(torch.hub, "download_url_to_file", None)  # from now on it is there, and nothing is fetched
    again = HubMethod.load(HubSpec.parse("--hub", [f"owner/name:{'a' * 40}", "tiny"]))
    assert again.identity == method.identity


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (urllib.error.URLError("no route to host"), "cannot be fetched (URLError: <urlopen error no route to host>)"),
        (urllib.error.HTTPError("https://x/y", 404, "Not Found", {}, io.BytesIO()), "https://x/y is not there"),
        (TimeoutError("timed out"), "cannot be fetched (TimeoutError: timed out): check the network"),
    ],
)
def test_a_network_that_fails_is_one_line(city, monkeypatch, error, problem):
    def fetch(*_, **__):
        raise error

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    with pytest.raises(UserError, match="owner/name tiny") as raised:
        HubMethod.load(HubSpec.parse("--hub", [f"owner/name:{'a' * 40}", "tiny"]))
    assert problem in str(raised.value)


# --- a layer behind descriptors


def test_whitened_methods_and_descriptors_have_the_same_recalls(city):
    flags = [*FOLDERS, "--whiten", "database", "--whiten_dim", 6]
    hub = [*FOLDERS, "--trust_code", "--hub", "repo", "tiny", "dim=16"]
    plain = run(eval_script, *hub, "--save_descriptors", "--save_dir", "plain")
    os.rename(plain, "given")
    output = run(eval_script, *flags, *hub, "--save_dir", "hub", "--dimensions", 3, "--save_descriptors")
    assert "behind which --whiten fits a layer" in log_of(output)
    given = ["--database_descriptors", "given/database_descriptors.npy", "--queries_descriptors"]
    files = [*flags, *given, "given/queries_descriptors.npy", "--dimensions", 3, "--save_descriptors"]
    other = run(eval_script, *files, "--save_dir", "files")
    assert recall(output) == recall(other) and "A layer is fitted to 12 descriptors of the database" in log_of(other)
    ours, theirs = (np.load(f"{folder}/queries_descriptors.npy") for folder in (output, other))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert [row["dimensions"] for row in csv.DictReader(open(f"{other}/dimensions.csv"))] == ["3", "6"]
    again = run(eval_script, *flags, *hub, "--save_dir", "again")
    assert "The last layer that was fitted to images of db is read from" in log_of(again)


def test_a_row_of_zeros_stays_unreadable_behind_a_layer(city):
    plain = run(eval_script, *FOLDERS, "--trust_code", "--hub", "repo", "tiny", "--save_descriptors", "--save_dir", "p")
    os.rename(plain, "given")
    array = np.load("given/database_descriptors.npy")
    array[1] = 0
    np.save("given/database_descriptors.npy", array)
    given = ["--database_descriptors", "given/database_descriptors.npy", "--queries_descriptors"]
    flags = [*given, "given/queries_descriptors.npy", "--whiten", "database", "--whiten_dim", 4]
    output = run(eval_script, *FOLDERS, *flags, "--save_dir", "zeros", "--save_descriptors")
    assert not np.load(f"{output}/database_descriptors.npy")[1].any()
    assert "fitted to 11 descriptors" in log_of(output)


def test_wide_features_have_the_same_components(monkeypatch):
    rng = np.random.default_rng(0)
    features = (rng.standard_normal((40, 60)) * np.linspace(3, 1, 60) + 2).astype(np.float32)
    features[7] = 0  # does not count
    expected = principal_components(features, 10, 0.5, 1)
    monkeypatch.setattr("model.last_layer._WIDE", 16)  # columns at a time, too
    found = principal_components(features, 10, 0.5, 1)
    np.testing.assert_allclose(found.weight, expected.weight, atol=1e-6)
    np.testing.assert_allclose(found.bias, expected.bias, atol=1e-6)
    assert found.kept == pytest.approx(expected.kept)
    monkeypatch.setattr("model.last_layer._LARGEST", 30)
    with pytest.raises(UserError, match="give at most 30 images"):
        principal_components(features, 10, 0.5, 1)


def test_what_a_method_changes_in_the_process_changes_no_other(city):
    save_network(GeoLocalizationNet("Small", 16), "m.pth")
    threads, lines = torch.get_num_threads(), []
    for hub in ("tiny", "changes"):
        flags = ["--trust_code", "--hub", "repo", hub, "--compare", "m.pth", "--save_dir", hub]
        log = open(f"{run(eval_script, *FOLDERS, *flags)}/info.log").read()
        lines.append([line.split("   ", 1)[1] for line in log.splitlines() if "R@1: " in line])
    assert lines[0] == lines[1] and len(lines[0]) == 2
    assert (torch.get_default_dtype(), torch.get_num_threads()) == (torch.float32, threads)
    assert os.getcwd() == str(city)

"""The repository inside a program that has packages of the same names."""

import os
import subprocess
import sys

import pytest
import torch

from model.checkpoints import save_network
from model.network import GeoLocalizationNet
from tests.scripts import ROOT
from tests.tiny import place_image

FOREIGN = (
    "model",
    "datasets",
    "support",
    "report",
    "training",
    "retrieval",
    "localization",
    "distributed",
    "test",
    "parser",
    "commons",
)

PROGRAM = """
import copy, importlib, importlib.util, multiprocessing, sys
import torch

root, before, after = sys.argv[1], sys.argv[2].split(), sys.argv[3].split()
for name in before:
    assert importlib.import_module(name).OWNER == "the program"


def describe(network, image):
    with torch.inference_mode():
        return network(image).tolist()


if __name__ == "__main__":
    network = torch.hub.load(root, "get_trained_model", source="local", backbone="ResNet18", fc_output_dim=512)
    image = torch.hub.load(root, "preprocess", source="local", image="photo.png")[None]
    expected = describe(network, image)
    assert image.shape == (1, 3, 64, 64) and abs(torch.tensor(expected).norm().item() - 1) < 1e-4
    assert type(network).__module__ == "cosplace.model.network"

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(describe, (network, image)) == expected
    assert describe(copy.deepcopy(network), image) == expected
    others = torch.jit.script(network), torch.jit.trace(network, image), torch.compile(network, backend="eager")
    for other in others if before else ():
        torch.testing.assert_close(torch.tensor(describe(other, image)), torch.tensor(expected))

    for name in before + after:
        assert importlib.import_module(name).OWNER == "the program"
    for name in sys.argv[4].split():
        spec = importlib.util.find_spec(name)
        assert not spec.origin.startswith(root), spec
        assert name in before + after or name not in sys.modules, name
    print("all is well")
"""

ALONE = """
import importlib.util, os, sys


def is_ours(path):
    return os.path.join(path or "", "").startswith(os.path.join(sys.argv[1], "")) and not path.startswith(sys.prefix)


sys.path.append(os.path.join(sys.argv[1], "python"))
import cosplace, cosplace.datasets.names, cosplace.retrieval.store, cosplace.test
for name in os.listdir(sys.argv[1]):
    name = name.removesuffix(".py")
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    assert spec is None or not is_ours(spec.origin), spec
own = [name for name, module in sys.modules.items() if is_ours(getattr(module, "__file__", None))]
assert all(name.split(".")[0] == "cosplace" for name in own) and "cosplace.support.errors" in own, own
assert cosplace.retrieval.store.UserError is cosplace.support.errors.UserError
importlib.reload(cosplace)
assert sum(getattr(finder, "root", None) == sys.argv[1] for finder in sys.meta_path) == 1
print("all is well")
"""

TWICE = """
import runpy, sys
try:
    runpy.run_path(f"{sys.argv[1]}/hubconf.py")
except ImportError as error:
    assert "another `cosplace`" in str(error)
    print("all is well")
"""


def run(program, folder, *arguments, **environment):
    """Runs a program in a folder, as a file of that folder."""
    (folder / "program.py").write_text(program)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | environment
    command = [sys.executable, "-W", "ignore", "program.py", str(ROOT), *arguments]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0 and result.stdout == "all is well\n", result.stderr


@pytest.mark.parametrize("content", ['OWNER = "the program"', 'raise RuntimeError("nothing asked for this package")'])
def test_a_network_in_a_program_with_packages_of_these_names(tmp_path, content):
    torch.manual_seed(0)
    os.makedirs(tmp_path / "zoo")
    save_network(GeoLocalizationNet("ResNet18", 512), tmp_path / "zoo" / "ResNet18_512.pth")
    place_image(1, 0, 0).save(tmp_path / "photo.png")
    for name in FOREIGN:
        os.makedirs(tmp_path / name)
        (tmp_path / name / "__init__.py").write_text(content + "\n")
    before, after = (FOREIGN[:6], FOREIGN[6:]) if content.startswith("OWNER") else ((), ())
    run(PROGRAM, tmp_path, " ".join(before), " ".join(after), " ".join(FOREIGN), COSPLACE_ZOO=str(tmp_path / "zoo"))


def test_only_cosplace_becomes_importable(tmp_path):
    run(ALONE, tmp_path)


def test_another_cosplace_is_refused(tmp_path):
    (tmp_path / "cosplace").mkdir()
    (tmp_path / "cosplace" / "__init__.py").write_text("")
    run(TWICE, tmp_path)

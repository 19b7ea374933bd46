import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import export
from model import exporting
from model.checkpoints import save_network
from model.choices import BACKBONES
from model.inference import Describer
from model.layers import GeM, L2Norm
from model.network import GeoLocalizationNet
from model.normalization import normalize, to_tensor
from support.errors import UserError

needs_onnx = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("onnx", "onnxruntime", "onnxscript"))),
    reason="onnx, onnxruntime and onnxscript are not all installed (requirements-export.txt)",
)


class Small(nn.Module):
    """As GeoLocalizationNet, with one layer for a backbone, whose features of a black image are all zero, so that every
    epsilon counts.
    """

    backbone_name, fc_output_dim = "Small", 16

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 8, 8, bias=False), nn.ReLU())
        self.aggregation = nn.Sequential(L2Norm(), GeM(p=2.3), nn.Flatten(), nn.Linear(8, 16), L2Norm())

    forward = GeoLocalizationNet.forward


def ran(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [node.name for node in session.get_inputs()] == ["images"] and [
        node.name for node in session.get_outputs()
    ] == ["descriptors"]
    return session, lambda images: session.run(None, {"images": images.numpy()})[0]


# --- ONNX


@needs_onnx
def test_file_and_example_without_the_project(workdir):
    torch.manual_seed(0)
    network = GeoLocalizationNet("ResNet18", 16).train()
    save_network(network, "best_model.pth")
    export.main(["--resume_model", "best_model.pth", "--normalize", "uint8", "--output", "model.onnx"])
    assert sorted(os.listdir()) == ["best_model.pth", "model.onnx"]
    session, run = ran("model.onnx")
    assert (
        session.get_inputs()[0].shape == ["batch", 3, "height", "width"]
        and session.get_inputs()[0].type == "tensor(uint8)"
    )
    about = session.get_modelmeta().custom_metadata_map
    assert about["backbone"] == "ResNet18" and about["fc_output_dim"] == "16" and about["input"].startswith("uint8 RGB")
    noise = torch.randint(0, 256, (5, 3, 80, 120), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    for images in (noise, noise[:1, :, :32, :32], noise[:2, :, :33, :77]):
        with torch.inference_mode():
            expected = network.eval()(normalize(images.clone()))
        np.testing.assert_allclose(run(images), expected, rtol=0, atol=1e-5)

    names = ["query.png", "a.png", "b.png"]
    for name, pixels in zip(names, noise, strict=False):
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(name)
    assert len(export.EXAMPLE.splitlines()) <= 20
    with open("example.py", "w") as file:
        file.write(export.EXAMPLE)
    alone = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'torchvision', 'model', 'datasets', 'export'])); "
        "sys.argv = sys.argv[1:]; exec(open(sys.argv[0]).read())"
    )
    result = subprocess.run(
        [sys.executable, "-I", "-c", alone, "example.py", "model.onnx", *names], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    query, *database = Describer(network, "cpu")(
        torch.stack([to_tensor(np.asarray(Image.open(name))) for name in names])
    ).numpy()
    similarities = {name: float(query @ descriptor) for name, descriptor in zip(names[1:], database, strict=True)}
    expected = sorted(similarities, key=similarities.get, reverse=True)
    rows = [line.split() for line in result.stdout.splitlines()]
    assert [name for _, name in rows] == expected
    np.testing.assert_allclose(
        [float(value) for value, _ in rows], [similarities[name] for name in expected], atol=1e-4
    )


@needs_onnx
def test_epsilons(workdir):
    network = Small()
    assert export.export(network, "x.onnx") <= 1e-5
    _, run = ran("x.onnx")
    images = torch.zeros(2, 3, 40, 64)
    images[1, :, 8:16, 8:16] = 0.7
    assert not network.backbone(images)[0].any()  # so that the descriptor is that of the epsilons
    np.testing.assert_allclose(run(images), network(images).detach(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(run(images), axis=1), 1, atol=1e-6)


@needs_onnx
def test_a_file_that_differs_is_not_written(workdir, monkeypatch):
    monkeypatch.setattr(
        exporting,
        "_write_onnx",
        lambda module, about, path: lambda images: module(torch.from_numpy(images)).numpy() + 1e-3,
    )
    with (
        torch.no_grad(),
        pytest.raises(UserError, match="exported Small differs from the network by 1.0e-03, more than 1e-04"),
    ):
        export.export(Small(), "x.onnx")
    assert os.listdir() == []


def test_what_cannot_be_exported_is_one_line(workdir):
    class Odd(Small):
        backbone_name = "Odd"

        def forward(self, images):
            return super().forward(images) * (1 if images.sum().item() > 0 else 2)

    with pytest.raises(UserError, match="a Odd cannot be written as torch_export with this PyTorch: .+") as error:
        export.export(Odd(), "x.pt2", "torch_export")
    assert "\n" not in str(error.value) and os.listdir() == []


@pytest.mark.skipif(
    not os.environ.get("EXPORT_ALL"), reason="all backbones in both formats take minutes: set EXPORT_ALL=1"
)
@pytest.mark.parametrize("file_format", list(export.SUFFIXES))
def test_every_backbone(workdir, file_format):
    for backbone in BACKBONES:
        torch.manual_seed(0)
        assert export.export(GeoLocalizationNet(backbone, 64), "x", file_format, "uint8") <= 1e-5, backbone


# --- torch.export


@pytest.mark.parametrize("normalization", list(export.INPUTS))
def test_program(workdir, normalization):
    network = Small()
    assert export.export(network, "x.pt2", "torch_export", normalization) <= 1e-5
    about = {"about.json": ""}
    program = torch.export.load("x.pt2", extra_files=about).module()
    assert json.loads(about["about.json"])["input"] == export.INPUTS[normalization]
    for shape in ((1, 3, 64, 64), (4, 3, 100, 75)):
        images = torch.randint(0, 256, shape, dtype=torch.uint8)
        normalised = normalize(images.clone())
        given = {"uint8": images, "float": images / 255, "none": normalised}[normalization]
        np.testing.assert_allclose(program(given).detach(), network(normalised).detach(), rtol=0, atol=1e-5)


# --- the command


def test_missing_packages(workdir, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert error_of(capsys, "--resume_model", "ResNet50_512").endswith(
        "export.py: error: --format onnx needs onnx, onnxruntime and onnxscript: pip install -r requirements-export.txt"
    )


def test_bad_input(workdir, capsys):
    assert "there is no file nowhere.pth" in error_of(
        capsys, "--resume_model", "nowhere.pth", "--format", "torch_export"
    )
    assert "invalid choice: 'tflite'" in error_of(capsys, "--resume_model", "x", "--format", "tflite")
    save_network(GeoLocalizationNet("ResNet18", 8), "x.pth")
    assert "nowhere/x.pt2 cannot be written" in error_of(
        capsys, "--resume_model", "x.pth", "--format", "torch_export", "--output", "nowhere/x.pt2"
    )


def error_of(capsys, *flags):
    with pytest.raises(SystemExit) as exit_:
        export.main(list(flags))
    assert exit_.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_help_has_the_example(capsys):
    with pytest.raises(SystemExit):
        export.main(["--help"])
    assert export.EXAMPLE.strip() in capsys.readouterr().out

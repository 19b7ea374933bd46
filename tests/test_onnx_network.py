"""export.py --int8, and ONNX files in the place of checkpoints."""

import contextlib
import json
import os
import re
import shutil
import sys

import numpy as np
import pytest
import torch

import eval as eval_script
import export
import localize
from model import quantization
from model.checkpoints import load_network, save_network
from model.network import GeoLocalizationNet
from model.onnx_network import OnnxNetwork, load_describer
from model.precision import infer_dtype
from support.errors import UserError
from tests.scripts import fails, run
from tests.tiny import save_place

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
onnx = pytest.importorskip("onnx")

FOLDERS = ["--database_folder", "db", "--queries_folder", "q", "--device", "cpu", "--num_workers", 0]


@pytest.fixture(scope="module")
def made(once):
    """12 places in the database, 6 of them queried; a network, and its files in 32 and in 8 bits."""

    def make():
        for place in range(12):
            save_place("db", place, 0, 1)
            if place % 2:
                save_place("q", place, 0, 2)
        torch.manual_seed(0)
        save_network(GeoLocalizationNet("Small", 16), "m.pth")
        export.main(["--resume_model", "m.pth", "--output", "m.onnx"])
        export.main([*INT8, "--normalize", "uint8", "--output", "uint8.onnx"])
        with quick_export():
            export.main([*INT8, "--output", "none.onnx"])

    return once("onnx_networks", make)


INT8 = ["--resume_model", "m.pth", "--int8", "db", "--image_size", "64", "--calibration_images", "8"]


@contextlib.contextmanager
def quick_export():
    """What writes the file in 32 bits, which takes seconds, takes m.onnx."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantization, "export", lambda network, path, *kind: shutil.copyfile("m.onnx", path))
        yield


@pytest.fixture
def city(made, workdir):
    for name in os.listdir(made):
        os.symlink(made / name, name)
    return workdir


def recalls(folder):
    return [line.split("   ", 1)[1] for line in open(f"{folder}/info.log") if "R@" in line and "R@100P" not in line]


def nodes(path):
    return {node.op_type for node in onnx.load(path).graph.node}


# --- export.py --int8


def test_files_in_8_bits_describe_as_the_network_does(city):
    network = load_network("m.pth").eval()
    images = torch.randn(3, 3, 80, 48, generator=torch.Generator().manual_seed(0)).clamp(-2, 2)
    with torch.inference_mode():
        expected = network(images)
    assert "QuantizeLinear" not in nodes("m.onnx") and torch.allclose(
        OnnxNetwork("m.onnx")(images), expected, atol=1e-5
    )
    for kind in ("none", "uint8"):
        file = OnnxNetwork(f"{kind}.onnx")
        assert {"QuantizeLinear", "DequantizeLinear"} <= nodes(f"{kind}.onnx")
        assert (file.backbone, file.fc_output_dim, file.kind) == ("Small", 16, kind)
        cosines = (file(images) * expected).sum(1)
        assert 0.99 < cosines.min() and not torch.allclose(file(images), expected, atol=1e-5)
    weights = [tensor for tensor in onnx.load("none.onnx").graph.initializer if len(tensor.dims) == 4]
    assert len(weights) == 4 and {tensor.data_type for tensor in weights} == {onnx.TensorProto.INT8}


def test_what_export_says(city, capsys):
    with quick_export():
        export.main([*INT8, "--output", "again.onnx"])
        export.main([*INT8, "--seed", "1", "--output", "other.onnx"])
    line = capsys.readouterr().out
    assert re.search(r"in 8 bits; cosine to the network's descriptors on 6 images: 0\.99\d\d, at least 0\.9\d", line)
    assert open("again.onnx", "rb").read() == open("none.onnx", "rb").read()  # a function of images and seed
    assert open("other.onnx", "rb").read() != open("none.onnx", "rb").read()


def test_8_bits_that_lose_the_descriptors_are_not_written(city, monkeypatch, capsys):
    monkeypatch.setattr(quantization, "LEAST_COSINE", 0.99999999)
    assert "own, less than 0.99999999: x.onnx was not written; give images like those" in error_of(
        capsys, "--output", "x.onnx"
    )
    assert not os.path.exists("x.onnx")


def error_of(capsys, *flags):
    with pytest.raises(SystemExit) as exit_, quick_export():
        export.main([*INT8, *map(str, flags)])
    assert exit_.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--int8", "nowhere"], "nowhere"),
        (["--int8", ""], "--calibration_images is of --int8's images: give --int8 FOLDER, or leave it out"),
        (["--format", "torch_export"], "--int8 writes ONNX alone"),
        (["--calibration_images", 1], "--calibration_images is 1, and must be at least 2"),
        (["--image_size", 8], "--image_size is 8, and must be at least 32"),
        (
            ["--resume_model", "m.onnx"],
            "m.onnx is an ONNX file, which eval.py, localize.py and python -m retrieval run",
        ),
        (["--int8", "broken"], "none of the images that were drawn from broken can be read"),
    ],
)
def test_bad_input_of_int8(city, capsys, flags, message):
    os.mkdir("broken")
    for name in ("@1@2@a.jpg", "@1@2@b.jpg"):
        open(f"broken/{name}", "w").close()
    assert message in error_of(capsys, *flags)
    assert not os.path.exists("m_int8.onnx")


# --- in the place of checkpoints


def test_eval_runs_onnx_files(city):
    """With the recalls of the network where the numbers are its own. What is kept of one file is not another's."""
    expected = recalls(run(eval_script, *FOLDERS, "--resume_model", "m.pth"))
    for _ in range(2):
        assert recalls(run(eval_script, *FOLDERS, "--resume_model", "m.onnx")) == expected
    folder = run(eval_script, *FOLDERS, "--resume_model", "m.onnx", "--compare", "uint8.onnx", "--report", "x.html")
    log = open(f"{folder}/debug.log").read()
    assert (
        "m.onnx minus uint8.onnx" in log
        and "Descriptors in float32: what the ONNX file gives, whatever it computes in" in log
    )
    assert log.count("The descriptors of db are kept in") == 1  # m.onnx's were kept
    environment = json.load(open(f"{folder}/environment.json"))
    assert environment["digests"]["weights"] != environment["digests"]["compared_weights"]


def test_localize_runs_onnx_files(city):
    flags = ["--device", "cpu", "--num_workers", 0, "--database_folder", "db", "--format", "csv"]
    tables = []
    for model in ("m.pth", "m.onnx"):
        run(localize, "q", *flags, "--resume_model", model, "--output", f"{model}.csv")
        tables.append([line.split(",")[:3] for line in open(f"{model}.csv")])
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--whiten", "database"], "m.onnx is an ONNX file, in which no last layer can be fitted: give a checkpoint"),
        (["--compile"], "--compile is for this project's networks, and not for ONNX files or --hub"),
        (["--infer_dtype", "bfloat16"], "--infer_dtype bfloat16: an ONNX file has its own numbers; leave it out"),
        (["--backbone", "ResNet18"], "m.onnx is a Small: leave out --backbone"),
        (["--fc_output_dim", 32], "m.onnx gives 16-D descriptors: fix --fc_output_dim"),
        (["--resume_model", "nowhere.onnx"], "there is no file nowhere.onnx; check the path"),
        (["--resume_model", "damaged.onnx"], "damaged.onnx is no ONNX file that onnxruntime can run"),
        (["--resume_model", "two.onnx"], "two.onnx has inputs and outputs a tensor"),
        (["--resume_model", "long.onnx"], "long.onnx gives of a test image has length"),
    ],
)
def test_bad_onnx_files(city, capsys, flags, message):
    with open("damaged.onnx", "wb") as file:
        file.write(open("m.onnx", "rb").read()[:5000])
    write_odd("two.onnx", "a", 2)
    write_odd("long.onnx", "images", 1)
    assert message in fails(eval_script, capsys, *FOLDERS, "--resume_model", "m.onnx", *flags)


def write_odd(path, name, outputs):
    """A file whose descriptors are sums of the pixels."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    given = [helper.make_tensor_value_info(name, kind, ["b", 3, "h", "w"])]
    made = [helper.make_tensor_value_info(f"o{number}", kind, ["b", 3]) for number in range(outputs)]
    axes = helper.make_tensor("axes", onnx.TensorProto.INT64, [2], [2, 3])
    steps = [helper.make_node("ReduceSum", [name, "axes"], [node.name], keepdims=0) for node in made]
    model = helper.make_model(
        helper.make_graph(steps, "odd", given, made, [axes]), opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )
    onnx.save(model, path)


def test_descriptors_have_one_length_for_all_sizes(city):
    """Sums along the width have as many entries as an image has rows."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    sums = [helper.make_node("ReduceSum", ["images", "axes"], ["sums"], keepdims=0)]
    sums += [helper.make_node("LpNormalization", ["sums"], ["o"], p=2, axis=1)]
    given = [helper.make_tensor_value_info("images", kind, ["b", 3, "h", "w"])]
    made = [helper.make_tensor_value_info("o", kind, ["b", "h"])]
    graph = helper.make_graph(sums, "g", given, made, [helper.make_tensor("axes", onnx.TensorProto.INT64, [2], [1, 3])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), "sums.onnx")
    network = OnnxNetwork("sums.onnx")
    assert network.fc_output_dim == 224 and network(torch.ones(1, 3, 224, 64)).shape == (1, 224)
    with pytest.raises(UserError, match=r"sums.onnx gives an array .1, 96. for 1 images of 64 x 96 pixels"):
        network(torch.ones(1, 3, 96, 64))


def test_a_file_of_one_size_says_so(city):
    model = onnx.load("m.onnx")
    for number, side in ((2, 64), (3, 64)):
        model.graph.input[0].type.tensor_type.shape.dim[number].dim_value = side
    onnx.save(model, "fixed.onnx")
    network = load_describer("fixed.onnx")
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 16)
    with pytest.raises(UserError, match=r"fixed.onnx, .* 3, 64, 64\], cannot describe 2 images of 48 x 64 pixels: .+"):
        network(torch.zeros(2, 3, 64, 48))


@pytest.mark.parametrize(("number", "problem"), [(1, ""), (4, "takes 4 images at once")])
def test_a_file_for_a_number_of_images(city, number, problem):
    model = onnx.load("m.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = number
    onnx.save(model, "several.onnx")
    images = torch.randn(3, 3, 64, 64)
    with pytest.raises(UserError, match=problem) if problem else contextlib.nullcontext():
        torch.testing.assert_close(OnnxNetwork("several.onnx")(images), OnnxNetwork("m.onnx")(images))


def test_weights_outside_of_the_file_are_not_read(city):
    """A file may name any other, of the whole disk."""
    onnx.save(onnx.load("m.onnx"), "split.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert os.path.exists("weights.bin")  # also in the working folder
    with pytest.raises(UserError, match="split.onnx is no ONNX file that onnxruntime can run"):
        OnnxNetwork("split.onnx")


def test_numbers_are_those_of_the_file(city):
    assert infer_dtype("auto", OnnxNetwork("none.onnx"), torch.device("cpu"))[0] == torch.float32


def test_without_onnxruntime(city, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="m.onnx needs onnxruntime: pip install -r requirements-export.txt"):
        load_describer("m.onnx")
    assert isinstance(load_describer("m.pth"), GeoLocalizationNet)


def test_the_digest_is_of_the_bytes(city):
    first, second = (OnnxNetwork(f"{name}.onnx").state_dict()["digest"] for name in ("m", "none"))
    assert first.shape == (32,) and not np.array_equal(first, second)

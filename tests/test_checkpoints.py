import importlib
import io
import os
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

import hubconf
from model.checkpoints import infer_architecture, load_network, save_network
from model.choices import BACKBONES
from model.network import GeoLocalizationNet
from support.errors import UserError
from support.files import read_tensors, replacing, write_tensors
from tests.file_server import running_server
from training.run_files import RUN_STATE_KEYS, load_run_state


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return GeoLocalizationNet("ResNet18", 512)


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


# --- architectures and names


@pytest.mark.parametrize("backbone", BACKBONES)
def test_architecture_is_read_from_the_entries(backbone):
    with torch.device("meta"):
        assert infer_architecture(GeoLocalizationNet(backbone, 48).state_dict()) == (backbone, 48)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"module." + k: v for k, v in s.items()},
        lambda s: {"_orig_mod." + k: v for k, v in s.items()},
        lambda s: {"module._orig_mod." + k: v for k, v in s.items()},
        lambda s: {"model_state_dict": s, "epoch_num": 3},
    ],
)
def test_networks_load_whatever_their_wrapping(tmp_path, network, wrap):
    torch.save(wrap(network.state_dict()), tmp_path / "x.pth")
    loaded = load_network(str(tmp_path / "x.pth"))
    assert equal(loaded, network) and (loaded.backbone_name, loaded.fc_output_dim) == ("ResNet18", 512)


def test_legacy_torch_format(tmp_path, network):
    torch.save(network.state_dict(), tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    assert equal(load_network(str(tmp_path / "x.pth")), network)


def test_contradicting_flags_name_the_first_differing_entries(tmp_path, network):
    path = str(tmp_path / "x.pth")
    save_network(network, path)
    with pytest.raises(
        UserError,
        match="is a ResNet18 with 512-D descriptors, not a ResNet50 with 512-D descriptors: it lacks "
        r"backbone\.4\.0\.conv3\.weight",
    ):
        load_network(path, backbone="resnet50")
    with pytest.raises(
        UserError, match=r"with 64-D descriptors: aggregation\.3\.weight is \(512, 512\) instead of \(64, 512\)"
    ):
        load_network(path, fc_output_dim=64)
    entries = network.state_dict()
    entries["backbone.7.0.conv1.weight"] = entries["backbone.7.0.conv1.weight"][:, :3]
    torch.save(entries, path)
    with pytest.raises(UserError, match=r"x.pth is not a ResNet18 .*backbone\.7\.0\.conv1\.weight is \(512, 3, 3, 3\)"):
        load_network(path)


def test_saved_networks_are_bare_contiguous_state_dicts(tmp_path, network):
    save_network(network.to(memory_format=torch.channels_last), tmp_path / "x.pth")
    content = torch.load(tmp_path / "x.pth", weights_only=True)
    assert list(content) == list(network.state_dict()) and all(value.is_contiguous() for value in content.values())


# --- files


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("it_ran",)


@pytest.mark.parametrize("legacy", [False, True])
def test_malicious_checkpoint_does_not_run(workdir, legacy):
    torch.save({"model_state_dict": {}, "x": Malicious()}, "bad.pth", _use_new_zipfile_serialization=not legacy)
    with open("worse.pth", "wb") as file:
        pickle.dump(Malicious(), file)
    for path in ("bad.pth", "worse.pth"):
        with pytest.raises(UserError, match="holds objects other than tensors"):
            load_network(path)
    assert not os.path.exists("it_ran")


def test_allowance_is_exactly_numpys_float64(workdir):
    before = set(torch.serialization.get_safe_globals())
    torch.save({"x": np.float64(3.5)}, "float.pth")
    assert read_tensors("float.pth")["x"] == 3.5
    for value in (np.zeros(3), np.float32(1), np.int64(1)):
        torch.save({"x": value}, "other.pth")
        with pytest.raises(UserError, match="holds objects other"):
            read_tensors("other.pth")
    assert set(torch.serialization.get_safe_globals()) == before


def test_damaged_files(workdir, network):
    save_network(network, "x.pth")
    data = open("x.pth", "rb").read()
    for content in (data[: len(data) // 2], data[:100], b"", b"hello", b"PK\x03\x04" + b"x" * 200):
        with open("x.pth", "wb") as file:
            file.write(content)
        with pytest.raises(UserError, match="x.pth"):
            load_network("x.pth")
    with pytest.raises(UserError, match="there is no file y.pth"):
        load_network("y.pth")
    os.mkdir("z.pth")
    with pytest.raises(UserError, match="z.pth cannot be read: Is a directory"):
        load_network("z.pth")
    for content in ([1], {}, {"a": 1}):
        torch.save(content, "x.pth")
        with pytest.raises(UserError, match="holds no network"):
            load_network("x.pth")


def test_failed_write_leaves_the_old_file_and_no_other(workdir, monkeypatch):
    write_tensors({"a": torch.ones(2)}, "x.pth")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match="x.pth cannot be written: No space left on device"):
        write_tensors({"a": torch.zeros(2)}, "x.pth")
    with pytest.raises(KeyError), replacing("x.pth"):
        raise KeyError
    with pytest.raises(UserError, match="nowhere/x.pth cannot be written"), replacing("nowhere/x.pth"):
        pass
    assert os.listdir() == ["x.pth"] and read_tensors("x.pth")["a"].tolist() == [1, 1]


def published_run_state(network, module):
    """The bytes of a last_checkpoint.pth as the published code wrote it, numpy's float64 under this module path."""
    adam = torch.optim.Adam(network.parameters(), lr=1e-5)
    state = {
        "epoch_num": 3,
        "model_state_dict": network.state_dict(),
        "optimizer_state_dict": adam.state_dict(),
        "classifiers_state_dict": [],
        "optimizers_state_dict": [],
        "best_val_recall1": np.float64(61.25),
    }
    buffer, output = io.BytesIO(), io.BytesIO()
    torch.save(state, buffer)
    with zipfile.ZipFile(buffer) as archive, zipfile.ZipFile(output, "w") as rewritten:
        for name in archive.namelist():
            data = archive.read(name)
            if name.endswith("data.pkl"):
                assert b"cnumpy._core.multiarray\nscalar" in data
                data = data.replace(b"cnumpy._core.multiarray\nscalar", f"c{module}\nscalar".encode())
            rewritten.writestr(name, data)
    return output.getvalue()


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_published_run_states_load(workdir, network, module):
    with open("last_checkpoint.pth", "wb") as file:
        file.write(published_run_state(network, module))
    state = load_run_state("last_checkpoint.pth")
    assert type(state["best_val_recall1"]) is float and state["best_val_recall1"] == 61.25 and state["epoch_num"] == 3
    assert equal(load_network("last_checkpoint.pth"), network)


def test_run_states_that_hold_no_state(workdir, network):
    save_network(network, "best_model.pth")
    with pytest.raises(UserError, match="is no run's state .*use --resume_model"):
        load_run_state("best_model.pth")
    torch.save(dict.fromkeys(RUN_STATE_KEYS, 0), "last.pth")
    with pytest.raises(UserError, match="its model_state_dict is of type int"):
        load_run_state("last.pth")


# --- torch.hub


@pytest.fixture
def server(monkeypatch):
    with running_server(monkeypatch) as server:
        yield server


@pytest.fixture
def own_modules():
    """What is imported during the test goes with it: else later tests would have modules of two kinds."""
    before = dict(sys.modules)
    yield
    sys.modules.clear()
    sys.modules.update(before)


def test_hubconf_beside_a_users_own_model_package(server, network, workdir, monkeypatch, own_modules):
    server.put("/ResNet18_512_cosplace.pth", network)
    for name in [name for name in sys.modules if name.startswith("cosplace.")]:
        monkeypatch.delitem(sys.modules, name)
    theirs = types.ModuleType("model")
    for name in [name for name in sys.modules if name.split(".")[0] in ("model", "datasets")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "model", theirs)
    monkeypatch.setitem(sys.modules, "datasets", types.ModuleType("datasets"))
    monkeypatch.setattr(
        importlib.import_module("cosplace.model.zoo").published, "COSPLACE", f"{server.address}/{{}}_cosplace.pth"
    )
    loaded = hubconf.get_trained_model(backbone="ResNet18", fc_output_dim=512)
    assert equal(loaded, network) and not loaded.training and sys.modules["model"] is theirs
    Image.new("RGB", (60, 40), (255, 0, 0)).save("x.png")
    tensor = hubconf.preprocess("x.png")
    assert tensor.shape == (3, 40, 60) and tensor[0, 0, 0].item() == pytest.approx((1 - 0.485) / 0.229, abs=1e-5)
    assert hubconf.preprocess(Image.open("x.png"), resize=32).shape == (3, 32, 48)
    with torch.inference_mode():
        assert loaded(tensor[None]).shape == (1, 512)
    with pytest.raises(ValueError, match="method"):
        hubconf.get_trained_model(method="NetVLAD")

import json
import os
from dataclasses import dataclass

import pytest
import torch

import train
from datasets.batches import Tensors
from model import packing
from model.checkpoints import load_network, save_network
from model.compilation import compiled
from model.network import GeoLocalizationNet
from support.errors import UserError
from tests.tiny import FLAGS, make_tiny
from training.acceleration import set_tf32, traced
from training.optimizers import MixedPrecision
from training.run import Run
from training.transfer import to_device

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@dataclass
class Batch(Tensors):
    step: int
    images: torch.Tensor
    labels: torch.Tensor


def batches(number):
    return [
        Batch(step, torch.full((2, 3, 4, 4), step, dtype=torch.uint8), torch.tensor([step, step + 1]))
        for step in range(number)
    ]


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=CUDA)])
@pytest.mark.parametrize("number", [0, 1, 5])
def test_batches_come_in_order_and_whole(device, number):
    wanted = batches(number)
    pinned = [batch.pin_memory() for batch in wanted] if device == "cuda" else wanted
    moved = list(to_device(pinned, torch.device(device)))
    assert [batch.step for batch in moved] == list(range(number))
    for batch, want in zip(moved, wanted, strict=True):
        assert batch.images.device.type == batch.labels.device.type == device
        assert torch.equal(batch.images.cpu(), want.images) and torch.equal(batch.labels.cpu(), want.labels)


def test_tf32_is_off_unless_asked_for():
    set_tf32(True)
    assert torch.backends.cudnn.allow_tf32 and torch.get_float32_matmul_precision() == "high"
    set_tf32(False)
    assert not torch.backends.cudnn.allow_tf32 and torch.get_float32_matmul_precision() == "highest"


def test_what_cannot_be_compiled_is_said_in_one_line(monkeypatch):
    def refuse(function):
        raise RuntimeError("no working C++ compiler\nand a long story")

    monkeypatch.setattr(torch, "compile", refuse)
    with pytest.raises(UserError, match=r"^--compile: .*no working C\+\+ compiler\); install"):
        compiled(torch.nn.Linear(2, 2), torch.device("cpu"))


def test_a_compiled_network_shares_the_parameters(monkeypatch):
    monkeypatch.setattr(
        torch, "compile", lambda function: torch._dynamo.optimize("eager")(function)
    )  # the same without a C++ compiler
    network = torch.nn.Linear(3, 2)
    fast = compiled(network, torch.device("cpu"))
    optimizer = torch.optim.Adam(network.parameters())
    amp = MixedPrecision(torch.float32, torch.device("cpu"))
    assert Run(network, optimizer, [], [], amp, trained=fast).trained is fast
    assert Run(network, optimizer, [], [], amp).trained is network
    fast(torch.ones(1, 3)).sum().backward()
    assert network.weight.grad is not None and {id(p) for p in fast.parameters()} == {
        id(p) for p in network.parameters()
    }


@pytest.mark.parametrize("number, steps", [(20, 3), (12, 5)])
def test_a_trace_covers_its_steps_or_what_there_is_of_them(workdir, number, steps):
    seen = []
    for batch in traced(range(number), steps, "trace.json"):
        seen.append(batch)
        torch.ones(2) * batch
    assert seen == list(range(number))
    multiplications = [
        event
        for event in json.loads((workdir / "trace.json").read_text())["traceEvents"]
        if event["name"] == "aten::mul"
    ]
    assert len(multiplications) == min(steps, number - 10)


def test_a_run_that_keeps_networks_and_writes_a_trace(workdir):
    data = make_tiny(workdir / "data")
    train.main(
        [
            *FLAGS,
            "--dataset_folder",
            data,
            "--keep_every",
            "2",
            "--epochs_num",
            "4",
            "--iterations_per_epoch",
            "12",
            "--profile",
            "1",
        ]
    )
    folder = next((workdir / "logs" / "default").iterdir())
    assert sorted(path.name for path in folder.glob("epoch_*")) == ["epoch_002.pth", "epoch_004.pth"]
    last = torch.load(folder / "last_checkpoint.pth", weights_only=True)["model_state_dict"]
    kept = torch.load(folder / "epoch_004.pth", weights_only=True)
    assert all(torch.equal(kept[name], last[name]) for name in last)
    assert json.loads((folder / "trace.json").read_text())["traceEvents"]


def test_a_packed_network_loads_as_any_other(workdir, capsys):
    network = GeoLocalizationNet("Small", 256)
    save_network(network, "plain.pth")
    packing.main(["plain.pth", "packed.pth"])
    assert "packed.pth: " in capsys.readouterr().out
    assert os.path.getsize("packed.pth") < 0.42 * os.path.getsize("plain.pth")
    for name, value in load_network("packed.pth").state_dict().items():
        torch.testing.assert_close(value, network.state_dict()[name], rtol=2**-8, atol=0)
    packing.main(["plain.pth", "smaller.pth", "--mantissa_bits", "3"])
    assert os.path.getsize("smaller.pth") < 0.75 * os.path.getsize("packed.pth")
    for name, value in load_network("smaller.pth").state_dict().items():
        torch.testing.assert_close(value, network.state_dict()[name], rtol=2**-4 + 2**-8, atol=0)
    assert packing.rounded(torch.tensor([1.05, 1.07, -1.95, 0.0]), 3).tolist() == [1.0, 1.125, -2.0, 0.0]
    with pytest.raises(SystemExit) as refused:
        packing.main(["absent.pth", "packed.pth"])
    assert refused.value.code == 2

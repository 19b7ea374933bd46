import urllib.request

import pytest
import torch
import torchvision

from model.choices import BACKBONES, canonical_backbone
from model.network import GeoLocalizationNet
from support.errors import UserError


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_gives_unit_descriptors_and_freezes_its_first_part(backbone):
    with torch.device("meta"):
        network, whole = GeoLocalizationNet(backbone, 64), GeoLocalizationNet(backbone, 64, train_all_layers=True)
        assert network(torch.empty(2, 3, 64, 96)).shape == (2, 64)
    frozen = [name for name, parameter in network.named_parameters() if not parameter.requires_grad]
    trained = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    assert frozen and all(name.startswith("backbone.") for name in frozen)
    assert any(name.startswith("backbone.") for name in trained) and "aggregation.1.p" in trained
    assert all(parameter.requires_grad for parameter in whole.parameters())


@pytest.mark.parametrize("backbone", ["ResNet18", "MobileNet_V2", "ConvNeXt_Tiny"])
def test_descriptors_are_unit_length_under_mixed_precision_too(backbone):
    torch.manual_seed(0)
    network = GeoLocalizationNet(backbone, 16).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        full = network(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = network(images)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed.norm(dim=1), torch.ones(2))
    assert (full * mixed).sum(1).min() > 0.98


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
@pytest.mark.parametrize("backbone", ["ResNet18", "EfficientNet_B0", "ConvNeXt_Tiny"])
def test_scripted_network_is_the_same(backbone):
    network, images = GeoLocalizationNet(backbone, 16).eval(), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(torch.jit.script(network)(images), network(images))


def test_frozen_batch_norm_statistics_still_move_in_training():
    network = GeoLocalizationNet("ResNet18", 16).train()
    before = network.state_dict()["backbone.1.running_mean"].clone()
    network(torch.randn(2, 3, 64, 64))
    assert not torch.equal(before, network.state_dict()["backbone.1.running_mean"])


def test_backbone_names_in_any_case():
    assert canonical_backbone("resnet50") == "ResNet50" and canonical_backbone("convnext_tiny") == "ConvNeXt_Tiny"
    with pytest.raises(UserError, match="no backbone 'ResNet51'.*ResNet18"):
        canonical_backbone("ResNet51")


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"module." + k: v for k, v in s.items()}, lambda s: {"state_dict": s}]
)
def test_initial_weights_from_a_file(tmp_path, wrap):
    torch.manual_seed(1)
    source = torchvision.models.resnet18(weights=None)
    torch.save(wrap(source.state_dict()), tmp_path / "resnet18.pth")
    network = GeoLocalizationNet("ResNet18", 8, weights=str(tmp_path / "resnet18.pth"))
    torch.testing.assert_close(network.state_dict()["backbone.0.weight"], source.conv1.weight)


def test_initial_weights_that_do_not_fit_are_named(tmp_path):
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), tmp_path / "r18.pth")
    with pytest.raises(UserError, match=r"r18.pth do not fit a MobileNet_V2: it lacks features\.0\.0\.weight"):
        GeoLocalizationNet("MobileNet_V2", 8, weights=str(tmp_path / "r18.pth"))
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UserError, match="not a state_dict"):
        GeoLocalizationNet("ResNet18", 8, weights=str(tmp_path / "list.pth"))
    with pytest.raises(UserError, match="no file"):
        GeoLocalizationNet("ResNet18", 8, weights=str(tmp_path / "absent.pth"))
    with pytest.raises(UserError, match="no IMAGENET1K_V2 for ResNet18; it has IMAGENET1K_V1"):
        GeoLocalizationNet("ResNet18", 8, weights="IMAGENET1K_V2")


def test_failed_download_says_how_to_do_it_by_hand(tmp_path, monkeypatch):
    def refuse(url, *args, **kwargs):
        raise OSError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request.OpenerDirector, "open", refuse)
    with pytest.raises(
        UserError, match=rf"no network.*download https://.*resnet18.*\.pth by hand and put it at {tmp_path}"
    ):
        GeoLocalizationNet("ResNet18", 8, weights="IMAGENET1K_V1")


def test_damaged_file_of_initial_weights_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub/checkpoints").mkdir(parents=True)
    (tmp_path / "hub/checkpoints/resnet18-f37072fd.pth").write_text("<html>")
    with pytest.raises(UserError, match=r"resnet18-f37072fd\.pth is not a file of PyTorch tensors, or is damaged"):
        GeoLocalizationNet("ResNet18", 8, weights="IMAGENET1K_V1")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_cuda_agrees_with_the_cpu(dtype):
    torch.manual_seed(0)
    network, images = GeoLocalizationNet("ResNet18", 16).eval(), torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        expected = network(images)
        torch.testing.assert_close(network.cuda()(images.cuda()).cpu(), expected, rtol=0, atol=1e-3)
        with torch.autocast("cuda", dtype=dtype):
            torch.testing.assert_close(network(images.cuda()).cpu(), expected, rtol=0, atol=3e-2)

"""Backbones of timm, with small random models: nothing is fetched."""

import json
import os
import shutil
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import eval as eval_script
import export
import soup
import train
from model import exporting, packing, timm_backbone
from model.checkpoints import initial_network, load_network, save_network
from model.details import Details, read_details
from model.inference import FOLDING_TOLERANCE, fold_batch_norm
from model.layers import GeM
from model.network import GeoLocalizationNet
from model.normalization import IMAGENET_MEAN, IMAGENET_STD
from model.stochastic_depth import stochastic_depths
from retrieval.identity import weights_digest
from support.errors import UserError
from support.files import read_tensors
from tests.failures import Killed, at_step, kill
from tests.file_server import running_server
from tests.ranks import all_ranks
from tests.scripts import assert_same_end, fails, run, weights
from tests.tiny import EVAL, SHORT

timm = pytest.importorskip("timm")

FLAGS = [flag for flag in SHORT if flag != "--train_all_layers"]
FLAGS += ["--backbone", "timm/test_vit", "--train_last_blocks", "2", "--gem_activation", "signed"]
TRANSFORMERS = ["test_vit", "test_vit3", "vit_small_patch14_reg4_dinov2", "vit_small_patch16_dinov3"]


def make(name="test_vit", dim=16, seed=0, **options):
    torch.manual_seed(seed)
    return GeoLocalizationNet(f"timm/{name}", dim, **options).eval()


def images(height, width):
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))


# --- the feature map


@pytest.mark.parametrize("name", [*TRANSFORMERS, "test_resnet", "test_mambaout", "swin_tiny_patch4_window7_224"])
@torch.no_grad()
def test_feature_map_is_that_of_timm_in_its_own_normalisation(name):
    """Patch tokens in their places, without class and register tokens; in every memory format."""
    backbone = make(name).backbone
    config, patch = backbone.network.pretrained_cfg, backbone.ratio[0]
    pixels = images(patch * max(1, 64 // patch), patch * max(1, 96 // patch))
    mean, std = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
    imagenet_mean, imagenet_std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    features = backbone((pixels - imagenet_mean) / imagenet_std)
    options = {"norm": True} if name != "test_resnet" else {}
    expected = backbone.network.forward_intermediates(
        (pixels - mean) / std, indices=1, intermediates_only=True, output_fmt="NCHW", **options
    )[-1]
    if name == "test_mambaout":  # timm normalises its last map on the way to the classifier, which is dropped
        expected = backbone.network.forward_features((pixels - mean) / std).permute(0, 3, 1, 2)
    assert features.shape == expected.shape and features.shape[1] == backbone.channels
    torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_sizes_are_brought_to_multiples_of_the_patch_with_one_line(caplog):
    network = make("vit_small_patch14_reg4_dinov2")
    timm_backbone._log_once.cache_clear()
    with caplog.at_level("INFO"):
        found = [network.backbone(images(*sides)) for sides in ((64, 91), (32, 36))]
    assert [tuple(features.shape[2:]) for features in found] == [(5, 7), (2, 3)]
    resized = F.interpolate(images(64, 91), (70, 98), mode="bilinear", align_corners=False)
    torch.testing.assert_close(found[0], network.backbone(resized))
    assert [record.message for record in caplog.records] == [
        "Images are resized to the nearest multiples of 14 pixels a side, the patches of "
        "timm/vit_small_patch14_reg4_dinov2"
    ]


def test_what_has_no_part_in_the_feature_map_is_dropped_or_frozen():
    names = set(make("test_convnext").state_dict()) | set(make("test_vit2").state_dict())
    assert not any(part in name for name in names for part in ("head", "fc_norm"))
    network = make("test_vit3", train_all_layers=True).train()
    network(images(32, 32)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet"])
@torch.inference_mode()
def test_batch_norms_with_an_activation_are_folded(name):
    network = make(name).train()
    network(images(64, 64))  # other statistics
    folded = fold_batch_norm(network)
    assert not any(type(module).__name__ == "BatchNormAct2d" for module in folded.modules())
    torch.testing.assert_close(folded(images(96, 64)), network.eval()(images(96, 64)), rtol=0, atol=FOLDING_TOLERANCE)


def test_stochastic_depth_of_timm_knows_the_share_of_a_batch():
    network = timm.create_model("test_vit", drop_path_rate=0.5)
    timm_backbone.replace_stochastic_depth(network)
    assert {depth.mode for depth in stochastic_depths(network)} == {"row"} and len(stochastic_depths(network)) >= 5


# --- what is trained


@pytest.mark.parametrize(
    ("name", "count", "first"),
    [
        ("timm/test_vit", None, "backbone.network.blocks.2."),
        ("timm/test_vit", 1, "backbone.network.blocks.5."),
        ("timm/test_resnet", None, "backbone.network.layer3."),
        ("timm/test_resnet", 1, "backbone.network.layer4."),
        ("timm/test_efficientnet", None, "backbone.network.blocks.3."),
        ("timm/test_vit", 0, "aggregation.1."),
        ("timm/test_vit", 6, "backbone.network.cls_token"),
        ("ResNet18", 2, "backbone.6."),
        ("ResNet18", 1, "backbone.7."),
        ("VGG16", 3, "backbone.24."),
        ("MobileNet_V2", 2, "backbone.0.17."),
    ],
)
def test_last_blocks_are_trained_and_all_that_follows(name, count, first):
    network = GeoLocalizationNet(name, 8)
    network.train_last_blocks(count)
    names = [name for name, _ in network.named_parameters()]
    border = next(index for index, name in enumerate(names) if name.startswith(first))
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert trained == set(names[border:])


def test_too_many_blocks_and_both_flags_are_one_line(tiny, workdir, capsys):
    with pytest.raises(UserError, match="--train_last_blocks 7: timm/test_vit has 6 blocks; --train_all_layers trains"):
        make().train_last_blocks(7)
    assert "give --train_all_layers or --train_last_blocks, not both" in fails(
        train, capsys, "--dataset_folder", tiny, "--train_all_layers", "--train_last_blocks", "1"
    )


# --- GeM


def test_activations_of_gem():
    x = torch.tensor([-0.4, -0.2, 0.1, 0.5]).view(1, 1, 2, 2)
    powers = x.double() ** 3
    expected = {
        "clamp": (powers.clamp(min=0).mean()) ** (1 / 3),
        "abs": powers.abs().mean() ** (1 / 3),
        "signed": powers.mean() ** (1 / 3),
        "softplus": (F.softplus(x.double()) ** 3).mean() ** (1 / 3),  # one channel: its scale is 1
    }
    for activation, value in expected.items():
        assert GeM(activation=activation)(x).item() == pytest.approx(value.item(), rel=1e-3), activation
    assert GeM(activation="signed")(-x).item() == pytest.approx(-expected["signed"].item(), rel=1e-3)


@pytest.mark.parametrize("activation", ["clamp", "softplus", "signed", "abs"])
def test_gradients_of_gem_are_finite(activation):
    gem = GeM(activation=activation)
    x = torch.tensor([[0.0, 0.0], [-0.1, 0.1], [-1e-9, 1e-9], [-0.3, -0.1]]).view(1, 4, 1, 2).requires_grad_()
    gem(x).sum().backward()
    assert x.grad.isfinite().all() and gem.p.grad.isfinite().all() and x.grad.abs().max() < 1e3


# --- names and weights


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("vit_smal_patch14_dinov2", r"has no model 'vit_smal_patch14_dinov2'; do you mean vit_small_patch14_dinov2, "),
        ("vit_small_patch14_dinov2.nope", "has no weights 'nope' of vit_small_patch14_dinov2; it has lvd142m"),
        ("hf-hub:someone/model", r"has no model"),
        ("test_maxvit", r"timm/test_maxvit gives no feature map of images of any size \(.+\): choose another backbone"),
    ],
)
def test_names_that_cannot_be_used_are_one_line(name, line):
    with pytest.raises(UserError, match=line) as error:
        make(name)
    assert "\n" not in str(error.value)


def test_names_may_be_in_any_case_and_name_weights():
    assert make("Test_ViT.R160_in1k").backbone_name == "timm/test_vit.r160_in1k"


def test_without_timm_one_line_says_what_to_install(tiny, workdir, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    line = fails(train, capsys, "--dataset_folder", tiny, "--backbone", "timm/test_vit")
    assert line.endswith("a backbone timm/NAME needs timm: pip install -r requirements-timm.txt")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("name", ["test_vit2", "test_convnext"])
def test_weights_of_a_file_with_the_classifier(name, suffix, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    torch.manual_seed(3)
    state = timm.create_model(name).state_dict()
    path = str(tmp_path / f"w.{suffix}")
    safetensors.save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    loaded = initial_network(f"timm/{name}", 8, weights=path).backbone.network.state_dict()
    assert loaded and all(torch.equal(value, state[key]) for key, value in loaded.items())


def test_weights_that_cannot_be_used_are_one_line(tmp_path, monkeypatch):
    path = str(tmp_path / "x.safetensors")
    torch.save(timm.create_model("test_vit").state_dict(), path)
    with pytest.raises(UserError, match="x.safetensors is no file of safetensors, or is damaged"):
        make(weights=path)
    with pytest.raises(UserError, match="IMAGENET1K_V2 are torchvision's: give timm, none or a file for timm/test_vit"):
        make(weights="IMAGENET1K_V2")
    other = str(tmp_path / "other.pth")
    torch.save(timm.create_model("test_vit2").state_dict(), other)
    with pytest.raises(UserError, match="other.pth do not fit a timm/test_vit: it lacks .*norm"):
        make(weights=other)
    create = timm.create_model

    def offline(*arguments, pretrained=False, **options):
        if pretrained:
            raise ConnectionError("no network\nand a long story")
        return create(*arguments, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(UserError, match=r"timm's weights of timm/test_vit cannot be fetched \(no network\): give"):
        make(weights="timm")


def test_timm_s_own_weights_are_the_default_and_change_nothing_else(monkeypatch):
    create, fetched = timm.create_model, timm.create_model("test_vit", num_classes=0, dynamic_img_size=True)

    def create_or_fetch(*arguments, pretrained=False, **options):
        return fetched if pretrained else create(*arguments, **options)

    monkeypatch.setattr(timm, "create_model", create_or_fetch)
    args = train.parse_arguments("train", ["--dataset_folder", "d", "--backbone", "timm/test_vit"])
    network, random = make(weights=args.backbone_weights), make()
    assert torch.equal(network.backbone.network.pos_embed, fetched.pos_embed)
    assert torch.equal(network.aggregation[3].weight, random.aggregation[3].weight)


# --- what no entry tells


def test_networks_that_their_entries_tell_have_no_further_file(workdir):
    save_network(GeoLocalizationNet("ResNet18", 8), "x.pth")
    assert os.listdir() == ["x.pth"]
    save_network(make(gem_activation="abs"), "x.pth")
    assert json.loads(open("x.json").read())["network"]["backbone"] == "timm/test_vit"
    save_network(GeoLocalizationNet("ResNet18", 8), "x.pth")  # the previous network's file goes
    assert os.listdir() == ["x.pth"]
    open("x.json", "w").write('{"of": "something else"}')
    save_network(GeoLocalizationNet("ResNet18", 8), "x.pth")
    assert load_network("x.pth").details() == Details("ResNet18") and os.path.exists("x.json")


@pytest.mark.parametrize("name", ["timm/test_vit", "timm/test_convnext", "ResNet18"])
@torch.inference_mode()
def test_a_network_comes_back_with_its_details(workdir, name):
    network = GeoLocalizationNet(name, 8, gem_activation="softplus", normalization=((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    network.image_size = 64
    save_network(network.eval(), "x.pth")
    packing.pack("x.pth", "small.pth")
    for path in ("x.pth", "small.pth"):
        loaded = load_network(path).eval()
        assert loaded.details() == network.details()
        assert torch.allclose(loaded(images(48, 64)), network(images(48, 64)), atol=0 if path == "x.pth" else 0.05)


def test_without_the_file_the_flags_are_needed(workdir, capsys):
    save_network(make(gem_activation="signed"), "x.pth")
    os.unlink("x.json")
    with pytest.raises(UserError, match="there is no x.json that tells which one: restore it, or give --backbone"):
        load_network("x.pth")
    assert (
        load_network("x.pth", "timm/test_vit", gem_activation="signed").details()
        == make(gem_activation="signed").details()
    )
    with pytest.raises(UserError, match="x.pth is not a timm/test_vit2 with 16-D descriptors: it lacks"):
        load_network("x.pth", "timm/test_vit2")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"network": {"backbone": "timm/test_vit", "gem_activation": "max"}}', "has values that no network has"),
        ('{"network": {"backbone": "timm/test_vit", "std": [0, 1, 1]}}', "has values that no network has"),
        ('{"network": {"backbone": "timm/test_vit", "mean": [1e999, 0, 0]}}', "no x.json that tells which one"),
        ('{"network": {"backbone": "timm/nope"}}', "has no model 'nope'"),
        ('{"network": {"backbone": 3}}', "does not tell what network"),
        ('{"network": [1]}', "no x.json that tells which one"),
        ('{"network": {"layers": 3}}', "does not tell what network"),
        ("{", "no x.json that tells which one"),
        ('{"network": {"backbone": "timm/test_vit2"}}', "or the x.json that tells the backbone"),
    ],
)
def test_a_file_that_cannot_be_right_is_one_line(workdir, text, line):
    save_network(make(), "x.pth")
    open("x.json", "w").write(text)
    with pytest.raises(UserError, match=line) as error:
        load_network("x.pth")
    assert "x.json" in str(error.value)


def test_another_activation_than_that_of_the_training_is_refused(workdir):
    save_network(make(gem_activation="abs"), "x.pth")
    with pytest.raises(UserError, match="x.pth was trained with --gem_activation abs, not clamp: leave it out"):
        load_network("x.pth", gem_activation="clamp")


def test_descriptors_of_other_details_are_other_descriptors():
    networks = [make(), make(gem_activation="abs"), make(normalization=((0.1,) * 3, (0.2,) * 3))]
    assert len({weights_digest(network) for network in networks}) == 3


def test_a_zoo_by_address_sends_the_details_too(workdir, monkeypatch):
    save_network(make(gem_activation="abs"), "lund.pth")
    with running_server(monkeypatch) as server:
        server.files = {f"/{name}": open(name, "rb").read() for name in ("lund.pth", "lund.json")}
        assert load_network("lund", zoo_location=server.address).details().gem_activation == "abs"


def test_ingredients_of_a_soup_have_the_same_details(tiny, workdir, capsys):
    for path, options in (("a", {}), ("b", {"seed": 1}), ("c", {"gem_activation": "abs"})):
        save_network(make(**options), f"{path}.pth")
    run(soup, "--ingredients", "a.pth", "b.pth", "--output", "ab.pth")
    assert load_network("ab.pth").details() == make().details()
    assert "c.pth has --gem_activation abs, unlike a.pth" in fails(
        soup, capsys, "--ingredients", "a.pth", "c.pth", "--output", "ac.pth"
    )


# --- whole runs


@pytest.fixture(scope="module")
def trained(once, tiny):
    """The log folder of an uninterrupted run with the flags FLAGS and --ema."""
    (folder,) = once("timm", lambda: run(train, "--dataset_folder", tiny, *FLAGS, "--ema", "0.9")).glob("logs/*/*")
    return str(folder)


def test_a_run_goes_on_exactly_and_is_evaluated_without_flags(tiny, trained, workdir, monkeypatch, capsys):
    flags = ["--dataset_folder", tiny, *FLAGS, "--ema", "0.9", "--resume_train", "auto", "--checkpoint_every", "1"]
    with monkeypatch.context() as context, pytest.raises(Killed):
        at_step(context, 4 + 1, kill)
        train.main(flags)
    # the checkpoint tells what the flags said
    folder = run(train, *[flag for flag in flags if flag not in ("--gem_activation", "signed")])
    assert_same_end(folder, trained)
    assert read_details(f"{folder}/best_model.pth") == load_network(f"{folder}/last_checkpoint.pth").details()
    assert read_details(f"{folder}/best_model.pth").gem_activation == "signed"
    before, after = make(dim=32).state_dict(), weights(folder)
    frozen = [name for name in after if ".blocks.3." in name]
    assert frozen and list(before) == list(after)
    shutil.copyfile(f"{folder}/best_model.pth", "moved.pth")
    expected = read_tensors(f"{folder}/best_model.pth")
    shutil.copyfile(f"{folder}/best_model.json", "moved.json")
    assert all(torch.equal(value, expected[key]) for key, value in load_network("moved.pth").state_dict().items())
    evaluated = run(eval_script, "--dataset_folder", tiny, *EVAL[2:], "--resume_model", "moved.pth")
    lines = [open(f"{path}/info.log").read() for path in (evaluated, folder)]
    recalls = [next(line.rpartition("R@1:")[2] for line in text.splitlines() if "R@1:" in line) for text in lines]
    assert recalls[0] == [line.rpartition("R@1:")[2] for line in lines[1].splitlines() if "R@1:" in line][-1]
    assert "moved.pth: a timm/test_vit with --gem_activation signed, trained on crops of 64 pixels" in lines[0]


def test_two_normalisations_are_compared_side_by_side(tiny, workdir):
    save_network(make("test_vit", 32), "a.pth")
    save_network(GeoLocalizationNet("Small", 32), "b.pth")
    (alone, both) = (
        run(eval_script, "--dataset_folder", tiny, *EVAL[4:], "--resume_model", "b.pth", *further)
        for further in ([], ["--compare", "a.pth"])
    )
    line = next(line for line in open(f"{alone}/info.log").read().splitlines() if "R@1:" in line)
    assert line.rpartition("R@1:")[2] in open(f"{both}/info.log").read()


def test_two_ranks_train_as_one(tiny, workdir):
    flags = ["--dataset_folder", tiny, *FLAGS, "--epochs_num", "1"]
    one = run(train, *flags, "--save_dir", "one")
    many = all_ranks(2, _train, *flags, "--save_dir", "many")[0]
    ours, theirs = weights(many), weights(one)
    for key in ours:
        # a gradient of nearly zero, as of the keys' offsets, may have either sign, and Adam makes the same step of it
        assert (ours[key] - theirs[key]).abs().mean() < 1e-4, key  # of 4 steps of 1e-3
    assert read_details(f"{many}/best_model.pth") == read_details(f"{one}/best_model.pth")


def _train(*flags):
    return run(train, *flags)


@pytest.mark.parametrize("file_format", list(export.SUFFIXES))
def test_export(workdir, file_format):
    if file_format == "onnx":
        pytest.importorskip("onnxscript"), pytest.importorskip("onnxruntime")
    network = make(gem_activation="signed")
    del network.backbone.network.blocks[1:]  # an exporter takes seconds for each
    assert exporting.export(network, "x", file_format, "uint8") <= exporting.TOLERANCE


def test_a_program_that_does_not_take_every_size_is_not_written(workdir, monkeypatch):
    """As of a DINOv3, whose program is fixed to the size that it was made with."""

    def run_of_one_size(pixels):
        raise AssertionError("Guard failed: height == 96\nand a long story")

    monkeypatch.setattr(exporting, "_write", lambda *_: run_of_one_size)
    line = r"the exported timm/test_vit takes no images of 224 x 224 pixels \(Guard failed: height == 96\), so it"
    with pytest.raises(UserError, match=line):
        exporting.export(make(), "x", "torch_export")
    assert os.listdir() == []


@pytest.mark.parametrize("flags", [[], ["--backbone", "timm/test_vit", "--gem_activation", "signed"]])
def test_export_knows_the_network(workdir, monkeypatch, flags):
    """From the file beside it, or from flags."""
    save_network(make(gem_activation="signed"), "x.pth")
    if flags:
        os.unlink("x.json")
    exported = []

    def record(network, path, *_):
        exported.append(network)
        open(path, "w").close()
        return 0.0

    monkeypatch.setattr(export, "export", record)
    export.main(["--resume_model", "x.pth", "--format", "torch_export", *flags])
    assert exported[0].details() == make(gem_activation="signed").details()


def test_bfloat16_differs_a_little():
    network = make("vit_small_patch16_dinov3")
    with torch.inference_mode():
        expected = network(images(64, 64))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = network(images(64, 64))
    assert found.dtype == torch.float32
    np.testing.assert_allclose((found * expected).sum(1), 1, atol=0.02)


def test_a_file_of_something_else_beside_weights_is_left_alone(workdir, caplog):
    """my.json of my.pth may be anybody's."""
    network = GeoLocalizationNet("Small", 8)
    for content in ('{"network": "mine"}', '{"other": 1}', "[1]", ""):
        with open("my.json", "w") as file:
            file.write(content)
        save_network(network, "my.pth")
        assert load_network("my.pth").backbone_name == "Small" and open("my.json").read() == content
    assert "my.json does not say what network my.pth is" in caplog.text
    with pytest.raises(UserError, match="my.json is of something else, and .* my.pth"):
        save_network(GeoLocalizationNet("Small", 8, gem_activation="abs"), "my.pth")
    assert open("my.json").read() == "" and load_network("my.pth").details().gem_activation == "clamp"

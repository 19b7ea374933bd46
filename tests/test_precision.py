"""Which numbers are computed in: a rule on the processor, the device and the network."""

import json
import logging

import pytest
import torch
from torch import nn

import eval as eval_script
import train
from model.network import GeoLocalizationNet
from model.precision import infer_dtype, is_depthwise, log_dtype, training_dtype
from support import processor
from support.files import read_tensors, write_tensors
from tests.ranks import run_ranks
from tests.scripts import run
from tests.tiny import FLAGS

CPU = torch.device("cpu")
PLAIN = nn.Conv2d(4, 4, 3)
DEPTHWISE = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4))
WITH, WITHOUT = {"avx2", "avx512_bf16"}, {"avx2"}


@pytest.fixture
def has(monkeypatch):
    """Fakes the processor's flags."""
    for variable in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(variable, raising=False)
    return lambda flags: monkeypatch.setattr(processor, "processor_flags", lambda: flags)


@pytest.mark.parametrize(
    ("flags", "arithmetic"),
    [(WITH, "AVX-512-bf16"), ({"amx_bf16"}, "AMX-bf16"), ({"bf16"}, "ARM's bf16"), (WITHOUT, ""), (set(), "")],
)
def test_bfloat16_needs_the_processors_arithmetic(has, flags, arithmetic):
    has(flags)
    assert processor.arithmetic_of(torch.bfloat16) == arithmetic
    wanted = torch.bfloat16 if arithmetic else torch.float32
    assert training_dtype(True, "auto", PLAIN, CPU)[0] == infer_dtype("auto", PLAIN, CPU)[0] == wanted


def test_onednn_held_back_to_older_instructions_has_no_16_bits(has, monkeypatch):
    has(WITH)
    for isa, arithmetic in (
        ("AVX2", ""),
        ("avx512_core", ""),
        ("AVX512_CORE_BF16", "AVX-512-bf16"),
        ("ALL", "AVX-512-bf16"),
    ):
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", isa)
        assert processor.arithmetic_of(torch.bfloat16) == arithmetic, isa


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16\n\nprocessor\t: 1\n", {"fpu", "avx2", "avx512_bf16"}),
        ("processor : 0\nFeatures : fp asimd bf16\n", {"fp", "asimd", "bf16"}),
        (None, set()),
    ],
)
def test_flags_are_read_from_cpuinfo(tmp_path, monkeypatch, text, wanted):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {}, raising=False)
    if text:
        (tmp_path / "cpuinfo").write_text(text)
    assert processor.processor_flags(str(tmp_path / "cpuinfo")) == wanted


def test_flags_that_only_pytorch_knows_count(tmp_path, monkeypatch):
    known = {"amx_bf16": True, "avx512_bf16": False, "cpu_name": "bf16"}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert processor.processor_flags(str(tmp_path / "nothing")) == {"amx_bf16"}


def test_depthwise_networks_compute_in_float32_on_a_cpu(has):
    has(WITH)
    assert training_dtype(True, "auto", DEPTHWISE, CPU)[0] == infer_dtype("auto", DEPTHWISE, CPU)[0] == torch.float32
    depthwise = {
        name: is_depthwise(GeoLocalizationNet(name, 8))
        for name in ("ResNet18", "VGG16", "MobileNet_V2", "EfficientNet_B0")
    }
    assert depthwise == {"ResNet18": False, "VGG16": False, "MobileNet_V2": True, "EfficientNet_B0": True}


def test_a_type_that_is_asked_for_is_taken(has):
    has(WITHOUT)
    for name in ("float16", "bfloat16"):
        assert (
            training_dtype(True, name, DEPTHWISE, CPU)[0]
            == infer_dtype(name, DEPTHWISE, CPU)[0]
            == getattr(torch, name)
        )
    assert training_dtype(False, "bfloat16", PLAIN, CPU)[0] == infer_dtype("float32", PLAIN, CPU)[0] == torch.float32


@pytest.mark.parametrize(
    ("capability", "wanted"), [((7, 5), torch.float16), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)]
)
def test_on_a_gpu(monkeypatch, capability, wanted):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    gpu = torch.device("cuda")
    assert infer_dtype("auto", DEPTHWISE, gpu)[0] == wanted
    assert training_dtype(True, "auto", DEPTHWISE, gpu)[0] == torch.float16  # published


def test_an_imitated_type_is_warned_of(has, caplog):
    for flags, dtype, level in (
        (WITHOUT, torch.bfloat16, logging.WARNING),
        (WITH, torch.bfloat16, logging.INFO),
        (WITH, torch.float16, logging.WARNING),
        (WITHOUT, torch.float32, logging.INFO),
    ):
        has(flags)
        caplog.clear()
        with caplog.at_level(logging.INFO):
            log_dtype("Training", dtype, "", CPU)
        (record,) = caplog.records
        assert record.levelno == level and ("5 to 25 times as long as float32" in record.message) == (
            level == logging.WARNING
        )


@pytest.mark.parametrize("flags", [WITH, WITHOUT])
def test_mixed_precision_is_float32_without_the_arithmetic(tiny, workdir, has, flags):
    has(flags)
    folders = [
        run(
            train,
            "--dataset_folder",
            tiny,
            *FLAGS,
            "--epochs_num",
            1,
            "--save_dir",
            name,
            "--infer_dtype",
            "auto",
            *amp,
        )
        for name, amp in (("amp", ["--use_amp16"]), ("plain", []))
    ]
    amp, plain = (read_tensors(f"{folder}/last_checkpoint.pth") for folder in folders)
    same = all(torch.equal(value, plain["model_state_dict"][name]) for name, value in amp["model_state_dict"].items())
    assert same == (flags == WITHOUT)
    name = "float32" if same else "bfloat16"
    assert amp["precision"] == {"training": name, "descriptors": name}
    assert json.load(open(f"{folders[0]}/environment.json"))["precision"] == amp["precision"]
    log = open(f"{folders[0]}/info.log").read()
    assert ("Training in float32: --use_amp16 takes 16 bits only where the processor has" in log) == same
    assert ("Training in bfloat16: the processor has AVX-512-bf16" in log) != same


def test_a_run_does_not_go_on_in_other_numbers(tiny, workdir, has, capsys):
    flags = ["--dataset_folder", tiny, *FLAGS, "--use_amp16"]
    has(WITH)
    last = run(train, *flags, "--epochs_num", 1) + "/last_checkpoint.pth"
    has(WITHOUT)
    problem = "training in bfloat16, now float32 (--use_amp16, --amp_dtype)"
    for _ in range(2):
        with pytest.raises(SystemExit) as refused:
            train.main([*map(str, flags), "--resume_train", last])
        assert refused.value.code == 2 and problem in capsys.readouterr().err
        state = read_tensors(last)  # and as the checkpoints were before they named it
        state.pop("precision", None)
        state["arguments"] |= {"use_amp16": True, "amp_dtype": "auto", "infer_dtype": "float32"}
        write_tensors(state, last)
    folder = run(train, *flags, "--accept_changes", "--resume_train", last)
    assert f"The resumed run had {problem}: results will be neither run's" in open(f"{folder}/info.log").read()


def test_ranks_that_choose_differently_are_told(tiny, workdir, has):
    has(WITH)
    flags = ["--dataset_folder", tiny, *FLAGS, "--batch_size", "4", "--use_amp16"]
    _, codes, errors = run_ranks(2, train.main, list(map(str, flags)), variables={1: {"ONEDNN_MAX_CPU_ISA": "AVX2"}})
    assert codes == [2, 2]
    assert (
        "ranks 0 and 1 have different kinds of numbers" in errors[0]
        and "name --amp_dtype and --infer_dtype" in errors[0]
    )


def test_an_evaluation_says_what_it_computes_in(tiny, workdir, has):
    has(WITH)
    folder = run(
        eval_script,
        "--test_set_folder",
        f"{tiny}/test",
        "--infer_dtype",
        "auto",
        "--backbone_weights",
        "none",
        "--backbone",
        "ResNet18",
        "--fc_output_dim",
        8,
        "--num_workers",
        0,
    )
    assert "Descriptors in bfloat16: the processor has AVX-512-bf16" in open(f"{folder}/info.log").read()
    assert json.load(open(f"{folder}/environment.json"))["precision"] == {"untrained": "bfloat16"}

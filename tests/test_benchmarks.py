"""Each benchmark runs, on sizes too small to say anything, and what it compares is the same."""

import re

import pytest

from benchmarks import augmentation, backbones, curve, data_path, extraction, precision, train_step, whole_evaluation
from support import processor


def ratios(output):
    """Of the last table: {first column: its ratio}."""
    rows = [line.strip("| ").split(" | ") for line in output.splitlines() if line.startswith("|")]
    return {row[0]: float(row[-1].rstrip("x")) for row in rows if re.fullmatch(r"[\d.]+x", row[-1])}


@pytest.mark.parametrize(
    "main, flags, alternatives",
    [
        (augmentation.main, "--batch_size 2 --size 48 --repeats 1", {"published", "ours"}),
        (data_path.main, "--pictures 16 --size 48 --batch_size 4 --batches 2 --repeats 1", {"published", "ours"}),
        (
            backbones.main,
            "--backbones MobileNet_V2 --batch_size 2 --size 32 --repeats 1",
            {"ResNet18", "MobileNet_V2"},
        ),
        (extraction.main, "--images 5 --size 64 --batch_size 2", {"published", "float32", "bfloat16"}),
        (train_step.main, "--batch_size 2 --size 64 --steps 2", {"published, float32", "float32", "bfloat16"}),
        (
            train_step.main,
            "--batch_size 4 --size 64 --steps 2 --files --pictures 16 --num_workers 0 --modes float32",
            {"published, float32", "float32"},
        ),
    ],
)
def test_benchmarks_run(workdir, capsys, monkeypatch, main, flags, alternatives):
    # at this size bfloat16 is quick anywhere
    monkeypatch.setattr(processor, "processor_flags", lambda: {"avx512_bf16"})
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)  # tests may be run as on an older processor
    main(flags.split())
    assert ratios(capsys.readouterr().out).keys() == alternatives


@pytest.mark.parametrize(
    ("main", "flags"),
    [(extraction.main, "--images 2 --size 64"), (train_step.main, "--batch_size 2 --size 64 --steps 1")],
)
def test_benchmarks_leave_out_what_would_take_minutes(workdir, capsys, monkeypatch, main, flags):
    monkeypatch.setattr(processor, "processor_flags", lambda: {"avx2"})
    main(flags.split())
    output = capsys.readouterr().out
    assert "bfloat16 is left out" in output and "float32" in ratios(output) and "bfloat16" not in ratios(output)


def test_the_parts_of_an_evaluation_and_the_whole(workdir, capsys):
    whole_evaluation.main("--images 30 --queries 4 --size 64 --paper_size 96 --paper_images 3000".split())
    lines = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    rows = {row[0]: row[1:] for row in lines[2:]}
    paper = {name: float(row[2]) for name, row in rows.items() if name != "all, measured"}
    beside = [paper[name] for name, row in rows.items() if row[-1] == "yes"]
    alone = [paper[name] for name, row in rows.items() if name in paper and row[-1] != "yes" and "all" not in name]
    assert len(beside) == 4 and len(alone) == 4 and float(rows["all, measured"][0]) > float(rows["network"][0]) > 0
    assert paper["all, from the parts"] == pytest.approx(max(beside) + sum(alone), rel=0.02)


def test_training_losses_equal_the_published_ones(workdir, capsys):
    train_step.main("--batch_size 4 --size 64 --steps 3 --modes float32".split())
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| float32"))
    assert float(row.split(" | ")[4]) < 1e-4


def test_a_curve_needs_kept_networks(workdir, capsys):
    with pytest.raises(SystemExit) as refused:
        curve.main([str(workdir)])
    assert refused.value.code == 2 and "--keep_every" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [[], ["--train"]])
def test_types_and_layouts_are_compared(capsys, flags):
    precision.main(["--backbones", "MobileNet_V2", "--size", "64", "--repeats", "1", "--batch_size", "2", *flags])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| c")]
    assert [(row[0].strip("| "), row[1]) for row in rows] == [
        (layout, dtype) for layout in ("contiguous", "channels_last") for dtype in ("float32", "bfloat16")
    ]

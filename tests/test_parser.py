import argparse
import os
import pathlib
import shlex
import subprocess
import sys

import pytest

from augmentations import AUGMENTATION_TYPES
from datasets import choices as dataset_choices
from localization import choices as localization_choices
from localization.formats import FORMATS
from model.choices import LOSSES
from model.heads import HEADS
from options import GROUPS, OPTIONS, taken_by
from options.programs import PROGRAMS, title
from parser import (
    RESULT_OPTIONS,
    AugmentationOptions,
    DomainOptions,
    ReportOptions,
    group_of,
    parse_arguments,
)
from retrieval.recalls import RECALL_VALUES
from support.options import SWITCH, options_of
from support.recipes import expand_recipes, path_in_command

ROOT = pathlib.Path(__file__).resolve().parents[1]
DEFAULTS = dict(
    method="cosplace",
    focal_dist=10.0,
    lambda_lat=1.0,
    lambda_front=1.0,
    crops_folder=None,
    nearest_crops=False,
    nearest_degrees=15.0,
    crop_degrees=55.4,
    heading_is_center=False,
    visualize_classes=0,
    M=10,
    alpha=30,
    N=5,
    L=2,
    groups_num=8,
    min_images_per_class=10,
    backbone="ResNet18",
    fc_output_dim=512,
    train_all_layers=False,
    train_last_blocks=None,
    gem_activation=None,
    fc_init="random",
    fc_init_images=5000,
    fc_init_power=0.5,
    use_amp16=False,
    amp_dtype="auto",
    augmentation_device=None,
    batch_size=32,
    epochs_num=50,
    iterations_per_epoch=10_000,
    patience=None,
    ema=None,
    lr=1e-5,
    fc_lr=None,
    classifiers_lr=0.01,
    loss="cosface",
    loss_s=None,
    loss_m=None,
    emms_l=None,
    head_variant="paper",
    label_smoothing=0.0,
    lr_schedule="constant",
    infer_dtype="float32",
    image_size=512,
    recall_values=(1, 5, 10, 20, 100),
    resize_test_imgs=False,
    augmentation_type="colorjitter",
    fixed_colors=False,
    pseudo_target_folder=None,
    night_augmentation=None,
    night_probability=0.5,
    fda_beta=0.01,
    fda_window="paper",
    pp_strength=None,
    target_dataset_folder=None,
    brightness=0.7,
    contrast=0.7,
    hue=0.5,
    saturation=0.7,
    random_resized_crop=0.5,
    infer_batch_size=16,
    positive_dist_threshold=25,
    resume_train=None,
    resume_model=None,
    zoo=None,
    backbone_weights="IMAGENET1K_V1",
    device="auto",
    seed=0,
    num_workers=8,
    num_preds_to_save=0,
    save_only_wrong_preds=False,
    queries_folder=None,
    database_folder=None,
    save_dir="default",
    keep_every=0,
    compile=False,
    tf32=False,
    profile=0,
    domain_adaptation=None,
    domain_batch_size=None,
    domain_target_images=None,
    domain_pseudo_images=None,
    domain_source=None,
    domain_lr=None,
    grl_loss_weight=None,
    aada_m=None,
    aada_gamma=None,
    aada_autoencoder=None,
    descriptors_dtype="float32",
    no_descriptors_cache=False,
    save_descriptors=(),
    save_pairs=0,
    save_sfm_pairs=0,
    descriptors_cache_size=50,
    faiss_index="Flat",
    faiss_nprobe=None,
    max_bad_images=None,
    accept_changes=False,
    checkpoint_every=None,
    freeze_bn=False,
    sync_bn=False,
    images_per_class=1,
    positives=None,
    pair_options=(),
    pair_weight=1.0,
    parallel="data",
    group_schedule="epoch",
    local_steps=10_000,
    local_moments="average",
    tensorboard=False,
    expected_architecture=(None, None),
    save_dir_given=False,
)
OF_EVAL = dict(
    test_set_folders=None,
    no_labels=False,
    fda_queries=False,
    fda_database=False,
    fda_targets="train",
    report=None,
    compare=None,
    hub=(),
    hub_image_size=None,
    hub_mean=None,
    hub_std=None,
    compare_hub=(),
    compare_hub_image_size=None,
    compare_hub_mean=None,
    compare_hub_std=None,
    trust_code=False,
    database_descriptors=(),
    queries_descriptors=(),
    dimensions=(),
    precision=None,
    positive_heading_threshold=None,
    whiten=None,
    whiten_dim=None,
    whiten_power=0.5,
    whiten_images=5000,
    rerank=0,
    matcher="sift",
    matcher_weights=(),
    rerank_geometry="homography",
    rerank_image_size=512,
    rerank_below=None,
    rerank_store_gb=10,
)
# the flags of CosPlace's parser.py, and the folder that its first release took
PUBLISHED = (
    "M alpha N L groups_num min_images_per_class backbone fc_output_dim train_all_layers use_amp16 augmentation_device "
    "batch_size epochs_num iterations_per_epoch lr classifiers_lr image_size resize_test_imgs brightness contrast hue "
    "saturation random_resized_crop infer_batch_size positive_dist_threshold resume_train resume_model device seed "
    "num_workers num_preds_to_save save_only_wrong_preds train_set_folder val_set_folder test_set_folder save_dir "
    "dataset_folder"
).split()
RESULT_RELEVANT = (
    "M alpha N L groups_num min_images_per_class train_all_layers compile tf32 batch_size iterations_per_epoch lr "
    "classifiers_lr lr_schedule image_size augmentation_type brightness contrast hue saturation random_resized_crop "
    "pseudo_target_folder night_augmentation night_probability fda_beta target_dataset_folder resize_test_imgs "
    "positive_dist_threshold domain_adaptation domain_batch_size domain_lr grl_loss_weight aada_m aada_gamma seed "
    "domain_target_images domain_pseudo_images domain_source aada_autoencoder "
    "parallel group_schedule local_steps local_moments freeze_bn sync_bn loss images_per_class positives pair_options "
    "pair_weight ema fc_lr label_smoothing fc_init fc_init_images fc_init_power fixed_colors fda_window pp_strength "
    "method focal_dist lambda_lat lambda_front nearest_crops nearest_degrees crop_degrees heading_is_center "
    "train_last_blocks"
).split()
# a new option of train.py must be named above or here
NOT_RESULT_RELEVANT = (
    # the images, the network and the head are compared themselves, and so are the number types
    "dataset_folder train_set_folder crops_folder val_set_folder backbone fc_output_dim backbone_weights resume_model "
    "zoo gem_activation loss_s loss_m emms_l head_variant use_amp16 amp_dtype infer_dtype "
    # a run may be made longer
    "epochs_num patience "
    # the test, after the training
    "test_set_folder queries_folder database_folder descriptors_dtype no_descriptors_cache descriptors_cache_size "
    "faiss_index faiss_nprobe recall_values save_descriptors save_pairs save_sfm_pairs num_preds_to_save "
    "save_only_wrong_preds "
    # how and where it runs, and what it writes
    "save_dir resume_train accept_changes profile tensorboard checkpoint_every keep_every augmentation_device "
    "infer_batch_size device num_workers max_bad_images visualize_classes"
).split()
# what a command needs beside the flag under test
NEEDED = {
    "train": ["--dataset_folder", "d"],
    "eval": ["--dataset_folder", "d"],
    "localize": ["--resume_model", "m", "--database_folder", "d", "photo.jpg"],
    "soup": ["--ingredients", "a", "b", "--output", "s.pth"],
    "check": ["d"],
    "describe": ["d", "--output", "d.npy", "--resume_model", "m"],
}


def accepted_by(script: str) -> set[str]:
    """The names of the options that a script accepts, whether it uses them or not."""
    training = {option.name for option in OPTIONS if script == "check" and "train" in option.scripts}
    return {*taken_by(script), *PUBLISHED, *training}


FOREIGN = [
    (script, option)
    for script in PROGRAMS
    for option in OPTIONS
    if option.name not in accepted_by(script) and not option.positional
]


def words_of(option):
    """An option as it is given: its flag and a value."""
    if option.kind == SWITCH:
        return [option.flag]
    value = option.kind[0] if isinstance(option.kind, tuple) else "3"
    return [option.flag, *[value] * (option.nargs if isinstance(option.nargs, int) else 1)]


def usage_error(capsys, script, argv):
    """The line of a usage error, which is followed by the hint alone."""
    with pytest.raises(SystemExit) as exit_:
        parse_arguments(script, argv)
    captured = capsys.readouterr()
    line, hint = captured.err.splitlines()
    assert exit_.value.code == 2 and not captured.out and hint == f"see {title(script)} --help"
    assert line.startswith(f"{title(script)}: error: ")
    return line.removeprefix(f"{title(script)}: error: ")


def help_of(capsys, script):
    with pytest.raises(SystemExit) as exit_:
        parse_arguments(script, ["--help"])
    assert exit_.value.code == 0
    return capsys.readouterr().out


def test_defaults_are_the_published_ones(workdir):
    args = parse_arguments(argv=["--dataset_folder", "x/processed"])
    folders = {f"{part}_set_folder": f"x/processed/{part}" for part in ("train", "val", "test")}
    assert vars(args) == {**DEFAULTS, **folders, "dataset_folder": "x/processed"}


def test_arguments_list_the_script_s_own_flags_and_know_all(workdir):
    args = parse_arguments("eval", ["--dataset_folder", "x", "--lr", "0.5"])
    assert {"fda_queries", "report", "num_workers"} < vars(args).keys()
    assert args.lr == 0.5 and args.M == 10 and not {"M", "loss"} & vars(args).keys()
    train_args = parse_arguments(argv=["--dataset_folder", "x"])
    assert {name: getattr(train_args, name) for name in OF_EVAL} == OF_EVAL
    assert not hasattr(train_args, "no_such_option")


@pytest.mark.parametrize("script", ["train", "eval"])
def test_published_commands_parse(workdir, script):
    args = parse_arguments(
        script,
        "--dataset_folder p --backbone resnet50 --fc_output_dim 128 --use_amp16 "
        "--augmentation_device cuda --resume_model best_model.pth".split(),
    )
    assert (args.backbone, args.fc_output_dim, args.use_amp16, args.augmentation_device) == (
        "ResNet50",
        128,
        True,
        "cuda",
    )
    assert args.expected_architecture == ("ResNet50", 128)


def test_folders_by_environment_and_one_by_one(workdir, monkeypatch):
    monkeypatch.setenv("SF_XL_PROCESSED_FOLDER", "env")
    args = parse_arguments(argv=["--val_set_folder", "elsewhere"])
    assert (args.train_set_folder, args.val_set_folder, args.test_set_folder) == ("env/train", "elsewhere", "env/test")
    assert parse_arguments(argv=["--dataset_folder", "given"]).test_set_folder == "given/test"


def test_recall_values_are_sorted_and_distinct_and_have_1(workdir, capsys):
    needed = NEEDED["eval"]
    for given, values in (("5 1 5", (1, 5)), ("10", (1, 10)), ("10000", (1, 10_000))):
        assert parse_arguments("eval", [*needed, "--recall_values", *given.split()]).recall_values == values
    assert parse_arguments("train", NEEDED["train"]).recall_values == RECALL_VALUES
    for bad in ("0", "-1", "1.5", "all", "10001"):
        line = usage_error(capsys, "eval", [*needed, "--recall_values", "1", bad])
        assert line == f"argument --recall_values: {bad!r} is not a whole number of at least 1 and at most 10000"
    assert "expected at least one argument" in usage_error(capsys, "eval", [*needed, "--recall_values"])


# --- declarations


def test_results_depend_on_these_options():
    """A new option must be put on one of the two lists."""
    assert sorted(RESULT_OPTIONS) == sorted(RESULT_RELEVANT)
    assert sorted(taken_by("train")) == sorted([*RESULT_RELEVANT, *NOT_RESULT_RELEVANT])
    assert all("train" in option.scripts for option in OPTIONS if option.results)


def test_ranks_must_have_these_options_in_common():
    """A new option is common to all ranks, unless it is a path or a device."""
    ranks = {kind: sorted(option.name for option in OPTIONS if option.ranks == kind) for kind in ("given", "own")}
    assert ranks["own"] == sorted(
        "dataset_folder train_set_folder val_set_folder test_set_folder queries_folder database_folder save_dir "
        "backbone_weights zoo device augmentation_device num_workers crops_folder".split()
    )
    assert ranks["given"] == sorted(
        "test_set_folders resume_model resume_train report compare database_descriptors queries_descriptors "
        "further_queries target_dataset_folder pseudo_target_folder whiten matcher_weights".split()
    )
    options = taken_by("train") | taken_by("eval")
    assert options["lr"].shared(0.1) == 0.1 and options["device"].shared("cpu") is None
    assert options["resume_train"].shared("auto") == "auto"
    assert options["further_queries"].shared(("a", "b")) == "with 2 values"
    assert [options["compare"].shared(value) for value in (None, "a.pth", "b.pth")] == ["not given", "given", "given"]


def test_an_option_has_one_declaration_in_each_script():
    for script in PROGRAMS:
        names = [option.name for option in OPTIONS if script in option.scripts]
        assert len(set(names)) == len(names)
    assert {option.name for option in OPTIONS if option.published} == set(PUBLISHED)
    assert all(set(option.scripts) <= PROGRAMS.keys() for option in OPTIONS)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_help_tells_meaning_unit_and_default(option):
    for script in option.scripts:
        text = option.describe(script)
        assert len(text) > 8 and option.unit in text
        if option.kind != SWITCH and not option.positional and not option.required:
            assert "(default: " in text


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("focal_dist", "lie so many metres from its mean position (default: 10.0)"),
        ("nearest_degrees", "looks at most 15 degrees past it (default: 15.0)"),
        ("crop_degrees", "right of its heading, as SF-XL's crops do (default: 55.4)"),
        ("visualize_classes", "the two points and where the crops look (default: 0)"),
    ],
)
def test_help_that_is_a_sentence_ends_without_a_unit(name, end):
    assert next(option for option in OPTIONS if option.name == name).describe("train").endswith(end)


def test_choices_are_those_of_the_code():
    assert tuple(LOSSES) == tuple(HEADS)
    assert dataset_choices.AUGMENTATION_TYPES == AUGMENTATION_TYPES
    assert localization_choices.FORMAT_NAMES == tuple(FORMATS)


def test_typed_groups(workdir):
    args = parse_arguments(argv=["--dataset_folder", "x", "--hue", "0.1"])
    group = group_of(args, AugmentationOptions)
    assert group == AugmentationOptions(hue=0.1) and group.image_size == 512
    assert group_of(args, ReportOptions) == ReportOptions()  # of another script: the defaults
    adapted = ["--domain_adaptation", "grl", "--target_dataset_folder", "t", "--lr", "0.5"]
    domain = group_of(parse_arguments(argv=["--dataset_folder", "x", *adapted]), DomainOptions)
    assert (domain.domain_batch_size, domain.domain_lr, domain.grl_loss_weight, domain.aada_m) == (24, 0.5, 0.1, None)
    assert all(group() for group in GROUPS)


# --- recipes


@pytest.mark.parametrize("folder", ["@own", "-own", "my own", "it's", "data/@own"])
def test_a_folder_of_any_name_can_stand_in_a_command(folder):
    words = shlex.split(f"--dataset_folder {path_in_command(folder)}")
    found = parse_arguments("train", words).dataset_folder
    assert os.path.normpath(found) == folder


def test_recipes(workdir):
    (workdir / "inner.txt").write_text("--lr 0.5\n")
    (workdir / "recipe.txt").write_text(
        "# all of it\n--dataset_folder 'a folder'  # quoted\n\n@inner.txt\n--M 20 --N 3\n"
        '--save_dir a#b --val_set_folder "c #d" --resume_model e\\#f # it\'s a comment\n'
    )
    args = parse_arguments(argv=["@recipe.txt", "--N", "4"])
    assert (args.dataset_folder, args.lr, args.M, args.N) == ("a folder", 0.5, 20, 4)
    assert (args.save_dir, args.val_set_folder, args.resume_model) == ("a#b", "c #d", "e#f")
    assert expand_recipes(["--M", "3"]) == ["--M", "3"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"--save_dir 'open", "line 1 of the recipe bad.txt cannot be split"),
        (b"\xff\xfe", "not a text file"),
        (b"@bad.txt", "includes itself"),
        (None, "cannot be read: No such file"),
    ],
)
def test_bad_recipes(workdir, capsys, content, message):
    if content is not None:
        (workdir / "bad.txt").write_bytes(content)
    with pytest.raises(SystemExit) as exit_:
        parse_arguments(argv=["@bad.txt"])
    assert exit_.value.code == 2 and message in capsys.readouterr().err


# --- flags that a script has no use for


@pytest.mark.parametrize(("script", "option"), FOREIGN, ids=lambda value: getattr(value, "name", value))
def test_foreign_flags_are_refused_and_in_recipes_skipped(workdir, capsys, script, option):
    words = words_of(option)
    first = next(other for other in OPTIONS if other.name == option.name)  # train.py and soup.py have a --method
    refused = f"{title(script)} has no {option.flag}; {title(first.scripts[0])} has"
    assert usage_error(capsys, script, [*NEEDED[script], *words]) == refused
    assert usage_error(capsys, script, [f"{option.flag}=3", *NEEDED[script]]) == refused
    (workdir / "recipe.txt").write_text(f"{' '.join(words)} --num_workers 5\n")
    args = parse_arguments(script, ["@recipe.txt", *NEEDED[script]])
    assert args.num_workers == 5 and getattr(args, option.name) == first.default and option.name not in vars(args)


def test_a_method_in_a_recipe_is_of_the_script_that_has_it(workdir, capsys):
    """train.py and soup.py have a --method each."""
    (workdir / "train.txt").write_text("--method eigenplaces --seed 3")
    (workdir / "soup.txt").write_text("--seed 3 --method=greedy")
    needed = NEEDED["soup"]
    assert parse_arguments("soup", [*needed, "@train.txt", "--method", "greedy", "--val_set_folder", "v"]).seed == 3
    assert parse_arguments("soup", [*needed, "@soup.txt", "--val_set_folder", "v"]).method == "greedy"
    args = parse_arguments("train", [*NEEDED["train"], "@soup.txt"])
    assert (args.method, args.seed) == ("cosplace", 3)
    assert parse_arguments("train", [*NEEDED["train"], "@train.txt"]).method == "eigenplaces"
    assert "invalid choice: 'greedy'" in usage_error(capsys, "train", [*NEEDED["train"], "--method", "greedy"])
    (workdir / "bad.txt").write_text("--method best")
    assert "invalid choice: 'best'" in usage_error(capsys, "soup", [*needed, "@bad.txt"])


# --- methods


def test_eigenplaces_has_defaults_of_its_own(workdir):
    needed = [*NEEDED["train"], "--method", "eigenplaces"]
    args = parse_arguments(argv=needed)
    expected = dict(M=15, N=3, min_images_per_class=5, loss_s=100, groups_num=9, epochs_num=40, use_amp16=True)
    expected |= dict(iterations_per_epoch=5000, local_steps=5000, backbone_weights="ResNet18_512", method="eigenplaces")
    folders = {f"{part}_set_folder": f"d/{part}" for part in ("train", "val", "test")}
    assert vars(args) == {**DEFAULTS, **expected, **folders, "dataset_folder": "d"}
    given = "--M 20 --N 2 --loss_s 64 --backbone resnet50 --groups_num 3 --backbone_weights none".split()
    args = parse_arguments(argv=[*needed, *given])
    found = args.M, args.N, args.loss_s, args.groups_num, args.backbone, args.backbone_weights
    assert found == (20, 2, 64, 3, "ResNet50", None)
    assert parse_arguments(argv=[*needed, "--N", "2", "--backbone", "vgg16"]).groups_num == 4
    assert parse_arguments(argv=[*needed, "--backbone", "vgg16"]).backbone_weights == "VGG16_512"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--alpha 360", "has no use for --alpha (its classes have no headings): leave it out"),
        ("--L 2", "has no use for --L "),  # the default too
        ("--images_per_class 2", "has no use for --images_per_class "),
        ("--fc_init pca", "has no use for --fc_init "),
        (
            "--domain_adaptation grl --target_dataset_folder t --pseudo_target_folder p",
            "panoramas, cut by class: give --domain_pseudo_images (0: none)",
        ),
        ("--loss multi_similarity", "--loss multi_similarity names one"),
        ("--loss cosface+circle", "trains heads alone"),
    ],
)
def test_what_eigenplaces_has_no_use_for_is_refused(workdir, capsys, flags, message):
    assert message in usage_error(capsys, "train", [*NEEDED["train"], "--method", "eigenplaces", *flags.split()])


@pytest.mark.parametrize(
    "flags",
    ["--focal_dist 5", "--lambda_lat 2", "--lambda_front 1", "--crops_folder c", "--nearest_crops", "--crop_degrees 9"],
)
def test_what_cosplace_has_no_use_for_is_refused(workdir, capsys, flags):
    line = usage_error(capsys, "train", [*NEEDED["train"], *flags.split()])
    assert line.startswith(f"{flags.split()[0]} has no use without --method eigenplaces")


@pytest.mark.parametrize("script", ["train", "check"])
def test_all_groups_are_for_eigenplaces(workdir, capsys, script):
    line = usage_error(capsys, script, [*NEEDED[script], "--groups_num", "0"])
    assert line.startswith("--groups_num 0, all groups, is for --method eigenplaces")


def test_the_check_of_a_data_set_has_the_methods_defaults_and_refusals(workdir, capsys):
    eigenplaces = ["d", "--method", "eigenplaces"]
    args = parse_arguments("check", eigenplaces)
    assert (args.M, args.N, args.min_images_per_class, args.groups_num, args.focal_dist) == (15, 3, 5, 9, 10)
    assert not {"loss_s", "use_amp16", "backbone_weights"} & vars(args).keys()
    (workdir / "recipe.txt").write_text("--method eigenplaces --M 20 --loss_s 64 --backbone_weights none")
    args = parse_arguments("check", ["d", "@recipe.txt", "--N", "2"])
    assert (args.method, args.M, args.N, args.groups_num) == ("eigenplaces", 20, 2, 4)
    assert "no use for --alpha (its classes" in usage_error(capsys, "check", [*eigenplaces, "--alpha", "360"])
    assert parse_arguments("check", [*eigenplaces, "--nearest_crops", "--heading_is_center"]).heading_is_center
    assert "without --nearest_crops" in usage_error(capsys, "check", [*eigenplaces, "--heading_is_center"])
    assert "without --method eigenplaces" in usage_error(capsys, "check", ["d", "--focal_dist", "5"])


def test_messages_name_the_script(workdir, capsys):
    needed = NEEDED["train"]
    assert usage_error(capsys, "train", [*needed, "--report", "x"]) == "train.py has no --report; eval.py has"
    assert usage_error(capsys, "eval", [*needed, "--loss", "emms"]) == "eval.py has no --loss; train.py has"
    assert "unrecognized arguments" in usage_error(capsys, "train", [*needed, "--reports", "x"])
    (workdir / "nested.txt").write_text("@recipe.txt")
    (workdir / "recipe.txt").write_text("--further_queries a b --test_set_folders=c --fda_queries --seed 3")
    args = parse_arguments("train", [*needed, "@nested.txt"])
    assert args.seed == 3 and args.further_queries == () and args.test_set_folders is None


@pytest.mark.parametrize("script", PROGRAMS)
def test_published_flags_are_accepted_by_all(workdir, script):
    values = {"backbone": "ResNet50", "image_size": "64", "hue": "0.5", "random_resized_crop": "0.5"}
    for option in OPTIONS:
        if option.published:
            flag, *value = words_of(option)
            value = [values[option.name]] if option.name in values else value
            args = parse_arguments(script, [*NEEDED[script], flag, *value])
            assert option.kind == SWITCH or str(getattr(args, option.name)) in (*value, f"{value[0]}.0")


# --- usage errors and --help


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give --dataset_folder (or set SF_XL_PROCESSED_FOLDER), or --train_set_folder"),
        (["--M", "0"], "'0' is not a whole number of at least 1"),
        (["--M", "2.5"], "whole number"),
        (["--lr", "nan"], "'nan' is not a finite number"),
        (["--hue", "0.6"], "from 0 to 0.5"),
        (["--patience", "0"], "'0' is not a whole number of at least 1"),
        (["--ema", "1"], "from 0 to 0.99999"),
        (["--fc_lr", "-1"], "'-1' is not a finite number of at least 0"),
        (["--label_smoothing", "1"], "from 0 to 0.999"),
        (["--random_resized_crop", "1"], "from 0 to 0.999"),
        (["--backbone", "ResNet51"], "choose one of"),
        (["--device", "tpu"], "invalid choice"),
        (["--seed", "-2"], "at least -1"),
        (["--seed", "9" * 30], "at most 9223372036854775807"),
        (["--M", "9" * 30], "at most 1000000000"),
        (["--resume_model", ""], "--resume_model is empty"),
        (["--groups", "8"], "unrecognized arguments"),
        (["--dataset_folder", "x", "--resume_train", "a", "--resume_model", "b"], "not both"),
    ],
)
def test_bad_flags_are_one_line_and_exit_code_2(workdir, capsys, flags, message):
    assert message in usage_error(capsys, "train", flags)


@pytest.mark.parametrize("script", ["train", "eval"])
def test_help_describes_every_flag_that_the_script_uses(workdir, capsys, script):
    text = help_of(capsys, script)
    assert "metres" in text and "@FILE" in text
    assert ("--iterations_per_epoch" in text) == (script == "train") and "--infer_batch_size" in text


@pytest.mark.parametrize("script", PROGRAMS)
def test_help_begins_with_two_examples_and_lists_the_script_s_own_flags(workdir, capsys, script):
    text = help_of(capsys, script)
    lines = text.splitlines()
    command = f"  python {PROGRAMS[script].command} "
    assert lines[0] == "examples:" and all(line.startswith(command) for line in lines[1:3]) and not lines[3]
    shown = {line.split()[0].rstrip(",") for line in lines if line.startswith("  -")} - {"-h"}
    assert shown == {option.flag for option in taken_by(script).values() if not option.positional}
    assert "of a recipe" not in text.replace("@RECIPES", "")
    for group in GROUPS:
        used = any(script in option.scripts for option in options_of(group))
        assert (f"\n{group.__doc__}:\n" in text) == used


@pytest.mark.parametrize("script", PROGRAMS)
def test_examples_parse(workdir, monkeypatch, script):
    monkeypatch.chdir(ROOT)
    for example in PROGRAMS[script].examples:
        words = example.split()[2 if PROGRAMS[script].command.startswith("-m ") else 1 :]
        assert isinstance(parse_arguments(script, words), argparse.Namespace)


@pytest.mark.parametrize("script", ["train", "eval", "localize", "soup"])
@pytest.mark.parametrize(("flags", "code"), [(["--help"], 0), (["--no_such_flag"], 2), (["--M", "x"], 2)])
def test_help_and_usage_errors_come_before_torch(tmp_path, script, flags, code):
    command = [sys.executable, "-X", "importtime", str(ROOT / f"{script}.py"), *flags]
    environment = {name: value for name, value in os.environ.items() if name != "WORLD_SIZE"}
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=environment)
    imported = {line.split("|")[-1].strip() for line in result.stderr.splitlines() if "import time:" in line}
    assert result.returncode == code and not {"torch", "numpy", "distributed"} & imported and "parser" in imported
    assert not code or f"see {script}.py --help" in result.stderr


@pytest.mark.parametrize(("script", "flag"), [("eval", "--photos"), ("train", "--folder")])
def test_arguments_without_a_name_are_no_flags_of_another_script(script, flag, capsys):
    with pytest.raises(SystemExit):
        parse_arguments(script, ["--dataset_folder", "x", flag, "y"])
    assert f"error: unrecognized arguments: {flag}" in capsys.readouterr().err

import pytest

from parser import expand_recipes, parse_arguments

DEFAULTS = dict(
    M=10,
    alpha=30,
    N=5,
    L=2,
    groups_num=8,
    min_images_per_class=10,
    backbone="ResNet18",
    fc_output_dim=512,
    train_all_layers=False,
    use_amp16=False,
    amp_dtype="auto",
    augmentation_device=None,
    batch_size=32,
    epochs_num=50,
    iterations_per_epoch=10_000,
    lr=1e-5,
    classifiers_lr=0.01,
    loss="cosface",
    loss_s=None,
    loss_m=None,
    emms_l=None,
    lr_schedule="constant",
    infer_dtype="float32",
    image_size=512,
    resize_test_imgs=False,
    augmentation_type="colorjitter",
    pseudo_target_folder=None,
    night_augmentation=None,
    night_probability=0.5,
    fda_beta=0.01,
    fda_queries=False,
    fda_database=False,
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
    test_set_folders=None,
    queries_folder=None,
    database_folder=None,
    save_dir="default",
    keep_every=0,
    compile=False,
    tf32=False,
    profile=0,
    domain_adaptation=None,
    domain_batch_size=None,
    domain_lr=None,
    grl_loss_weight=None,
    aada_m=None,
    aada_gamma=None,
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
    parallel="data",
    group_schedule="epoch",
    local_steps=10_000,
    local_moments="average",
    report=None,
    compare=None,
    further_queries=[],
    tensorboard=False,
    expected_architecture=(None, None),
    save_dir_given=False,
)


def test_defaults_are_the_published_ones(workdir):
    args = vars(parse_arguments(argv=["--dataset_folder", "x/processed"]))
    folders = {f"{part}_set_folder": f"x/processed/{part}" for part in ("train", "val", "test")}
    assert args == {**DEFAULTS, **folders, "dataset_folder": "x/processed"}


@pytest.mark.parametrize("is_training", [True, False])
def test_published_commands_parse(workdir, is_training):
    args = parse_arguments(
        is_training,
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


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give --dataset_folder (or set SF_XL_PROCESSED_FOLDER), or --train_set_folder"),
        (["--M", "0"], "'0' is not a whole number of at least 1"),
        (["--M", "2.5"], "whole number"),
        (["--lr", "nan"], "not a number"),
        (["--hue", "0.6"], "from 0 to 0.5"),
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
    with pytest.raises(SystemExit) as exit_:
        parse_arguments(argv=flags)
    assert exit_.value.code == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("train.py: error:") and message in last


@pytest.mark.parametrize("is_training", [True, False])
def test_help_describes_every_flag_that_the_script_uses(workdir, capsys, is_training):
    with pytest.raises(SystemExit) as exit_:
        parse_arguments(is_training, ["--help"])
    text = capsys.readouterr().out
    assert exit_.value.code == 0 and "metres" in text and "@FILE" in text
    assert ("--iterations_per_epoch" in text) == is_training and "--infer_batch_size" in text

"""benchmarks.compare_runs, and the environment.json of every script."""

import json
import os
import re
import shutil

import pytest

import eval as eval_script
import soup
import train
from benchmarks import compare_runs
from tests.scripts import run
from tests.tiny import FLAGS


@pytest.fixture(scope="session")
def runs(tiny, once):
    """Log folders of a run, the same run again, and one with another seed."""
    flags = ["--dataset_folder", tiny, *FLAGS, "--backbone", "Small", "--iterations_per_epoch", "2"]

    def make():
        for name, seed in (("a", 0), ("b", 0), ("c", 1)):
            run(train, *flags, "--save_dir", name, "--seed", seed)

    return sorted(map(str, once("runs", make).glob("logs/*/*")))


def compare(*flags):
    """(exit code, what is printed)."""
    with pytest.raises(SystemExit) as exit_:
        compare_runs.main([str(flag) for flag in flags])
    return exit_.value.code


def test_the_same_run_twice(runs, capsys):
    assert compare_runs.main(runs[:2]) is None
    output = capsys.readouterr().out
    assert (
        "both saw the same images in the same order" in output
        and "metrics: the same" in output
        and output.endswith("SAME\n")
    )
    compare_runs.main([*runs[:2], "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["same"] and found["epochs"] == [2, 2] and not found["versions"] | found["arguments"] | found["digests"]


def test_another_seed(runs, capsys):
    assert compare(runs[0], runs[2], "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["data"] == {"same": False, "first_difference": 0} and found["arguments"] == {"seed": [0, 1]}
    assert found["metrics"]["first_difference"]["column"] == "loss" and found["digests"].keys() == {"initial_weights"}
    assert compare(runs[0], runs[2]) == 1
    assert re.search(
        r"other images, or another order, from epoch 0 on\n"
        r"metrics: differ from epoch 0 on: 'loss' is '\S+' in A and '\S+' in B",
        capsys.readouterr().out,
    )


def test_a_later_difference_and_other_versions(runs, workdir, capsys):
    shutil.copytree(runs[0], "other")
    with open("other/metrics.csv") as file:
        lines = file.read().splitlines()
    columns = lines[0].split(",")
    last = lines[-1].split(",")
    last[columns.index("R@5")], last[columns.index("seconds")] = "1.5", "1e6"
    with open("other/metrics.csv", "w") as file:
        file.write("\n".join([*lines[:-1], ",".join(last)]) + "\n")
    with open("other/environment.json") as file:
        environment = json.load(file)
    with open("other/environment.json", "w") as file:
        json.dump(environment | {"torch": "1.0", "device": "Abacus"}, file)
    assert compare(runs[0], "other", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["data"]["same"] and found["metrics"]["first_difference"]["epoch"] == 1
    assert (
        found["metrics"]["first_difference"]["column"] == "R@5"
        and found["metrics"]["first_difference"]["values"][1] == "1.5"
    )
    assert found["versions"] == {"torch": [environment["torch"], "1.0"], "device": ["cpu", "Abacus"]}
    with open("other/metrics.csv", "w") as file:
        file.write("\n".join(lines[:-1]) + "\n")
    assert compare(runs[0], "other") == 1
    assert "epochs: A 2, B 1; what both have is compared" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("environment.json", b"{", "cannot be read"),
        ("environment.json", b"[1]", "is damaged"),
        ("environment.json", b'{"arguments": 3}', "is damaged"),
        ("metrics.csv", b"a,b\n1,2\n", "is damaged"),
        ("metrics.csv", b"epoch\n1,2\n", "is damaged"),
        ("metrics.csv", b"\xff\xfe", "cannot be read"),
    ],
)
def test_what_is_no_log_folder(runs, workdir, capsys, name, content, problem):
    assert compare(runs[0], "nowhere") == 2 and "there is no log folder nowhere" in capsys.readouterr().err
    os.mkdir("folder")
    assert compare(runs[0], "folder") == 2 and "folder is no log folder" in capsys.readouterr().err
    (workdir / "folder" / name).write_bytes(content)
    assert compare(runs[0], "folder") == 2 and problem in capsys.readouterr().err


def test_environments_of_eval_and_soup(tiny, runs, workdir, capsys):
    best = [f"{folder}/best_model.pth" for folder in runs]
    folders = [
        run(
            eval_script,
            "--dataset_folder",
            tiny,
            "--resume_model",
            model,
            "--num_workers",
            "0",
            "--save_dir",
            str(index),
        )
        for index, model in enumerate(best)
    ]
    assert compare(folders[0], folders[1], "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["arguments"].keys() == {"resume_model"} and not found["digests"]  # the same network
    compare(folders[0], folders[2], "--json")
    assert json.loads(capsys.readouterr().out)["digests"].keys() == {"weights"}
    run(soup, "--ingredients", best[0], best[2], "--output", "soup.pth", "--save_dir", "soup")
    (folder,) = os.listdir("logs/soup")
    with open(f"logs/soup/{folder}/environment.json") as file:
        environment = json.load(file)
    assert environment["digests"].keys() == {best[0], best[2]} and environment["arguments"]["method"] == "uniform"

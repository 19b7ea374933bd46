"""The results table: trains the rows that are missing, evaluates each on the test sets, and writes the table.

Beside the table it writes results_table.csv, with all recalls of all seeds. A row is recipes/<row>.txt after a base
recipe. All rows start from the same weights. Finished models and evaluations are kept in the work folder, and so a
stopped run can go on. Differences to CosFace are tested by a paired bootstrap over queries.
"""

import argparse
import csv
import glob
import json
import logging
import os
import shutil
import sys

import numpy as np

import soup
import train
from benchmarks.comparison import RECALLS, add_flags, cell, evaluate, parse_and_run, test_set, write_between
from benchmarks.measure import table
from benchmarks.results_rows import PUBLISHED_SETS, ROWS
from support.errors import UserError
from support.files import replacing
from support.recipes import expand_recipes

MARKS = "<!-- results table -->", "<!-- end of the results table -->"


def main(argv: list[str] | None = None) -> None:
    """Parses the arguments and runs the rows."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.results_table",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add_flags(parser, "recipes/demo_finetune.txt", "logs/results_table", MARKS)
    add(
        "--flags",
        default="",
        metavar="FLAGS",
        help="further flags of train.py, eval.py and soup.py for every row, in one string, as "
        "--flags='--dataset_folder sf_xs --target_dataset_folder night' (default: none)",
    )
    add("--recipes", default="recipes", metavar="FOLDER", help="where the rows' recipes are (default: %(default)s)")
    add(
        "--rows",
        nargs="+",
        choices=ROWS,
        default=list(ROWS),
        metavar="ROW",
        help=f"of {', '.join(ROWS)} (default: all)",
    )
    parse_and_run(parser, run, argv)


def run(args: argparse.Namespace) -> None:
    """Collects the results of all rows and seeds, and writes the table."""
    test_sets = dict(test_set(text, args.dataset_folder) for text in args.test_sets)
    found, missing = {}, {}  # (row, seed) -> {test set: float (q, len(RECALLS))}; row -> why it was not run
    for row in order(args.rows):
        for seed in args.seeds:
            try:
                found[row, seed] = results(args, row, seed, test_sets)
            except NotRun as reason:
                missing[row] = str(reason)
                break
    whole = {row: [found[row, seed] for seed in args.seeds] for row in order(args.rows) if row not in missing}
    write(args, test_sets, whole, missing)


class NotRun(Exception):
    """A row whose files are not there."""


def order(rows: list[str]) -> list[str]:
    """Sorts the rows: CosFace first, which all are compared with, and soups last, which need other rows."""
    return sorted(dict.fromkeys(["cosface", *rows]), key=lambda row: (row != "cosface", ROWS[row].kind == "soup"))


def results(
    args: argparse.Namespace, row: str, seed: int, test_sets: dict[str, tuple[str, str]]
) -> dict[str, np.ndarray]:
    """Returns {test set: bool (q, 3)}, whether each query is found within each N of RECALLS.

    args: the arguments; results are read from their work folder, or measured
    row: one of ROWS
    seed: the run's
    test_sets: {title: (database folder, queries folder)}
    """
    trained = ROWS[row].kind if ROWS[row].kind in ROWS else row
    model = make_model(args, trained, seed)
    values = {}
    for title, (database, queries) in test_sets.items():
        kept = os.path.join(args.work_folder, f"seed{seed}", row, f"{title.replace(' ', '_')}.json")
        flags = [
            *_base(args),
            *([f"@{_recipe(args, row)}"] if trained != row else []),
            "--resume_model",
            model,
            "--database_folder",
            database,
            "--queries_folder",
            queries,
            "--seed",
            str(seed),
        ]
        digest = _digest(flags, model)
        if not _is_kept(kept, digest):
            found = evaluate(flags, os.path.join("results_table", row))
            os.makedirs(os.path.dirname(kept), exist_ok=True)
            _write_json(kept, {"digest": digest, "found": found.astype(int).tolist()})
        values[title] = np.array(_read_json(kept)["found"], bool)
        logging.info(f"{row}, seed {seed}, {title}: R@1 {100 * values[title][:, 0].mean():.1f}")
    return values


def make_model(args: argparse.Namespace, row: str, seed: int) -> str:
    """Returns the path of a row's model. It is trained or averaged unless the same flags made it before."""
    folder = os.path.join(args.work_folder, f"seed{seed}", row)
    model, record = os.path.join(folder, "best_model.pth"), os.path.join(folder, "made_from.json")
    flags = [*_base(args), f"@{_recipe(args, row)}", "--seed", str(seed)]
    if ROWS[row].kind == "soup":
        for name in soup_ingredients(flags):
            make_model(args, name, seed)
        flags += ["--ingredients_folder", os.path.join(args.work_folder, f"seed{seed}"), "--output", model]
    refuse_without_weights(flags)
    start = _last_value(flags, "--resume_model")
    made_from = [
        os.path.join(args.work_folder, f"seed{seed}", name, "best_model.pth") for name in soup_ingredients(flags)
    ]
    digest = _digest(flags, *made_from, *([start] if start and os.path.exists(start) else []))
    if os.path.exists(model) and _is_kept(record, digest):
        return model
    os.makedirs(folder, exist_ok=True)
    save_dir = os.path.join("results_table", f"{row}_seed{seed}")
    if ROWS[row].kind == "soup":
        soup.main([*flags, "--save_dir", save_dir])
    else:
        train.main([*flags, "--save_dir", save_dir])
        with replacing(model) as temporary:
            shutil.copyfile(
                os.path.join(max(glob.glob(os.path.join("logs", save_dir, "*"))), "best_model.pth"), temporary
            )
    _write_json(record, {"digest": digest})
    return model


def refuse_without_weights(flags: list[str]) -> None:
    """Raises NotRun if a row's own weights are not there, or the base's weights would replace them."""
    weights, start = (_last_value(flags, flag) for flag in ("--backbone_weights", "--resume_model"))
    if weights and os.sep in weights and start:
        raise NotRun(f"(it begins from weights of its own, {weights}, and the base from {start})")
    if weights and os.sep in weights and not os.path.exists(weights):
        raise NotRun(f"without its weights, {weights}")


def _last_value(flags: list[str], flag: str):
    words = expand_recipes(flags)
    return next((value for name, value in zip(words[-2::-1], words[:0:-1], strict=True) if name == flag), None)


def soup_ingredients(flags: list[str]) -> list[str]:
    """Returns the rows that a soup's flags name as ingredients."""
    words = expand_recipes(flags)
    if "--ingredients" not in words:
        return []
    rest = words[words.index("--ingredients") + 1 :]
    count = next((i for i, word in enumerate(rest) if word.startswith("--")), len(rest))
    return [os.path.dirname(word) for word in rest[:count]]


def write(
    args: argparse.Namespace,
    test_sets: dict[str, tuple[str, str]],
    found: dict[str, list[dict[str, np.ndarray]]],
    missing: dict[str, str],
) -> None:
    """Writes the table as markdown, and all recalls of all seeds as CSV.

    args: the arguments
    test_sets: {title: (database folder, queries folder)}
    found: {row: results of each seed}
    missing: {row: why it was not run}
    """
    rows, lines = [], []
    for row in args.rows:
        entry = {
            "row": ROWS[row].title,
            **{
                f"published {name}": values[0] for name, values in zip(PUBLISHED_SETS, ROWS[row].published, strict=True)
            },
        }
        for title in test_sets:
            entry[title] = (
                cell(
                    [values[title][:, 0] for values in found[row]],
                    [values[title][:, 0] for values in found["cosface"]]
                    if row != "cosface" and "cosface" in found
                    else None,
                )
                if row in found
                else f"not run {missing[row]}"
            )
            for seed, values in zip(args.seeds, found.get(row, []), strict=False):
                lines.append(
                    {
                        "row": row,
                        "test_set": title,
                        "seed": seed,
                        **{
                            f"R@{n}": f"{100 * r:.1f}" for n, r in zip(RECALLS, values[title].mean(axis=0), strict=True)
                        },
                    }
                )
        rows.append(entry)
    text = (
        f"R@1 in percent: mean over seeds {', '.join(map(str, args.seeds))} "
        "+- their standard deviation (95% interval over queries); then the difference to CosFace "
        "with its 95% interval and two-sided p, by a paired bootstrap over queries.\n\n"
        + table(rows, list(rows[0]))
        + "\n"
    )
    write_between(args.output, MARKS, text)
    with (
        replacing(os.path.join(os.path.dirname(args.output), "results_table.csv")) as temporary,
        open(temporary, "w", newline="") as file,
    ):
        writer = csv.DictWriter(file, list(lines[0]) if lines else ["row"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    print(text)


def _base(args: argparse.Namespace) -> list[str]:
    """The flags of every row. They are a recipe, in which each script skips the flags of the others."""
    os.makedirs(args.work_folder, exist_ok=True)
    path = os.path.join(args.work_folder, "flags.txt")
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(args.flags + "\n")
    return [f"@{args.base}", f"@{path}"]


def _recipe(args: argparse.Namespace, row: str):
    path = os.path.join(args.recipes, f"{row}.txt")
    if not os.path.exists(path):
        raise UserError(f"there is no recipe {path}; fix --recipes")
    return path


def _digest(flags: list[str], *files: str):
    """Returns what a result depends on: the flags with their recipes read, and the files' sizes and times."""
    return [*expand_recipes(flags), *(f"{os.path.getsize(file)} {os.stat(file).st_mtime_ns}" for file in files)]


def _is_kept(path: str, digest: list[str]):
    return os.path.exists(path) and _read_json(path).get("digest") == digest


def _read_json(path: str):
    try:
        with open(path) as file:
            return json.load(file)
    except ValueError:  # cut off: made again
        return {}


def _write_json(path: str, value: object):
    with replacing(path) as temporary, open(temporary, "w") as file:
        json.dump(value, file)


if __name__ == "__main__":
    sys.exit(main())

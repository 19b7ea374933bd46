"""The models and evaluations of the results table's rows, in a work folder.

What the same flags made is not made again, even if it was made on another machine, and its weights stayed there.
"""

import functools
import glob
import hashlib
import logging
import os
import shlex
import shutil
from typing import NamedTuple

import numpy as np

import soup
import train
from benchmarks.comparison import evaluate, read_json, write_json
from benchmarks.results_rows import FORMS, NIGHT_SETS, ROWS, NightSet
from datasets.choices import needs_target
from datasets.names import list_images
from datasets.night.__main__ import main as make_night_set
from datasets.night.build import night_name
from parser import parse_arguments
from support.errors import UserError
from support.files import replacing
from support.recipes import expand_recipes

logger = logging.getLogger(__name__)


class NotRun(Exception):
    """A row whose files are not there; the message says which."""


class Entry(NamedTuple):
    """A row in one of FORMS."""

    form: str
    row: str

    @property
    def folder(self) -> str:
        """Of its model and results, in a seed's folder."""
        return self.row if self.form == "sound" else f"{self.row}_as_published"


class Runs:
    """Makes, keeps and finds models and evaluations.

    base: the recipe of every row: the training set, the start, the length
    flags: further flags of every row, in one string
    recipes: the folder of the folders FORMS
    work_folder: gets everything
    """

    def __init__(self, base: str, flags: str, recipes: str, work_folder: str):
        self.recipes, self.work_folder = recipes, work_folder
        os.makedirs(work_folder, exist_ok=True)
        # a recipe, in which each script skips the flags of the others; parts with other flags may run beside this one
        path = os.path.join(work_folder, f"flags_{hashlib.sha256(flags.encode()).hexdigest()[:12]}.txt")
        with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.write(flags + "\n")
        self.base = [f"@{base}", f"@{path}"]
        self._sets: dict[str, str] = {}  # sets by night that are whole: name -> folder

    # --- rows

    def recipe(self, form: str, row: str) -> str:
        """Returns the path of a recipe. Raises UserError if there is none."""
        path = os.path.join(self.recipes, FORMS[form], f"{row}.txt")
        if not os.path.exists(path):
            raise UserError(f"there is no recipe {path}; fix --recipes")
        return path

    def entry(self, form: str, row: str) -> Entry:
        """Returns a row's Entry: of the sound form, if its recipes and those of what it is made of are the same."""
        return Entry("sound" if form == "sound" or self.is_same(row) else form, row)

    def is_same(self, row: str) -> bool:
        """Whether a row is the same in both forms."""
        sound, published = (expand_recipes([f"@{self.recipe(form, row)}"]) for form in FORMS)
        return sound == published and all(self.is_same(other) for other in parts(row, sound))

    def parts(self, entry: Entry) -> list[Entry]:
        """Returns the rows whose models an entry is made of, or evaluated with: none for one that is trained."""
        words = expand_recipes([f"@{self.recipe(*entry)}"])
        return [self.entry(entry.form, row) for row in parts(entry.row, words)]

    def flags(self, entry: Entry, seed: int) -> list[str]:
        """Returns the flags of an entry's training, soup or evaluation, but for the paths in the work folder."""
        return [*self.base, f"@{self.recipe(*entry)}", "--seed", str(seed)]

    # --- what is missing

    def check(self, entry: Entry) -> None:
        """Checks what an entry needs, before anything is trained.

        Raises NotRun if weights or images of the night are not there, SystemExit (from the parser) on wrong flags.
        """
        for part in self.parts(entry):
            self.check(part)
        flags = self.flags(entry, 0)
        words = expand_recipes(flags)
        weights, start = last_value(words, "--backbone_weights"), last_value(words, "--resume_model")
        if weights and os.sep in weights and start:
            raise NotRun(f"(it begins from weights of its own, {weights}, and the base from {start})")
        if weights and os.sep in weights and not os.path.exists(weights):
            raise NotRun(f"without its weights, {weights}")
        needs_night = "--domain_adaptation" in words or needs_target(last_value(words, "--night_augmentation"))
        needs_night |= "night" in [values.target for values in _made_of(self.night_set_of(entry))]
        night = last_value(words, "--target_dataset_folder")
        if needs_night and not (night and os.path.isdir(night)):
            raise NotRun(f"without images of the night, --target_dataset_folder {night or 'is not given'}")
        if ROWS[entry.row].kind != "soup":
            parse_arguments("train" if ROWS[entry.row].kind == "train" else "eval", flags)

    def night_set_of(self, entry: Entry) -> str | None:
        """Returns which of NIGHT_SETS an entry's recipe names as a folder, or None."""
        words = expand_recipes([f"@{self.recipe(*entry)}"])
        folder = last_value(words, "--pseudo_target_folder") or last_value(words, "--queries_folder")
        name = os.path.basename(folder or "")
        return name if name in NIGHT_SETS else None

    # --- models

    def made(self, entry: Entry, seed: int) -> str | None:
        """Returns the digest of an entry's model, if its present flags made it; the file itself may be gone."""
        record = read_json(self._path(entry, seed, "made_from.json"))
        return record.get("model") if record.get("digest") == self._digest(entry, seed) else None

    def model(self, entry: Entry, seed: int) -> str:
        """Returns the path of an entry's model. It is trained or averaged unless the same flags made it before."""
        ingredients = [self.model(part, seed) for part in self.parts(entry)]
        model = self._path(entry, seed, "best_model.pth")
        if os.path.exists(model) and self.made(entry, seed):
            return model
        flags = self.flags(entry, seed)
        digest = self._digest(entry, seed)
        os.makedirs(os.path.dirname(model), exist_ok=True)
        # in a folder for these flags alone, so that a run that was stopped goes on
        key = hashlib.sha256(repr(digest).encode()).hexdigest()[:12]
        save_dir = os.path.join("results_table", f"{entry.folder}_seed{seed}", key)
        if ingredients:
            soup.main([*flags, "--ingredients", *ingredients, "--output", model, "--save_dir", save_dir])
        else:
            if name := self.night_set_of(entry):
                flags += ["--pseudo_target_folder", self.night_set(name)]
            train.main([*flags, "--save_dir", save_dir, "--resume_train", "auto"])
            newest = max(glob.glob(os.path.join("logs", save_dir, "*")))
            with replacing(model) as temporary:
                shutil.copyfile(os.path.join(newest, "best_model.pth"), temporary)
        write_json(self._path(entry, seed, "made_from.json"), {"digest": digest, "model": _file_digest(model)})
        return model

    def _digest(self, entry: Entry, seed: int) -> list[str]:
        """What a model depends on: the flags, and the digests of its ingredients, of its set's flags and its start."""
        words = expand_recipes(self.flags(entry, seed))
        start = last_value(words, "--resume_model")
        return [
            *words,
            *(str(self.made(part, seed)) for part in self.parts(entry)),
            *map(repr, _made_of(self.night_set_of(entry))),
            *([_file_digest(start)] if start and os.path.exists(start) else []),
        ]

    def night_set(self, name: str, title: str = "", queries: str = "") -> str:
        """Makes one of NIGHT_SETS, or what is missing of it. Returns its folder.

        name: the set's
        title, queries: of the test set, and the folder of its queries, for a set made of queries
        """
        key = f"{name}_{_plain(title)}" if title else name
        if key not in self._sets:
            of_base = parse_arguments("train", self.base)
            folders = {"train": of_base.train_set_folder, "night": of_base.target_dataset_folder, "queries": queries}
            made = NIGHT_SETS[name]
            source = folders[made.source] if made.source in folders else self.night_set(made.source)
            target = ["--target", folders[made.target]] if made.target else []
            folder = os.path.join(self.work_folder, "night_sets", key)
            make_night_set(["--source", source, *target, "--output", folder, *shlex.split(made.flags)])
            self._sets[key] = folder
        return self._sets[key]

    # --- evaluations

    def kept(self, entry: Entry, seed: int, title: str, test_set: tuple[str, str]) -> np.ndarray | None:
        """Returns the result that an entry's present flags and model gave before, or None.

        entry: the row
        seed: the run's
        title: of the test set
        test_set: its (database folder, queries folder)
        """
        value = read_json(self._path(entry, seed, f"{_plain(title)}.json"))
        digest = self._evaluation_digest(entry, seed, test_set)
        return np.array(value["found"], bool) if digest and value.get("digest") == digest else None

    def found(self, entry: Entry, seed: int, title: str, test_set: tuple[str, str]) -> np.ndarray:
        """Returns bool (q, 3), whether each query is found within each N of RECALLS, kept or measured.

        entry: the row
        seed: the run's
        title: of the test set
        test_set: its (database folder, queries folder)
        """
        values = self.kept(entry, seed, title, test_set)
        if values is None:
            values = self._measure(entry, seed, title, test_set)
            digest = self._evaluation_digest(entry, seed, test_set)
            path = self._path(entry, seed, f"{_plain(title)}.json")
            os.makedirs(os.path.dirname(path), exist_ok=True)
            write_json(path, {"digest": digest, "found": values.astype(int).tolist()})
        logger.info(f"{entry.folder}, seed {seed}, {title}: R@1 {100 * values[:, 0].mean():.1f}")
        return values

    def _measure(self, entry: Entry, seed: int, title: str, test_set: tuple[str, str]):
        model, (database, queries) = self.model(self._trained(entry), seed), test_set
        flags = [*self._evaluation_flags(entry, seed), "--resume_model", model, "--database_folder", database]
        save_dir = os.path.join("results_table", entry.folder)
        name = self.night_set_of(entry) if entry.row in _EVALUATED else None
        if name is None:
            return evaluate([*flags, "--queries_folder", queries], save_dir)
        folder = self.night_set(name, title, queries)
        found = evaluate([*flags, "--queries_folder", folder], save_dir)
        # in the order of the queries by day, for paired comparisons; those that cannot be read are not found
        rows = {by_night: row for row, by_night in enumerate(list_images(folder))}
        found = np.concatenate([found, np.zeros_like(found[:1])])
        return found[[rows.get(night_name(by_day), -1) for by_day in list_images(queries)]]

    def _trained(self, entry: Entry):
        return self.entry(entry.form, ROWS[entry.row].kind) if entry.row in _EVALUATED else entry

    def _evaluation_flags(self, entry: Entry, seed: int):
        return self.flags(entry, seed) if entry.row in _EVALUATED else [*self.base, "--seed", str(seed)]

    def _evaluation_digest(self, entry: Entry, seed: int, test_set: tuple[str, str]):
        """What a result depends on; None without a model that the present flags made."""
        words, model = expand_recipes(self._evaluation_flags(entry, seed)), self.made(self._trained(entry), seed)
        return [*words, *test_set, *map(repr, _made_of(self.night_set_of(entry))), model] if model else None

    def _path(self, entry: Entry, seed: int, name: str) -> str:
        return os.path.join(self.work_folder, f"seed{seed}", entry.folder, name)

    def seeds(self) -> list[int]:
        """Returns the seeds that the work folder has anything of."""
        found = (name.removeprefix("seed") for name in os.listdir(self.work_folder) if name.startswith("seed"))
        return sorted(int(seed) for seed in found if seed.isdecimal())


_EVALUATED = [row for row, values in ROWS.items() if values.kind in ROWS]  # with another row's model


def parts(row: str, words: list[str]) -> list[str]:
    """Returns the rows that a row's flags name as ingredients of a soup, or whose model it is evaluated with."""
    if ROWS[row].kind in ROWS:
        return [ROWS[row].kind]
    if ROWS[row].kind != "soup" or "--ingredients" not in words:
        return []
    rest = words[words.index("--ingredients") + 1 :]
    count = next((i for i, word in enumerate(rest) if word.startswith("--")), len(rest))
    return [os.path.dirname(word) for word in rest[:count]]


def last_value(words: list[str], flag: str) -> str | None:
    """Returns the last value of a flag with one value among expanded flags, or None."""
    return next((value for name, value in zip(words[-2::-1], words[:0:-1], strict=True) if name == flag), None)


def _made_of(name: str | None) -> list[NightSet]:
    """A set by night, and those that it is made of."""
    return [NIGHT_SETS[name], *_made_of(NIGHT_SETS[name].source)] if name in NIGHT_SETS else []


def _plain(title: str):
    return title.replace(" ", "_")


def _file_digest(path: str) -> str:
    return _digest_of(path, os.path.getsize(path), os.stat(path).st_mtime_ns)


@functools.lru_cache
def _digest_of(path: str, _size: int, _changed: int):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""The project's own promises."""

import ast
import pathlib
import re
import subprocess
import sys

import datasets
import parser
import test
from benchmarks.results_rows import ROWS
from parser import parse_arguments
from tests.scripts import ROOT, SOURCES


def test_own_modules_are_found_before_installed_ones():
    for module in (test, parser, datasets):
        assert pathlib.Path(module.__file__).is_relative_to(ROOT)


def test_requirements_are_the_eight_with_lower_bounds():
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    names = [re.split("[><=]", line)[0] for line in lines]
    assert names == ["torch", "torchvision", "numpy", "faiss-cpu", "scikit-learn", "utm", "Pillow", "tqdm"]
    assert all(re.fullmatch(r"[\w-]+>=[\d.]+", line) for line in lines)


def test_every_recipe_of_a_whole_run_parses(monkeypatch):
    """Those of the results table's rows, and its bases, are in tests/test_results_table.py."""
    monkeypatch.chdir(ROOT)
    recipes = [recipe for recipe in sorted((ROOT / "recipes").glob("*.txt")) if recipe.stem not in {*ROWS, "sf_xs"}]
    assert len(recipes) >= 4
    for recipe in recipes:
        assert parse_arguments(argv=[f"@{recipe}"]).dataset_folder


def test_modules_import_without_side_effects(tmp_path):
    """No output, no files, no logging set up."""
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in SOURCES]
    code = (
        f"import sys, logging; sys.path.insert(0, {str(ROOT)!r})\nfor name in {names!r}: __import__(name)\n"
        "assert not logging.getLogger().handlers"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0 and not result.stdout and not result.stderr, result.stderr
    assert not list(tmp_path.iterdir())


def test_scripts_run_from_another_folder(tmp_path):
    command = [sys.executable, str(ROOT / "eval.py"), "--dataset_folder", "nowhere"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (
        result.returncode == 2
        and "error: folder nowhere/test does not exist" in result.stderr
        and "Traceback" not in result.stderr
    )


def test_no_test_module_imports_another():
    """What several need is in tests/conftest.py (fixtures) and in the modules beside it."""
    for path in (ROOT / "tests").glob("*.py"):
        imports = [
            f"{getattr(node, 'module', '')}.{alias.name}"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        ]
        assert not [name for name in imports if re.search(r"\btests\.test_", name)], path


def test_no_function_of_the_tests_is_longer_than_60_lines():
    for path in (ROOT / "tests").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 60, f"{path.name}: {node.name}"

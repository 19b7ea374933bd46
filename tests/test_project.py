"""The project's own promises."""

import ast
import pathlib
import re
import subprocess
import sys

import datasets
import parser
import test
from demo_city import __main__ as demo_city
from options import OPTIONS
from parser import parse_arguments
from tests.scripts import ROOT, SOURCES

PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")), *sorted(ROOT.glob("docs/*.md"))]
OTHERS_FLAGS = {
    "--help",
    *("--nproc_per_node", "--nnodes", "--max_restarts", "--shutdown-timeout"),  # torchrun
    *("--time", "--signal", "--requeue", "--open-mode"),  # Slurm
    "--preserve-status",  # timeout
    "--shm-size",  # Docker
    *("--durations", "--dist"),  # pytest
}


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
    recipes = [
        recipe
        for recipe in sorted((ROOT / "recipes").glob("*.txt"))
        if recipe.stem not in {"sf_xs", "small_city", "small_city_cosface", "eigenplaces"}
    ]
    assert len(recipes) >= 4
    for recipe in recipes:
        assert parse_arguments(argv=[f"@{recipe}"]).dataset_folder
    for recipe in ("small_city", "small_city_cosface"):
        assert parse_arguments(argv=[f"@recipes/{recipe}.txt", "--dataset_folder", "city"]).freeze_bn
    named = vars(parse_arguments(argv=["@recipes/eigenplaces.txt", "--dataset_folder", "d"]))
    plain = vars(parse_arguments(argv=["--method", "eigenplaces", "--dataset_folder", "d"]))
    assert named.pop("expected_architecture") == ("ResNet18", 512) and named.pop("save_dir") == "eigenplaces"
    assert named.pop("loss_m") == 0.4 and named.pop("save_dir_given")  # which all say what is the default
    assert named == {name: plain[name] for name in named}


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


def test_no_function_is_longer_than_60_lines():
    """Tables of options aside."""
    for path in [*SOURCES, *(ROOT / "tests").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name != "make_parser":
                assert node.end_lineno - node.lineno < 60, f"{path.relative_to(ROOT)}: {node.name}"


def test_the_training_script_is_short():
    assert len((ROOT / "train.py").read_text().splitlines()) <= 260


def test_readme_is_short_and_shows_a_result_first():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 170
    assert any(line.startswith("![") for line in lines[:25])
    assert lines.index("<!-- demo -->") < lines.index("<!-- /demo -->")


def _prose(page):
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def _anchors(page):
    """The names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ +(.+?) *$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _links(page):
    """The targets of a page's links and pictures that are not addresses on the web."""
    prose = re.sub(r"`[^`]*`", "", _prose(page))
    targets = re.findall(r"\]\(<?([^)>\s]+)>?\)", prose)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def test_links_of_documents_lead_to_files_and_headings():
    dead = []
    for page in PAGES:
        for target in _links(page):
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            if not file.exists() or (anchor and anchor not in _anchors(file)):
                dead.append(f"{page.relative_to(ROOT)}: {target}")
    assert not dead


def test_every_page_and_picture_of_docs_is_linked():
    linked = {(page.parent / target.partition("#")[0]).resolve() for page in PAGES for target in _links(page)}
    assert not {path for path in (ROOT / "docs").iterdir() if path.resolve() not in linked}


def _name(function):
    return getattr(function, "attr", None) or getattr(function, "id", "")


def _flags_of_scripts():
    """The flags that some script or benchmark has."""
    found = {option.flag for option in OPTIONS if not option.positional}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            # `add` is short for a parser's or a group's add_argument
            if isinstance(node, ast.Call) and _name(node.func) in ("add", "add_argument"):
                names = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
                found |= {name for name in names if str(name).startswith("--")}
    # demo_city makes its flags in a loop
    return found | {flag for action in demo_city.make_parser()._actions for flag in action.option_strings}


def test_flags_of_documents_exist():
    known = _flags_of_scripts() | OTHERS_FLAGS
    for page in PAGES:
        if page.name not in ("CONTRIBUTING.md", "CHANGELOG.md"):
            flags = set(re.findall(r"(?<![\w/-])--[A-Za-z][\w-]*", page.read_text()))
            assert not flags - known, page.name


def test_paths_of_the_architecture_exist():
    for name in ("docs/architecture.md", "CONTRIBUTING.md"):
        paths = re.findall(r"`([\w./]+(?:\.py|/))`", (ROOT / name).read_text())
        assert len(paths) > 10 and not [path for path in paths if path != "__main__.py" and not (ROOT / path).exists()]

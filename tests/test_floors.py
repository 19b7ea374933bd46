"""Imports run downwards: a file imports from its own package and from lower floors only (docs/architecture.md)."""

import ast
import pathlib

from tests.scripts import ROOT

SCRIPT = 9.0  # also the __main__.py of every package
FLOORS = {
    **dict.fromkeys(("train", "eval", "localize", "soup", "export", "demo", "hubconf"), SCRIPT),
    "python": 8.5,  # cosplace.py, which hubconf.py re-exports
    "parser": 8.0,
    "commons": 8.0,
    "report": 7.5,
    "test": 7.0,
    "options": 6.5,
    "visualizations": 6.5,
    "localization": 6.0,
    "training": 5.0,
    "matching": 5.0,
    "retrieval": 5.0,
    "demo_city": 4.5,
    "augmentations": 4.5,  # it knows datasets.schedule.Share
    "datasets": 4.0,
    "model": 3.0,
    "distributed": 2.0,
    "support": 1.0,
}
WITHOUT_FLOOR = {"tests", "benchmarks"}  # they may import anything
MAY_IMPORT_SCRIPTS = {"demo.py"}  # it runs the others, one after another


def sources() -> list[str]:
    """The files that have a floor, as relative paths."""
    paths = [path for name in FLOORS for path in [ROOT / f"{name}.py", *ROOT.glob(f"{name}/**/*.py")] if path.is_file()]
    return sorted(path.relative_to(ROOT).as_posix() for path in paths)


def place(module: str) -> str:
    """The package or script at the root that a module belongs to."""
    parts = module.split(".")
    if parts[0] != "cosplace":
        return parts[0]
    return parts[1] if len(parts) > 1 else "python"  # cosplace.model is `model`


def floor(module: str) -> float:
    """The floor of a module of this repository."""
    return SCRIPT if module.endswith(".__main__") else FLOORS[place(module)]


def is_module(module: str) -> bool:
    """Whether there is a file or a package of that name."""
    path = ROOT.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def imports(path: str) -> set[str]:
    """The modules of this repository that a file imports, inside functions and for type hints too."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*pathlib.PurePosixPath(path).parts[: -node.level], *filter(None, [base])])
            below = {f"{base}.{alias.name}" for alias in node.names}
            found |= {module if is_module(module) else base for module in below}
    return {module for module in found if place(module) in FLOORS}


def violations() -> set[tuple[str, str]]:
    """(file, module that it imports) of all imports that do not run downwards."""
    found = set()
    for path in sources():
        own = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for module in imports(path):
            is_script = floor(module) == SCRIPT
            if place(module) == place(own) and not is_script:
                continue
            if floor(module) >= floor(own) and not (is_script and path in MAY_IMPORT_SCRIPTS):
                found.add((path, module))
    return found


def test_everything_has_a_floor():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    scripts = {path.stem for path in ROOT.glob("*.py")}
    assert (packages | scripts) - WITHOUT_FLOOR == FLOORS.keys() - {"python"}


def test_imports_run_downwards():
    assert violations() == set()


def test_the_demo_city_knows_names_and_support_alone():
    known = {module for path in sources() if path.startswith("demo_city/") for module in imports(path)}
    assert {module for module in known if place(module) not in ("demo_city", "support")} == {"datasets.names"}

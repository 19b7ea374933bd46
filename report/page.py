"""Writes HTML files that hold all they need: style, scripts, data, thumbnails. Equal input gives equal bytes."""

import base64
import json
import os
import string
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np

from report import texts
from support.errors import UserError
from support.escaping import printable
from support.files import replacing

_HERE = os.path.dirname(__file__)
_INSTALL = "pip install -r requirements-report.txt"


def check_report(path: str, flag: str = "--report") -> None:
    """Raises UserError if a page cannot be written: before hours of work. flag: that names the path."""
    _jinja2(flag)
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path) or not os.path.isdir(folder):
        problem = "that is a folder" if os.path.isdir(path) else f"there is no folder {folder}"
        raise UserError(f"{flag} {path}: {problem}; name a file")
    if not os.access(folder, os.W_OK):
        raise UserError(f"{flag} {path}: the folder {folder} cannot be written to; name a file elsewhere")


def write_page(path: str, template: str, **values) -> None:
    """Renders a template of templates/ to a file.

    Jinja2 escapes the values in HTML and in JSON, so they appear as text. Unprintable characters are escaped as in
    logs, so no name turns the text around or hides in it. Raises UserError if Jinja2 is missing or the disk refuses.
    """
    jinja2 = _jinja2("the page")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(os.path.join(_HERE, "templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["similarity"] = texts.similarity
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.policies["json.dumps_function"] = _dump
    text = environment.get_template(template).render(values, static=_static)
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(text)


def _shown(value: Any) -> Any:
    """A value as the page shows it; what is HTML already is left."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _dump(value: Any, **settings: Any) -> str:
    """JSON whose texts are as the page shows them."""

    def shown(value: Any) -> Any:
        if isinstance(value, dict):
            return {shown(key): shown(item) for key, item in value.items()}
        return [shown(item) for item in value] if isinstance(value, list | tuple) else _shown(value)

    return json.dumps(shown(value), **settings)


def packed(values: np.ndarray | list, dtype: str) -> str:
    """Packs an array for the page's scripts: base64 of its little-endian bytes.

    It has a third of JSON's size, and scripts need not parse it. dtype: as numpy names it.
    """
    return base64.b64encode(np.ascontiguousarray(values, np.dtype(dtype).newbyteorder("<")).tobytes()).decode()


def lettered(names: Iterable[str]) -> dict[str, str]:
    """{name: its label in charts}: A, B, ... if there are several, else the name itself."""
    names = list(names)
    letters = [
        string.ascii_uppercase[index % 26] + (str(index // 26) if index >= 26 else "") for index in range(len(names))
    ]
    return dict(zip(names, letters if len(names) > 1 else names, strict=True))


def _static(name: str) -> str:
    """The text of a file of static/, which is put into pages as it is."""
    with open(os.path.join(_HERE, "static", name), encoding="utf-8") as file:
        return _jinja2("the page").utils.markupsafe.Markup(file.read())


def _jinja2(what: str) -> ModuleType:
    try:
        import jinja2
        import jinja2.utils
    except ImportError as error:
        raise UserError(f"{what} needs Jinja2, which is not installed: {_INSTALL}") from error
    return jinja2

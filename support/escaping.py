"""Untrusted texts, such as names of images, made safe for a terminal, a log, a page and a spreadsheet."""

import logging
import re

from support.decimals import is_decimal

# what spreadsheets take for a formula, or skip before one (OWASP, CSV Injection); the last four are the wide forms
_STEERING = "=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20"
_STEERING_PATH, _STEERING_TEXT = re.compile(f"[{_STEERING}]"), re.compile(f"'*[{_STEERING}]")


def printable(text: str, keep: str = "") -> str:
    """The text in one line, its unprintable characters as in a Python string, such as \\x1b; those of `keep` stay.

    Unprintable are control characters, those that turn or join letters without being seen, line and paragraph
    separators, lone surrogates, unassigned ones, and blanks other than the plain one.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def escape(text: str) -> str:
    """As printable(), but line breaks and tabs stay."""
    return printable(text, keep="\n\t")


def csv_path(path: str) -> str:
    """A path for a CSV: what a spreadsheet would take for a formula has ./ in front. It opens the same file."""
    return "./" + path if _STEERING_PATH.match(path) else path


def csv_text(text: str) -> str:
    """A text for a CSV: what a spreadsheet would take for a formula, and is no number, has an apostrophe in front."""
    return "'" + text if _STEERING_TEXT.match(text) and not is_decimal(text) else text


def from_csv_text(text: str) -> str:
    """Restores the text from which csv_text() made this one."""
    return text[1:] if text.startswith("'") and _STEERING_TEXT.match(text) else text


class EscapingFormatter(logging.Formatter):
    """A formatter that escapes all messages.

    Further lines of a message, as of a traceback or a table, are indented: only a new message begins a line.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, or lines, of a record."""
        return escape(super().format(record)).replace("\n", "\n    ")

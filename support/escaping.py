"""Untrusted texts, such as names of images, made safe for a terminal and a log."""

import logging


def printable(text: str, keep: str = "") -> str:
    """The text in one line, its unprintable characters as in a Python string, such as \\x1b; those of `keep` stay."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def escape(text: str) -> str:
    """As printable(), but line breaks and tabs stay."""
    return printable(text, keep="\n\t")


class EscapingFormatter(logging.Formatter):
    """A formatter that escapes all messages.

    Further lines of a message, as of a traceback or a table, are indented: only a new message begins a line.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, or lines, of a record."""
        return escape(super().format(record)).replace("\n", "\n    ")

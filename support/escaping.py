"""Text of untrusted files, such as images' names, shown so that it can neither steer a terminal nor pass for a line of
the log.
"""

import logging
import re

# control characters but tabs and line breaks, line and paragraph separators, and what turns the direction of writing
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def escape(text):
    """The same text with such characters as Python writes them in a string, \\x1b for the escape character; line breaks
    stay.
    """
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


class EscapingFormatter(logging.Formatter):
    """A formatter that escapes all messages. Further lines of a message, as of a traceback or a table, are indented:
    only what was logged begins a line.
    """

    def format(self, record):
        return escape(super().format(record)).replace("\n", "\n    ")

"""The one error class for what a user can mend."""

from .escaping import escape


class UserError(Exception):
    """What is wrong, where, and what to do, in one line. Scripts print it without a traceback and exit with code 2."""

    def __str__(self):
        return escape(super().__str__())  # it may quote a stranger's file

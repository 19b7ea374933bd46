"""The one error class for what a user can mend."""


class UserError(Exception):
    """What is wrong, where, and what to do, in one line. Scripts print it without a traceback and exit with code 2."""

"""Errors with a message for the user."""


class UserError(ValueError):
    """An error in the user's input, in one line: the problem, its place, the way out. Commands end with status 2."""


class BusyError(UserError):
    """A resource is held by another process: a retry can help."""

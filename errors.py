"""Errors that are meant for people."""


class UserError(ValueError):
    """Say what is wrong, where, and what to do, in one line; commands print it and end with status 2."""


class BusyError(UserError):
    """Another process holds what this one needs: worth another try, while anything else would fail again."""

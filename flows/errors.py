"""Errors of the flows that are meant for people: one line that says what was given, what is allowed and the way out."""


class FlowError(ValueError):
    """The command line or the flow can't go on; the command line ends with status 2."""


class BusyError(FlowError):
    """Another process works in the same workspace; trying again later can help."""

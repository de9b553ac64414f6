"""The command line, `python -m flows`, and the pipeline as a Prefect flow over DVC's own graph."""

import environment

environment.begin()
environment.clear()  # where a worker imports the flow

from flows.settings import quiet  # noqa: E402

quiet()  # before any module of this folder imports prefect, which reads the environment once

"""The command line, `python -m flows`, and the pipeline as a Prefect flow over DVC's own graph."""

from flows.settings import quiet

quiet()  # before any module of this folder imports prefect, which reads the environment once

"""The one package that imports DVC: graph, statuses, cache, run cache, locks and settings, as plain values.

    tracked             stages and everything that DVC tracks of them
    repository          an open, locked repository: stages, fetching, checking out, pushing; settings of a second checkout
    run_cache_entries   entries of DVC's run cache, here and on a remote
    repro               `dvc repro` as a process: its command, the lines it prints, its file of running processes

Most of it is no public interface of DVC's. tests/flows/test_dvc_adapter.py holds each part against a real repository, so
that a release of DVC that changes one fails there, by name. DVC is imported inside of the functions: it takes half a
second, and `python -m flows --help` needs none of it.
"""

"""One run over many machines, on Prefect's work pools, with DVC's remote as the only shared store.

    pool_runner     the runner of a run with pools: a stage in the parent or on a worker, its result in dvc.lock
    placement       which pool a stage is for, and which stages stay in the parent
    fleet_graph     the stages of such a run: an output on the remote is as good as one in the workspace
    snapshot        the run's tree as one commit in one file on the remote
    tickets         the file that tells a worker what a stage needs
    values          the value that counts for a key: the first that was merged, pinned on the remote
    submission      child runs on the server: deployments, queues, attempts, cancelling
    poller          one thread that asks the server about all children
    child           the flow of a child run, in a process of the worker; job is what it starts in the run's own tree
    worker          `python -m flows worker`: checks, then Prefect's worker

The parent is the flow of flows/pipeline.py. Nothing here is imported unless pools are named.
"""

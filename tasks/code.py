"""code: the modules of this repository that each stage runs, with their checksums.

    python -m tasks.code

Reads: the source of data, methods, models, tasks and training, without importing it. Writes: outputs/code with
<stage>.json (module -> sha256) for every stage, metrics.json, run.json.

A stage depends on its own file alone, so it is out of date when a module that it imports has changed, and for no other.
"""

from records.prepared import CodeMetrics
from stage_code import SourceTree, code_text
from tasks.runtime.stage import ROOT, Stage, run_stage


def code(stage: Stage) -> None:
    """Write the list of modules of each stage."""
    tree = SourceTree(ROOT)
    found = {name: tree.modules_of(name) for name in tree.stages()}
    for name, modules in found.items():
        (stage.folder / f"{name}.json").write_text(code_text(modules), encoding="utf-8")
    count = len({module for modules in found.values() for module in modules})
    stage.write(CodeMetrics(stages=len(found), modules=count))
    stage.headline = f"{count} modules of {len(found)} stages and commands"


if __name__ == "__main__":
    run_stage("code", code)

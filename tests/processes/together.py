"""The job of each launched process: `together.py FOLDER NAME`, the stages of FOLDER/NAME.json one after the other.

Starting two processes costs more than all these stages. Every stage reads what one process made of the stages before it:
its output is moved to NAME/<label>, and that of one process is put back. Each process notes what it is and did.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from unittest.mock import patch

import torch
import torch.distributed as dist
from plan import Step, output_of, read_plan
from stages import run_stage_here

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
written: list[str] = []
seeds: dict[str, int] = {}


def note(event: str, arguments: tuple) -> None:
    """Every file that this process opens to write to, every folder that it makes."""
    if event == "os.mkdir" or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING):
        written.append(str(arguments[0]))


def run(folder: Path, name: str, step: Step) -> int:
    """One stage on the rows of all processes; what it left is kept, and its inputs' successor restored."""
    ended = run_stage_here(folder, step.stage, *step.options)
    if ended.status or (ended.output and dist.get_rank()):
        print(f"{step.label}: {ended}", file=sys.stderr, flush=True)
        return ended.status or 1
    seeds[step.label] = torch.initial_seed()
    dist.barrier()
    if dist.get_rank() == 0:
        output = output_of(folder, step)
        output.rename(folder / name / step.label)
        shutil.copytree(folder / "one" / step.label, output)
    dist.barrier()
    return 0


def main(folder: Path, name: str) -> int:
    """Run the plan; the exit status of the first stage that failed."""
    sys.addaudithook(note)
    # One group for all stages: a real one leaves it at its end.
    with patch("torch.distributed.destroy_process_group"):
        for step in read_plan(folder, name):
            status = run(folder, name, step)
            if status:
                return status
    rank = dist.get_rank()
    own = [path for path in written if Path(path).is_relative_to(folder) or not Path(path).is_absolute()]
    found = {"world": dist.get_world_size(), "seeds": seeds, "written": own}
    dist.barrier()
    (folder / f"{name}-{rank}.json").write_text(json.dumps(found), encoding="utf-8")
    dist.destroy_process_group()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), sys.argv[2]))

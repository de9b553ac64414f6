"""The quickstart benchmark does what it is for, at params.yaml's own settings: there is something to distil."""

import json
import shutil
from pathlib import Path
from statistics import fmean, stdev

import pytest
from stages import ROOT, run_main_job, write_params

from config import load

SEEDS = (1, 2, 3, 4, 5)
MODELS = ("teacher", "finetune", "mse_kd")


@pytest.mark.slow
def test_over_five_seeds_the_student_loses_to_its_teacher_and_distillation_gives_some_of_it_back(
    tmp_path: Path,
) -> None:
    given = load(ROOT / "params.yaml")
    datasets, methods = list(given.datasets), ["finetune", "mse_kd"]
    write_params(tmp_path, seeds=list(SEEDS), methods=methods, mpdistil={"base": "mse_kd", "datasets": []})
    shutil.copytree(ROOT / given.source.folder, tmp_path / given.source.folder)
    run_main_job(tmp_path, datasets, methods, SEEDS)
    means: dict[str, dict[str, float]] = {}
    for name in datasets:
        scores = _scores(tmp_path, name)
        means[name] = {model: fmean(values) for model, values in scores.items()}
        shown = ", ".join(f"{model} {fmean(scores[model]):.3f} ± {stdev(scores[model]):.3f}" for model in MODELS)
        print(f"{name}: {shown}")
    teacher, finetuned, distilled = (fmean(one[model] for one in means.values()) for model in MODELS)
    print(f"mean over datasets: teacher {teacher:.3f}, finetune {finetuned:.3f}, mse_kd {distilled:.3f}")
    assert all(one["finetune"] < one["teacher"] for one in means.values())
    assert distilled > finetuned


def _scores(folder: Path, name: str) -> dict[str, list[float]]:
    """The headline metric on dev of each model -> one value a seed."""
    spec = json.loads((folder / "outputs/split" / name / "tokens/spec.json").read_text(encoding="utf-8"))
    found: dict[str, list[float]] = {model: [] for model in MODELS}
    for seed in SEEDS:
        for method in ("finetune", "mse_kd"):
            path = folder / "outputs/evaluate" / name / method / str(seed) / "metrics.json"
            scores = json.loads(path.read_text(encoding="utf-8"))
            found[method].append(scores["dev"][spec["metrics"][0]])
        found["teacher"].append(scores["teacher_dev"][spec["metrics"][0]])
    return found

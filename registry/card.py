"""The model card of one student: Markdown with Hugging Face's YAML header, from the stages' files alone."""

from collections.abc import Mapping, Sequence

import yaml

from config.methods import row_of, training_of
from kinds import KINDS, LOWER_IS_BETTER
from records.registered import Check
from registry.evidence import EvaluatedStudent
from registry.lineage import Checkout
from reporting.chosen import how_chosen
from reporting.effort import effort_of
from reporting.statistics import Interval
from reporting.tables import Table, markdown_table
from reporting.verdict.check_result import Verdict, names_of
from reporting.wording import label_text, number_text


def render_card(
    student: EvaluatedStudent,
    checkout: Checkout,
    versions: Mapping[str, str],
    margin: Interval,
    checks: tuple[Check, ...],
) -> str:
    """The whole card. `margin` is the primary metric on dev, student minus teacher; `checks` are the gate's tests."""
    parts = [
        f"---\n{yaml.safe_dump(_header(student), sort_keys=False, allow_unicode=True)}---",
        f"# {student.name}, seed {student.seed}",
        _what(student),
        "## May it be shipped?\n\n" + _may_ship(student, checks),
        "## Scores\n\n" + _scores(student, margin),
        "## Rows\n\n" + _rows(student),
        "## How it was selected\n\n" + _selection(student),
        "## Size and speed\n\n" + _size(student),
        "## Limits\n\n" + _limits(student),
        "## How to load it\n\n" + _loading(student),
        "## Where it comes from\n\n" + _origin(student, checkout, versions),
    ]
    return "\n\n".join(parts) + "\n"


def _header(student: EvaluatedStudent) -> dict[str, object]:
    """Build the header that the Hugging Face Hub reads."""
    hub = student.spec.hub if student.spec.hub and not student.spec.hub.path.startswith(("/", ".")) else None
    scored = [
        {"type": name, "value": round(student.score("dev", name), 4), "name": f"{name} on dev"}
        for name in student.spec.metrics
    ]
    dataset = {"name": f"{student.benchmark} {student.dataset}", "type": hub.path if hub else student.dataset}
    task = {"type": "text-classification"}
    index = {"name": student.name, "results": [{"task": task, "dataset": dataset, "metrics": scored}]}
    return {
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["distillation", "distilflow", student.method],
        **({"datasets": [hub.path]} if hub else {}),
        "metrics": list(student.spec.metrics),
        "model-index": [index],
    }


def _what(student: EvaluatedStudent) -> str:
    made = training_of(student.method)
    teacher = student.metrics.parameters.teacher
    return (
        f"A small model that {KINDS[student.spec.kind].purpose}: the dataset {student.dataset} of the benchmark "
        f"{student.benchmark}.{_answers(student)} It was {made}. Its teacher has {teacher:,} parameters, it has "
        f"{student.parameters:,}."
    )


def _may_ship(student: EvaluatedStudent, checks: tuple[Check, ...]) -> str:
    """The gate's tests of the student itself, one per line."""
    verdict = Verdict(checks)
    note = label_text(student.selected_on)
    if verdict.passed:
        opening = f"Yes, by the tests of its dev rows at registration{note}"
    else:
        opening = f"**No**, by the tests of its dev rows at registration{note}: {names_of(verdict.failed)} failed"
    rows = [["**failed**" if check.passed is False else check.state, check.text] for check in checks]
    table = _table(["test", "figure and threshold"], rows, names=2)
    return (
        f"{opening}. The thresholds are those of `registry` in `params.yaml` then. Whether it is `champion` depends on the "
        f"champion before it, too: the tag `gate` of the version says so, and `champion.by_hand` if a person chose it.\n\n{table}"
    )


def _answers(student: EvaluatedStudent) -> str:
    if student.spec.label_range:
        low, high = student.spec.label_range
        return f" Its answers lie on a scale from {low:g} to {high:g}."
    names = ", ".join(f"`{name}`" for name in student.spec.label_names)
    return f" Its answers: {names}." if names else ""


def _scores(student: EvaluatedStudent, margin: Interval) -> str:
    rows = []
    for name in (*student.spec.dev_sets, "selection"):
        for metric in student.spec.metrics:
            own, teacher = student.score(name, metric), student.score(f"teacher_{name}", metric)
            cells = (
                number_text(own, metric),
                number_text(teacher, metric),
                number_text(own - teacher, metric, signed=True),
            )
            rows.append([f"{name}, {_count(student, name):,} rows", metric, *cells])
    interval = (
        f"Points of 100{', but for ' + student.headline if student.headline in LOWER_IS_BETTER else ''}. The difference "
        f"in {student.headline} on dev is {number_text(margin.difference, student.headline, signed=True)}, "
        f"{_ends(margin, student.headline)}. One seed, no spread: another seed's student may differ by more."
    )
    header = [f"on{label_text(student.selected_on)}", "metric", "student", "teacher", "difference"]
    return f"{_table(header, rows, names=2)}\n\n{interval}"


def _ends(margin: Interval, metric: str) -> str:
    """The interval of the difference, in words."""
    if margin.low is None or margin.high is None:
        return f"without an interval: {margin.rows} rows are too few"
    low, high = (number_text(end, metric, signed=True) for end in (margin.low, margin.high))
    return f"with a {100 * margin.level:g} % interval over rows ({margin.method}) of [{low}, {high}]"


def _rows(student: EvaluatedStudent) -> str:
    manifest = student.manifest
    uses = {
        "train": "teacher and student learn from it",
        "quiz": "meta-teacher and curriculum learn from it",
        "selection": "chooses epochs and episodes",
    }
    splits = [*uses, *student.spec.dev_sets]
    lines = ["| split | rows | what for |", "|---|---:|---|"]
    dev = "reported on; the gate of `champion` reads it"
    lines += [f"| {name} | {_count(student, name):,} | {uses.get(name, dev)} |" for name in splits]
    held_out = " Dev was held out of the train rows, as the dataset has none." if manifest.dev_held_out else ""
    return "\n".join(lines) + (
        f"\n\nTrain rows dropped because dev holds the same input: {manifest.dropped_equal_to_dev}. Inputs "
        f"that occur more than once in train, quiz and selection: {manifest.duplicate_inputs} repetitions, all "
        f"kept in one split; {manifest.inputs_with_two_labels} inputs carry two labels.{held_out} "
        f"{_cut(student)}\n\n{_taken(student)}"
    )


def _taken(student: EvaluatedStudent) -> str:
    """Describe the rows and updates of the training; other methods may have had more or fewer."""
    effort = effort_of(student.dataset, student.method, student.seed)
    if effort is None or effort.train_rows is None:
        return "What the student was trained on is not recorded."
    rows = [f"{effort.train_rows:,.0f} labelled rows of {student.dataset}"]
    if effort.other_rows:
        rows.append(f"{effort.other_rows:,.0f} of other datasets")
    only = f" {effort.feedback_rows:,.0f} more taught its teacher alone." if effort.feedback_rows else ""
    updates = (
        ""
        if effort.student_updates is None or effort.kept_updates is None
        else f" in {effort.student_updates:,.0f} updates; its weights are those after {effort.kept_updates:,.0f} of them"
    )
    return f"The student was trained on {' and '.join(rows)}{updates}.{only}"


def _cut(student: EvaluatedStudent) -> str:
    """Describe the truncated rows."""
    cut = ", ".join(f"{count} of {name}" for name, count in student.manifest.truncated.items() if count)
    return f"Inputs are cut at {student.manifest.max_length} tokens: {cut or 'no row was longer'}."


def _selection(student: EvaluatedStudent) -> str:
    if student.selected_on == "dev":
        chosen = (
            "**Selected on dev**, the papers' protocol: epochs and episodes were chosen on the very rows that the scores "
            "are of, which makes them optimistic."
        )
    else:
        how = how_chosen(student.dataset, student.method, student.seed)
        chosen = f"Epochs and episodes were chosen by {how.by} on selection; dev rows chose none of them."
        if how.points > 1:
            chosen += f" Learning rate and weight are the best of {how.points} tried, on selection too."
        if how.epochs is not None and how.asked is not None and how.epochs < how.asked:
            chosen += f" Training ended after {how.epochs} of {how.asked} epochs, without a better one on selection."
    return (
        f"{chosen} The alias `candidate` names the best seed on selection, by the same. The alias `champion` moves by a gate that "
        "reads **dev** rows: those tests above, and a comparison of task losses with the champion before. The champion of many "
        "versions was thus chosen on dev many times: its dev scores, and the interval above, which knows nothing of that "
        "choice, are **optimistic**, and on rows that no gate has read it is likely to be worse."
    )


def _size(student: EvaluatedStudent) -> str:
    found, latency = student.metrics, student.metrics.latency_ms
    pairs = {
        "parameters": [f"{count:,}" for count in found.parameters.by_name.values()],
        "weights, MB": [f"{size / 1e6:.1f}" for size in found.size_bytes.by_name.values()],
        "latency p50, ms": [f"{times.p50:.2f}" for times in latency.by_name.values()],
        "latency p95, ms": [f"{times.p95:.2f}" for times in latency.by_name.values()],
    }
    return _table(["", "student", "teacher"], [[name, *cells] for name, cells in pairs.items()], names=1) + (
        f"\n\nLatency is of a forward pass on CPU: {latency.threads} thread(s), a batch of {latency.batch}, "
        f"{latency.length} tokens, {latency.repeats} repeats, both models in turns. Tokenising is not in it."
    )


def _limits(student: EvaluatedStudent) -> str:
    limits = [
        f"Tested on {_count(student, 'dev'):,} dev rows of {student.dataset} and on nothing else: not on other domains or "
        "languages than those rows', not on adversarial or deliberately misleading input, not for bias between groups of "
        "people.",
        "Its probabilities were not calibrated.",
        f"Texts longer than {student.manifest.max_length} tokens are cut.",
        "One seed of training and one split of the rows: the interval above holds the chance of the dev rows alone.",
    ]
    if row_of(student.method).teacher != "none":
        limits.append("It repeats its teacher's mistakes; where the teacher knows little, so does the student.")
    noise = (student.spec.generate or {}).get("label_noise")
    if student.spec.generate is not None:
        limits.append(
            "The rows are made by a program, about a small world of its own: the model is of no use outside of it."
        )
    if isinstance(noise, int | float) and noise:
        what, share = "have noise added", f"a standard deviation of {100 * noise:g} % of the range"
        if KINDS[student.spec.kind].has_classes:
            what, share = "are replaced by another", f"a share of {100 * noise:g} %"
        limits.append(
            f"Label noise, on purpose: labels of train, quiz and selection {what}"
            f" ({share}); dev has none. So scores on selection tend to be lower than on dev."
        )
    else:
        limits.append(
            "How many labels are wrong is not known"
            + ("" if noise is None else "; none was made wrong on purpose")
            + "."
        )
    return "\n".join(f"- {limit}" for limit in limits)


def _loading(student: EvaluatedStudent) -> str:
    columns = dict.fromkeys(student.spec.columns, "...")
    return f"""With MLFLOW_TRACKING_URI set to the registry's address; `@champion` may be `@candidate` or `/VERSION`.

Raw columns in; label, score and probabilities out (needs mlflow, torch, transformers, pandas):

```python
import mlflow, pandas
model = mlflow.pyfunc.load_model("models:/{student.name}@champion")
model.predict(pandas.DataFrame([{columns}]))
```

The stock Hugging Face folder inside (rows must be rendered to text as the scorer does it):

```python
import mlflow
from transformers import AutoModelForSequenceClassification, AutoTokenizer
folder = mlflow.artifacts.download_artifacts("models:/{student.name}@champion") + "/artifacts/student"
model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
```

Over REST:

```
mlflow models serve -m models:/{student.name}@champion --env-manager local --port 5001
```"""


def _origin(student: EvaluatedStudent, checkout: Checkout, versions: Mapping[str, str]) -> str:
    dirty = {"true": ", with changes that were not committed", "unknown": " (whether changed is not known)"}
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"Registered at commit `{checkout.commit}`{dirty.get(checkout.dirty, '')}; seed {student.seed}. Weights: "
        f"`{student.student_hash[:12]}`. Trained with {packages or 'versions that were not recorded'}. Parameters, "
        "`params.yaml`, `dvc.lock`, curves and the predictions are with the run behind this version."
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], *, names: int) -> str:
    return markdown_table(Table(header, rows, names)).rstrip("\n")


def _count(student: EvaluatedStudent, split: str) -> int:
    """Rows of a split, by the manifest."""
    if split == "selection" and student.selected_on == "dev":
        split = student.spec.dev_sets[0]
    return student.manifest.splits[split].rows

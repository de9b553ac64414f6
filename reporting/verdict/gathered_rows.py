"""A student's dev rows as the gate's tests take them, from what was gathered."""

from errors import UserError
from reporting.gather import DatasetOutputs
from reporting.verdict.dev_rows import BASELINE, IS_FINETUNE, NOT_A_METHOD, NOT_EVALUATED, DevRows

NO_CONSTANT = "evaluate's metrics.json of {} has no number at 'constant'; run `dvc repro`"


def evidence_of(one: DatasetOutputs, method: str, seed: int) -> DevRows:
    """One student's, with the fine-tuned student of the same seed beside it. Raises UserError for old records."""
    rows, measured = one.dev(method, seed), one.evaluations[method, seed].metrics
    if measured.constant is None:
        raise UserError(NO_CONSTANT.format(f"{one.name} {method} {seed}"))
    finetune, why = None, IS_FINETUNE if method == BASELINE else NOT_A_METHOD
    if method != BASELINE and any(name == BASELINE for name, _ in one.evaluations):
        why = NOT_EVALUATED
        if (BASELINE, seed) in one.evaluations:
            other = one.dev(BASELINE, seed)
            finetune = other.student if other.row_ids == rows.row_ids else None
    return DevRows(
        metric=one.headline,
        kind=one.kind,
        labels=rows.labels,
        student=rows.student,
        teacher=rows.teacher,
        constant=measured.constant,
        finetune=finetune,
        selected_on=measured.selected_on,
        parameters=measured.parameters.student,
        latency_ms=measured.latency_ms.student.p50,
        no_finetune=why,
    )

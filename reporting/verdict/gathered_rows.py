"""A student's evidence for the gate's tests, from gathered outputs."""

from errors import UserError
from reporting.gather import DatasetOutputs
from reporting.verdict.dev_rows import BASELINE, IS_FINETUNE, NOT_A_METHOD, NOT_EVALUATED, DevRows, evidence

NO_CONSTANT = "evaluate's metrics.json of {} has no number at 'constant'; run `dvc repro`"


def evidence_of(one: DatasetOutputs, method: str, seed: int) -> DevRows:
    """Evidence for one student, with the fine-tuned student of its seed. Raises UserError for old records."""
    own = one.evaluations[method, seed]
    if own.metrics.constant is None:
        raise UserError(NO_CONSTANT.format(f"{one.name} {method} {seed}"))
    one.dev(method, seed)  # refused without dev rows
    finetune, why = None, IS_FINETUNE if method == BASELINE else NOT_A_METHOD
    if method != BASELINE and any(name == BASELINE for name, _ in one.evaluations):
        finetune, why = one.dev(BASELINE, seed) if (BASELINE, seed) in one.evaluations else None, NOT_EVALUATED
    return evidence(own, one.headline, one.kind, finetune, why)

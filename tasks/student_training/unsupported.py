"""Which methods have no meaning for which datasets, and why: said before anything trains, and in the comparison."""

from kinds import KINDS, Kind


def refusal(method: str, dataset: str, kind: Kind, classes: int) -> str | None:
    """Why a method can't be trained on a dataset; None if it can."""
    name = method.removesuffix("_meta")
    if name in ("dist", "skd") and not KINDS[kind].has_classes:
        return f"{method}: {dataset} is a regression, which has no classes to relate; use kd or mse_kd"
    if name == "skd" and classes < 3:
        return (
            f"skd: {dataset} has {classes} classes; with fewer than 3 a centred unit vector of logits has no gradient. "
            "Use kd or dist"
        )
    return None

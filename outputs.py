"""Where each stage's output lies: outputs/<stage>/<dataset>[/<method>][/<seed>]."""

from pathlib import Path

OUTPUTS = Path("outputs")


def output_folder(
    stage: str, *, dataset: str | None = None, method: str | None = None, seed: int | None = None
) -> Path:
    """The folder of one stage for one combination of what its matrix runs over.

    Students of other stages than `student` lie where its students lie, so that everything after them has one shape.
    """
    if stage == "curriculum":
        stage, method = "student", "mpdistil"
    elif stage == "assisted":
        stage = "student"
    elif stage == "meta_taught":
        stage, method = "student", f"{method}_meta"
    elif stage == "multi_task":
        stage, method = "student", f"{method}_multi"
    parts = [part for part in (dataset, method, None if seed is None else str(seed)) if part is not None]
    return OUTPUTS.joinpath(stage, *parts)


def tokens_folder(dataset: str) -> Path:
    """Tokenised splits, their description, manifest and tokenizer."""
    return output_folder("split", dataset=dataset) / "tokens"


def teacher_model(dataset: str, seed: int) -> Path:
    """The teacher as a stock Hugging Face folder."""
    return output_folder("teacher", dataset=dataset, seed=seed) / "model"


def trajectory_folder(dataset: str, seed: int) -> Path:
    """The teacher's train logits after each of its epochs, where `teacher.trajectory` asks for them."""
    return output_folder("teacher", dataset=dataset, seed=seed) / "trajectory"


def signals_folder(dataset: str, seed: int) -> Path:
    """Stored teacher outputs."""
    return output_folder("signals", dataset=dataset, seed=seed) / "signals"


def assistant_signals(dataset: str, method: str, seed: int) -> Path:
    """Stored outputs of the network that teaches takd's or sftn's student."""
    return output_folder("assistant", dataset=dataset, method=method, seed=seed) / "signals"


def student_model(dataset: str, method: str, seed: int) -> Path:
    """A method's student as a stock Hugging Face folder."""
    return output_folder("student", dataset=dataset, method=method, seed=seed) / "model"


def student_seen(dataset: str, method: str, seed: int) -> Path:
    """What a method's student says about the selection rows, so that nobody has to run it on them again."""
    return output_folder("student", dataset=dataset, method=method, seed=seed) / "seen"


def meta_teacher_folder(dataset: str, seed: int) -> Path:
    """The meta-teacher's head and what it says about the quiz rows."""
    return output_folder("meta_teacher", dataset=dataset, seed=seed) / "head"

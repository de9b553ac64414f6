"""Settings of the curriculum that contradict each other; no torch."""


def disagreement(update: str | None, reward: str | None) -> str | None:
    """Return the reason why a reward is incompatible with an update; None if it is not."""
    if update == "episode" and reward in ("gain", "alignment"):
        return (
            f"reward {reward} is what one step adds, but with curriculum.update: episode the student does "
            "not move at a step; use update: step, or reward binary or real"
        )
    return None

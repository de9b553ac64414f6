"""Settings of the curriculum that contradict each other; no torch."""


def disagreement(update: str | None, reward: str | None, gain_steps: int = 1, target_steps: int = 0) -> str | None:
    """Return the reason why these settings can't be had together; None if they can."""
    if update == "episode" and reward in ("gain", "alignment"):
        return (
            f"reward {reward} is what one step adds, but with curriculum.update: episode the student does "
            "not move at a step; use update: step, or reward binary or real"
        )
    if gain_steps > 1 and reward != "gain":
        return (
            f"curriculum.gain_steps: {gain_steps} takes a gain over several steps, but the reward is {reward}; use reward "
            "gain, or gain_steps: 1"
        )
    if update == "episode" and target_steps > 0:
        return (
            f"curriculum.target_steps: {target_steps} come after each action, but with curriculum.update: episode the student "
            "does not move at a step; use update: step, or target_steps: 0"
        )
    return None

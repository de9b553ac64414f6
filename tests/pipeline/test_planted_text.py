"""The planted problem on text (tests/planted_text.py): the policy finds the friend, and the student is better for it."""

import pytest

from tests.planted_text import DECOYS, NAMES, SAMPLERS, SEEDS, Arm, come_in, play

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def incoming_and_arms(tmp_path_factory: pytest.TempPathFactory) -> tuple[float, dict[str, Arm]]:
    folder = tmp_path_factory.mktemp("planted")
    incoming = come_in(folder, SEEDS)
    arms = {name: play(folder, name) for name in SAMPLERS}
    for name, arm in arms.items():
        shares = ", ".join(f"{dataset} {share:.2f}" for dataset, share in arm.shares.items())
        print(f"\n{name}: {arm.accuracy:.3f} on dev, {incoming:.3f} before it; {shares}", end="")
    return incoming, arms


@pytest.mark.parametrize("reward", ["gain", "alignment"])
def test_the_policy_chooses_the_friend_and_leaves_the_decoys(
    incoming_and_arms: tuple[float, dict[str, Arm]], reward: str
) -> None:
    shares = incoming_and_arms[1][reward].shares
    assert shares["friend"] > 2 / len(NAMES)
    assert max(shares[name] for name in DECOYS) < 0.5 / len(NAMES)


def test_the_student_is_better_for_it_than_it_was_and_than_by_an_even_draw(
    incoming_and_arms: tuple[float, dict[str, Arm]],
) -> None:
    incoming, arms = incoming_and_arms
    assert min(arms[reward].accuracy for reward in ("gain", "alignment")) > incoming + 0.2
    assert arms["gain"].accuracy > arms["uniform"].accuracy
    # Measured: 0.887 against 0.884, which is no difference over five seeds.
    assert arms["alignment"].accuracy > arms["uniform"].accuracy - 0.02

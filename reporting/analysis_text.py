"""The analysis in tables and sentences, for the page."""

from reporting import wording
from reporting.analysis import Analysis
from reporting.method_records import Records
from reporting.propositions import FirstProposition
from reporting.ranking import p_text
from reporting.significance import Correlation
from reporting.tables import Table


def correlation_text(analysis: Analysis) -> str:
    """Describe the correlation of meta-teacher and student gains, and its uncertainty."""
    points = len(analysis.improvements)
    if not points:
        return ""
    datasets = len({one.dataset for one in analysis.improvements})
    text = (
        f"{points} point{'s' * (points > 1)}, one a dataset and seed ({datasets} dataset{'s' * (datasets > 1)}). "
        f"Improvement of the meta-teacher over the teacher, and of MPDistil's student over the fine-tuned one: "
        f"{_correlation(analysis.improvement_correlation)}. "
        f"Scores of meta-teacher and student themselves: {_correlation(analysis.score_correlation)}."
    )
    return (
        f"{text} Seeds of one dataset share its rows and its split, so p is too small." if points > datasets else text
    )


def reward_table(analysis: Analysis, records: list[Records]) -> Table:
    """Mean reward of a step, and the kind of reward."""
    kinds = {r.name: ", ".join(sorted({one.reward for one in r.curricula.values()})) for r in records}
    rows = [
        [name, kinds[name], f"{value:+.3g}".replace("-", wording.MINUS)]
        for name, value in analysis.mean_rewards.items()
    ]
    return Table(["dataset", "reward", "mean over steps and seeds"], rows, names=2)


def share_table(analysis: Analysis) -> Table:
    """MetaDistil's shares in percent."""
    rows = []
    for one in analysis.shares:
        parts = (one.whole, one.first_half, one.second_half)
        rows.append([one.dataset, one.what, *(wording.score_text(part, "accuracy") for part in parts)])
    return Table(["dataset", "share of", "all epochs, %", "first half, %", "second half, %"], rows, names=2)


def entropy_table(analysis: Analysis) -> Table:
    """Entropy gap on dev by method and dataset."""
    datasets = list(dict.fromkeys(one.dataset for one in analysis.entropy_gaps))
    gaps = {(one.method, one.dataset): one.gap for one in analysis.entropy_gaps}
    rows = []
    for method in dict.fromkeys(method for method, _ in gaps):
        cells = [wording.score_text(gaps.get((method, name)), "loss") for name in datasets]
        rows.append([method, *(cell.replace("-", wording.MINUS) for cell in cells)])
    return Table(["method", *datasets], rows)


def temperature_table(analysis: Analysis, metrics: dict[str, str]) -> Table:
    """Pro-KD's margins to the teacher with and without the temperature."""
    rows = [
        [
            one.dataset,
            *(
                wording.number_text(side.mean, metrics[one.dataset], signed=True)
                for side in (one.with_it, one.without_it)
            ),
        ]
        for one in analysis.temperatures
    ]
    return Table(["dataset", "with the temperature", "without"], rows)


def first_proposition_table(analysis: Analysis) -> Table:
    """MPDistil's Proposition 1, a line per dataset and seed: whether premise and conclusion hold."""
    header = ["dataset", "seed", "quiz rows", "mean L col", "mean L com", "mean log p, S \N{MINUS SIGN} T", "mean p, S", "mean p, T", "reading"]  # fmt: skip
    rows = []
    for one in analysis.first_propositions:
        difference = f"{one.student_log - one.teacher_log:+.3f}".replace("-", wording.MINUS)
        losses = [f"{value:.3f}".replace("-", wording.MINUS) for value in (one.collaborative, one.competitive)]
        means = [f"{value:.3f}" for value in (one.student, one.teacher)]
        rows.append([one.dataset, str(one.seed), str(one.rows), *losses, difference, *means, _reading(one)])
    return Table(header, rows, names=2)


def _reading(one: FirstProposition) -> str:
    if not one.premise:
        return "says nothing: L col is not the lower"
    return "as it promises" if one.conclusion else "contradicts it"


def second_proposition_table(analysis: Analysis) -> Table:
    """MPDistil's Proposition 2, a line per dataset."""
    rows = []
    for one in analysis.second_propositions:
        means = [f"{value:+.3f}".replace("-", wording.MINUS) for value in (one.binary, one.real)]
        rows.append([one.dataset, str(one.steps), *means, str(one.binary_lower)])
    return Table(["dataset", "steps", "mean binary reward", "mean real reward", "steps against it"], rows)


def _correlation(found: Correlation | None) -> str:
    if found is None:
        return "no correlation can be taken (fewer than 3 points, or one side does not vary)"
    return f"Pearson's r {found.r:+.2f}, p {p_text(found.p)} (by permutations)".replace("+-", "-").replace(
        "r -", f"r {wording.MINUS}"
    )

"""The tables of the evidence: scores, margins, all metrics, rows of the splits, costs."""

from kinds import LOWER_IS_BETTER
from reporting import shipping_text, wording
from reporting.summarise import DatasetSummary, Summary
from reporting.tables import Table


def main_table(summary: Summary) -> Table:
    """Dataset, scores of every column, margin, parameters, latency; the mean over datasets last."""
    shown = wording.shown_columns(summary).values()
    header = ["dataset", *shown, f"margin [{100 * summary.level:g} %]", "parameters", "latency, ms"]
    rows = [_main_row(summary, one) for one in summary.datasets]
    averaged = len(rows) > 1 and bool(summary.average_scores)
    if averaged:
        *scores, margin = wording.mean_cells(summary)
        name = shipping_text.mean_of(summary).replace(" over ", "\nover ")
        rows.append([name, *scores, margin.replace(" [", "\n["), "", ""])
    return Table(header, rows, strong=averaged)


def _main_row(summary: Summary, one: DatasetSummary) -> list[str]:
    *scores, margin = wording.score_cells(summary, one.scores, one.margins[summary.main_method], one.headline)
    models = [one.models["teacher"], one.models[summary.main_method]]
    arrow = f" {wording.ARROW} "
    sizes = arrow.join(wording.count_text(model.parameters) for model in models)
    p50 = arrow.join(wording.milliseconds_text(model.p50_ms) for model in models)
    p95 = arrow.join(wording.milliseconds_text(model.p95_ms) for model in models)
    return [f"{one.name}\n{one.headline}", *scores, margin.replace(" [", "\n["), sizes, f"p50 {p50}\np95 {p95}"]


def margin_table(summary: Summary) -> Table:
    """Every student's margin: interval over rows, spread over seeds, difference in rows, interpretation."""
    behind_it = "rows behind it" if len(summary.seeds) == 1 else "rows behind it, mean over seeds"
    header = ["dataset", "student", f"margin [{100 * summary.level:g} %]", "sd over seeds", behind_it, "reading"]
    rows: list[list[str]] = []
    for one in summary.datasets:
        for method in summary.methods:
            margin = one.margins[method]
            sd = margin.over_seeds.sd
            spread = "one seed" if sd is None else wording.number_text(sd, one.headline)
            reading = "less is better" if one.headline in LOWER_IS_BETTER else wording.verdict_text(margin)
            text, behind = (
                wording.difference_text(margin.interval, one.headline),
                wording.rows_text(margin, one.headline),
            )
            rows.append([one.name, summary.columns[method], text, spread, behind, reading])
    return Table(header, rows, names=2)


def metric_tables(summary: Summary) -> list[tuple[str, Table]]:
    """Every metric on every set of rows: a table per dataset, a line per model, so that many methods fit a page."""
    tables = []
    for one in summary.datasets:
        columns = [(of_set, metric) for of_set, metrics in one.all_scores.items() for metric in metrics]
        rows = [
            [
                label,
                *(wording.score_text(one.all_scores[of_set][metric].get(column), metric) for of_set, metric in columns),
            ]
            for column, label in summary.columns.items()
        ]
        tables.append((one.name, Table(["", *(f"{of_set}\n{metric}" for of_set, metric in columns)], rows)))
    return tables


def cost_table(summary: Summary) -> Table:
    """Wall time of each stage, mean over seeds; CPU time and the highest memory beside it."""
    rows: list[list[str]] = []
    for stage in dict.fromkeys(stage for one in summary.datasets for stage in one.costs):
        costs = [one.costs[stage] for one in summary.datasets if stage in one.costs]
        times = [
            wording.duration_text(one.costs[stage].duration_s) if stage in one.costs else "" for one in summary.datasets
        ]
        cpu = wording.duration_text(sum(cost.cpu_s for cost in costs))
        memory = max(cost.peak_memory_mb for cost in costs)
        rows.append([stage.replace("_", "-") if stage == "meta_teacher" else stage, *times, cpu, f"{memory:.0f} MB"])
    header = ["stage", *(one.name for one in summary.datasets), "CPU time, all datasets", "peak memory"]
    return Table(header, rows)


def rows_table(summary: Summary) -> Table:
    """Rows of each split, dropped rows, and rows per point."""
    splits = list(dict.fromkeys(split for one in summary.datasets for split in one.rows))
    rows = [
        [
            one.name,
            one.kind,
            *(f"{one.rows[split]:.0f}" if split in one.rows else "" for split in splits),
            "held out" if one.dev_held_out else "its own",
            f"{one.dropped:.0f}",
            f"{one.dev_rows / 100:.2g}" if one.headline == "accuracy" else f"\N{EN DASH} ({one.headline})",
            "" if one.majority is None else wording.number_text(one.majority, "accuracy"),
        ]
        for one in summary.datasets
    ]
    header = ["dataset", "kind", *splits, "dev rows are", "dropped, equal to dev", "dev rows in one point"]
    return Table([*header, "majority class, accuracy"], rows, names=2)


def dev_text(summary: Summary) -> str:
    """Describe the origin of dev, the benchmark's own or held out of train, by dataset if they differ."""
    held_out = [one.name for one in summary.datasets if one.dev_held_out]
    own = [one.name for one in summary.datasets if not one.dev_held_out]
    if not held_out:
        return "Dev is the benchmark's own validation set"
    if not own:
        return "Dev was held out of the train rows, as there is no validation set"
    return (
        f"Dev is the benchmark's own validation set of {', '.join(own)}; of {', '.join(held_out)} it was held out of the "
        "train rows, as there is none"
    )


def versions(summary: Summary) -> str:
    """Device, threads and package versions of the stages, by their records."""
    costs = [cost for one in summary.datasets for cost in one.costs.values()]
    devices = ", ".join(sorted({f"{c.device} ({c.threads} thread{'s' * (c.threads != 1)})" for c in costs}))
    packages = sorted({f"{name} {version}" for c in costs for name, version in c.versions.items()})
    return f"{devices}; {', '.join(packages)}"

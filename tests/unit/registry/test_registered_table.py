"""Output of `make demo` about the registry."""

from registry.table import registered_table

CHECKS = [
    {"name": "limits", "passed": None, "text": "limits (none is set)"},
    {"name": "enough rows", "passed": True, "text": "enough rows: 500 dev rows, at least registry.minimum_rows 100"},
    {"name": "margin to its teacher", "passed": False, "text": "margin to its teacher: accuracy -12.0 points"},
]


def student(name: str, version: int | None, aliases: list[str], gate: str | None = None) -> dict[str, object]:
    return {"name": name, "version": version, "seed": 7, "aliases": aliases, "gate": gate, "checks": CHECKS}


def result(*students: dict[str, object], **more: object) -> dict[str, object]:
    return {"address": "http://registry", "reachable": True, "students": list(students), **more}


def test_candidates_and_champions_are_listed_test_by_test_and_a_champion_of_mpdistil_is_the_one_to_pull() -> None:
    text = registered_table(
        result(
            student("b-x-mse_kd", 3, ["candidate", "champion"], "version 3 becomes champion; passed: ..."),
            student("b-x-mpdistil", 1, ["champion"], "version 1 becomes champion; passed: ..."),
            student(
                "b-x-mpdistil", 2, ["candidate"], "version 1 stays champion, version 2 does not become it; failed: x"
            ),
            student("b-x-mpdistil", 3, []),
        )
    )
    assert "  b-x-mse_kd  version 3  candidate, champion\n    passed     enough rows: 500 dev rows" in text
    assert "version 3 becomes" not in text
    assert (
        "  b-x-mpdistil  version 2  candidate\n    version 1 stays champion, version 2 does not become it\n"
        "    passed     enough rows: 500 dev rows, at least registry.minimum_rows 100\n"
        "    failed     margin to its teacher: accuracy -12.0 points\n    not asked  limits (none is set)\n"
    ) in text
    assert text.count("b-x-mpdistil  version") == 2
    assert text.endswith("python -m flows pull b-x-mpdistil@champion --to outputs/pulled/b-x-mpdistil\n")


def test_a_champion_that_would_not_pass_stands_first_with_the_way_out() -> None:
    unfit = {"name": "b-x-kd", "version": 1, "failed": ["student above the majority: accuracy 0.0 points"]}
    lines = registered_table(result(student("b-x-kd", 1, ["champion"]), unfit_champions=[unfit])).splitlines()
    assert lines[1] == "!! b-x-kd: version 1 is champion and would NOT pass the gate"
    assert lines[2] == "   failed     student above the majority: accuracy 0.0 points"
    assert lines[3].endswith('python -m flows promote b-x-kd --none --reason "..."')


def test_a_registry_that_does_not_answer_is_said_and_offers_nothing_to_pull() -> None:
    text = registered_table(result(student("b-x-kd", None, [])) | {"address": "http://gone", "reachable": False})
    assert text == "Registered in http://gone (does not answer)\n"


def test_what_an_earlier_release_wrote_is_read() -> None:
    old: dict[str, object] = {
        "name": "b-x-kd",
        "version": 1,
        "seed": 7,
        "aliases": ["champion"],
        "gate": "version 1 is the first champion",
    }
    assert "  b-x-kd  version 1  champion\n" in registered_table(result(old))

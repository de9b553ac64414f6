"""Output of `make demo` about the registry."""

from records.registered import Check, RegisteredStudent, RegistrationRecord, UnfitChampion
from registry.table import registered_table

CHECKS = (
    Check("limits", None, "", "", "limits (none is set)"),
    Check("enough rows", True, "", "", "enough rows: 500 dev rows, at least registry.minimum_rows 100"),
    Check("margin to its teacher", False, "", "", "margin to its teacher: accuracy -12.0 points"),
)


def student(name: str, version: int | None, aliases: list[str], gate: str | None = None) -> RegisteredStudent:
    own = {"dataset": "x", "method": name.rpartition("-")[2], "seed": 7, "name": name, "version": version, "new": False}
    rest = {"aliases": tuple(aliases), "gate": gate, "checks": CHECKS, "run_id": None, "url": None}
    return RegisteredStudent.model_validate(own | rest)


def result(
    *students: RegisteredStudent, address: str = "http://registry", unfit: tuple[UnfitChampion, ...] = ()
) -> RegistrationRecord:
    return RegistrationRecord(
        address=address,
        reachable=address == "http://registry",
        students=students,
        unfit_champions=unfit,
        trial=None,
        new=0,
        state=None,
    )


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


def test_the_method_decides_the_one_to_pull_and_not_the_name_of_its_model() -> None:
    other = student("b-x-kd", 3, ["champion"])
    ours = student("b-y-z", 1, ["champion"]).model_copy(update={"method": "mpdistil"})
    named_like_it = student("b-mpdistil", 2, ["champion"]).model_copy(update={"method": "kd"})
    for students in ((other, ours), (named_like_it, ours)):
        assert registered_table(result(*students)).endswith(
            "python -m flows pull b-y-z@champion --to outputs/pulled/b-y-z\n"
        )


def test_a_champion_that_would_not_pass_stands_first_with_the_way_out() -> None:
    failed = ("student above the majority: accuracy 0.0 points",)
    unfit = UnfitChampion(name="b-x-kd", version=1, failed=failed)
    lines = registered_table(result(student("b-x-kd", 1, ["champion"]), unfit=(unfit,))).splitlines()
    assert lines[1] == "!! b-x-kd: version 1 is champion and would NOT pass the gate"
    assert lines[2] == "   failed     student above the majority: accuracy 0.0 points"
    assert lines[3].endswith('python -m flows promote b-x-kd --none --reason "..."')


def test_a_registry_that_does_not_answer_is_said_and_offers_nothing_to_pull() -> None:
    text = registered_table(result(student("b-x-kd", None, []), address="http://gone"))
    assert text == "Registered in http://gone (does not answer)\n"

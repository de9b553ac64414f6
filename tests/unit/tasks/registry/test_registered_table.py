"""What `make demo` prints of the registry."""

from tasks.register import registered_table


def student(name: str, version: int | None, aliases: list[str], gate: str | None = None) -> dict[str, object]:
    return {"name": name, "version": version, "aliases": aliases, "gate": gate}


def test_candidates_and_champions_are_listed_and_a_champion_of_mpdistil_is_the_one_to_pull() -> None:
    students = [
        student("b-x-mse_kd", 3, ["candidate", "champion"], "version 3 is the first champion"),
        student("b-x-mpdistil", 1, ["champion"], "version 1 is the first champion"),
        student("b-x-mpdistil", 2, ["candidate"], "version 1 stays champion: version 2 is worse"),
        student("b-x-mpdistil", 3, []),
    ]
    text = registered_table({"address": "http://registry", "reachable": True, "students": students})
    assert "b-x-mse_kd    version 3  candidate, champion" in text and "version 3 is the first" not in text
    assert "version 2  candidate\n                version 1 stays champion: version 2 is worse" in text
    assert text.count("b-x-mpdistil  version") == 2
    assert text.endswith("python -m flows pull b-x-mpdistil@champion --to outputs/pulled/b-x-mpdistil\n")


def test_a_registry_that_does_not_answer_is_said_and_offers_nothing_to_pull() -> None:
    text = registered_table({"address": "http://gone", "reachable": False, "students": [student("b-x-kd", None, [])]})
    assert text == "Registered in http://gone (does not answer)\n"

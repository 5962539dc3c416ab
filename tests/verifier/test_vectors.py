"""The vectors are all there: a file that nothing replays, or an empty list, would pass unseen."""

from vectors import FOLDER, load

REPLAYED = {"device", "envelope", "invite", "log", "presence", "receipt", "record", "roster"}


def test_every_file_is_replayed():
    assert {file.stem for file in FOLDER.glob("*.json")} == REPLAYED


def test_every_file_has_cases_of_both_kinds():
    for name in REPLAYED:
        assert load(name)["valid"] and load(name)["invalid"], name

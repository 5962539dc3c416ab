"""Replays roster.json."""

import pytest

from crypto import device_id, public_of, sign
from roster import Entry, Refused, Roster
from vectors import invalid, load, unhex

CHAIN = load("roster")["valid"][0]
ENTRIES = [unhex(entry["bytes"]) for entry in CHAIN["entries"]]


def replay(count):
    roster = Roster(ENTRIES[0])
    for entry in ENTRIES[1:count]:
        roster.apply(entry)
    return roster


def ids(items):
    return [item.hex() for item in items]


def fold(roster):
    hex_of = lambda item: item.hex() if isinstance(item, bytes) else item  # noqa: E731
    plain = lambda item: {key: hex_of(value) for key, value in item.items()}  # noqa: E731
    live = lambda item: {"live": item["removed_at"] is None}  # noqa: E731
    invites = []
    for key, it in sorted(roster.invites.items()):
        kept = {name: value for name, value in it.items() if name != "device"}
        invites.append(plain(kept) | {"id": key.hex(), "joined": ids(it["joined"])})
    return {
        "entries": len(roster.hashes),
        "head": {"index": len(roster.hashes) - 1, "hash": roster.hashes[-1].hex()},
        "closed": roster.closed,
        "recovery": roster.recovery.hex(),
        "members": [plain(it) | live(it) for _, it in sorted(roster.members.items())],
        "devices": [plain(it) | live(it) | {"id": key.hex()} for key, it in sorted(roster.devices.items())],
        "invites": invites,
        "brokers": [{"key": broker[0].hex(), "addresses": broker[1]} for broker in roster.brokers],
    }


def test_the_chain_is_valid():
    roster = replay(len(ENTRIES))
    assert roster.mesh.hex() == CHAIN["mesh"]
    assert ids(roster.hashes) == [entry["hash"] for entry in CHAIN["entries"]]


@pytest.mark.parametrize("expected", CHAIN["entries"], ids=lambda it: it["name"])
def test_entry(expected):
    entry, key = Entry(unhex(expected["bytes"])), CHAIN["keys"][expected["author"]]
    assert public_of(unhex(key["seed"])).hex() == key["public"]
    assert device_id(unhex(key["public"])).hex() == expected["author_id"] == entry.author.hex()
    assert sign(unhex(key["seed"]), "roster-sig", entry.signed) == entry.signature
    assert (entry.kind, entry.body[5].hex(), entry.hash.hex()) == (expected["kind"], expected["payload"], expected["hash"])
    assert (entry.member.hex() if entry.member else None) == expected["member"]


@pytest.mark.parametrize("expected", CHAIN["folds"], ids=lambda it: f"{it['entries']} entries")
def test_fold(expected):
    assert fold(replay(expected["entries"])) == expected


@pytest.mark.parametrize("case", [case for _, case in invalid("roster")], ids=lambda it: it["name"])
def test_invalid(case):
    with pytest.raises(Refused) as refused:
        if case["prefix"] == 0:
            Roster(unhex(case["bytes"]))
        else:
            replay(case["prefix"]).check(unhex(case["bytes"]))
    assert str(refused.value) == case["error"]

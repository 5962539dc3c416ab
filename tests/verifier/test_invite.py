"""Replays invite.json."""

import pytest

from crypto import CannotOpen, invite_id, public_of, seal
from invite import invite_seed, open_welcome, parse_link, welcome_key
from roster import Refused, safety_number
from vectors import invalid, load, unhex


def of_type(kind):
    cases = [case for case in load("invite")["valid"] if case["type"] == kind]
    return pytest.mark.parametrize("case", cases, ids=lambda it: it["name"])


@of_type("link")
def test_link(case):
    address, data, payload = parse_link(case["link"])
    assert (address, data.hex()) == (case["address"], case["bytes"])
    assert [payload[key].hex() for key in (1, 2, 3)] == [case["mesh"], case["broker_key"], case["secret"]]
    secret = payload[3]
    key = public_of(invite_seed(secret))
    assert (invite_seed(secret).hex(), key.hex()) == (case["invite_seed"], case["invite_key"])
    assert (invite_id(key).hex(), welcome_key(secret).hex()) == (case["invite_id"], case["welcome_key"])


@of_type("welcome")
def test_welcome(case):
    secret, sealed, expected = unhex(case["secret"]), unhex(case["bytes"]), case["welcome"]
    plaintext, bundle = open_welcome(secret, sealed)
    assert plaintext.hex() == case["plaintext"]
    assert seal(welcome_key(secret), public_of(invite_seed(secret)), plaintext, sealed[:24]) == sealed
    assert len(sealed) <= 8 * 1024
    names = [[member.hex(), name] for member, name in bundle[2]]
    assert (bundle[0], bundle[1].hex(), names) == (expected["label"], expected["inviter"], expected["names"])
    assert (bundle[3], bundle[4]) == (expected["brokers"], expected["hint"])


@of_type("safety")
def test_safety_number(case):
    assert safety_number(*(unhex(case[key]) for key in ("mesh", "a", "b"))) == case["number"]


@pytest.mark.parametrize("case", [case for _, case in invalid("invite")], ids=lambda it: it["name"])
def test_invalid(case):
    if case["type"] == "welcome":
        with pytest.raises(CannotOpen):
            open_welcome(unhex(case["secret"]), unhex(case["bytes"]))
        return
    with pytest.raises(Refused) as refused:
        parse_link(case["link"])
    assert str(refused.value) == case["error"]

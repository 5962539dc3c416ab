"""Replays record.json."""

import pytest

from cbor import Malformed
from record import FORMS, general_log, is_json, is_key, mentions, read_record
from vectors import load, unhex, uuid

VECTORS = load("record")

# What the vectors say as text of the ids under these keys.
IDS = {16: (0, 3), 17: (0,), 48: (0,), 49: (0,), 64: (0,), 65: (0,), 66: (0,), 67: (0,)}


def said(kind, fields):
    def plain(key, value):
        if isinstance(value, bytes):
            return uuid(value) if key in IDS.get(kind, ()) or (kind, key) == (64, 4) else value.hex()
        if isinstance(value, list):
            return [plain(key, it) for it in value]
        if value is None and (kind, key) in ((16, 5), (48, 3), (64, 4)):
            return []
        return list(value) if isinstance(value, tuple) else value

    return [plain(key, value) for key, value in sorted(fields.items())]


@pytest.mark.parametrize("case", VECTORS["valid"], ids=lambda it: it["name"])
def test_valid(case):
    assert said(case["kind"], read_record(case["kind"], unhex(case["data"]))) == case["fields"]


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda it: it["name"])
def test_invalid(case):
    with pytest.raises(Malformed):
        read_record(case["kind"], unhex(case["data"]))


def test_every_kind_has_a_vector():
    assert {case["kind"] for case in VECTORS["valid"]} == set(FORMS)


@pytest.mark.parametrize("case", VECTORS["mentions"], ids=lambda it: it["text"])
def test_mentions(case):
    assert mentions(case["text"], [tuple(it) for it in case["names"]]) == (case["members"], case["everyone"])


def test_general():
    assert general_log(unhex(VECTORS["general"]["mesh"])).hex() == VECTORS["general"]["log"]


def test_texts_have_a_limit_no_vector_is_long_enough_for():
    head, limit = bytes.fromhex("a30050") + bytes(16), 64 * 1024
    long = lambda size: head + b"\x01\x7a" + size.to_bytes(4, "big") + b"x" * size + b"\x02\x00"  # noqa: E731
    for kind in (16, 48):
        assert read_record(kind, long(limit))
        with pytest.raises(Malformed):
            read_record(kind, long(limit + 1))


def test_json_and_keys():
    for good in (b"0", b" {} ", b'"\\ud83e\\udd80"', b"1e-400", b"[" * 64 + b"]" * 64, b'{"":' * 64 + b"0" + b"}" * 64):
        assert is_json(good), good
    for bad in (b"", b"\xff", b"1e400", b"-Infinity", b'"\\udc00"', b"[" * 65 + b"]" * 65, b'{"":' * 65 + b"0" + b"}" * 65, b"[" * 60_000):
        assert not is_json(bad), bad
    assert is_key("a\u200bb") and not is_key("\u2003a")

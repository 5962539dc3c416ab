"""Replays log.json."""

import pytest

from cbor import read, signed
from crypto import CannotOpen, device_id, public_of, sign, x25519_public
from log import (
    BAD_COMMIT, COMMIT, COMPACTION, LINK, RECORDS, REWRAP, Directory, Entry, Keys, Tip, epoch_commitment, is_name, mesh_log,
    open_records,
)  # fmt: skip
from roster import Refused
from vectors import load, unhex
from view import View

VECTORS = load("log")
LOGS = {log["log"]: log for log in VECTORS["valid"]}
VALID = pytest.mark.parametrize("log", VECTORS["valid"], ids=lambda it: it["name"])


def tip_of(log):
    return Tip(unhex(log["roster"]["mesh"]), unhex(log["log"]))


def entries(log):
    return [Entry(unhex(it["bytes"])) for it in log["entries"]]


def replayed(log, count):
    tip, view = tip_of(log), View(log["roster"])
    for entry in entries(log)[:count]:
        tip.append(entry, view, replay=True)
    return tip


def learned(log, name, count=None):
    device = log["roster"]["devices"][name]
    prekeys = {device["prekey_id"]: unhex(device["prekey_private"])}
    keys = Keys(unhex(log["roster"]["mesh"]), unhex(log["log"]), unhex(device["device"]), prekeys)
    for entry in entries(log)[:count]:
        keys.learn(entry)
    return keys


def payload_json(entry, records):
    at = lambda position: [position[0], position[1].hex()]  # noqa: E731
    wraps = lambda items: [[device.hex(), prekey, wrap.hex()] for device, prekey, wrap in items]  # noqa: E731
    it = entry.payload
    return {
        RECORDS: lambda: {"records": [[kind, data.hex()] for kind, data in records]},
        COMMIT: lambda: {
            "head": at(it[0]), "commitment": it[1].hex(), "wraps": wraps(it[2]), "history": it[3],
            "link": it[4].hex() if it[4] else None,
            "audience": [device.hex() for device in it[5]] if it[5] else None,
        },
        LINK: lambda: {"epoch": it[0], "sealed": it[1].hex()},
        REWRAP: lambda: {"epoch": it[0], "wraps": wraps(it[1])},
        BAD_COMMIT: lambda: {"epoch": it[0], "reason": it[1]},
        COMPACTION: lambda: {"offsets": it[0]},
    }[entry.kind]()  # fmt: skip


@VALID
def test_devices(log):
    for device in log["roster"]["devices"].values():
        assert public_of(unhex(device["seed"])).hex() == device["public_key"]
        assert device_id(unhex(device["public_key"])).hex() == device["device"]
        assert x25519_public(unhex(device["prekey_private"])).hex() == device["prekey_public"]
    assert (log["name"] == "mesh log") == (mesh_log(unhex(log["roster"]["mesh"])).hex() == log["log"])


@VALID
def test_broker_and_reader_accept_every_entry(log):
    broker, reader = tip_of(log), tip_of(log)
    assert broker.chain[0].hex() == log["chain_start"]
    seeds = {it["device"]: unhex(it["seed"]) for it in log["roster"]["devices"].values()}
    for entry, expected in zip(entries(log), log["entries"]):
        broker.append(entry, View(log["roster"], expected["roster_index"]), replay=False)
        reader.append(entry, View(log["roster"]), replay=True)
        assert broker.chain == reader.chain and broker.chain[-1].hex() == expected["chain_hash"]
        assert (len(broker.chain) - 1, entry.hash.hex()) == (expected["offset"], expected["entry_hash"])
        fields = [entry.author.hex(), entry.kind, entry.epoch, entry.seq]
        assert fields == [expected[key] for key in ("author", "kind", "epoch", "seq")]
        places = [[number, value.hex()] for number, value in (entry.seen, entry.head)]
        assert places == [expected["seen"], expected["head"]]
        assert sign(seeds[expected["author"]], "log-entry", entry.signed) == entry.signature
        assert read(unhex(expected["bytes"]), signed)[0] == entry.signed


@VALID
def test_reader_learns_the_secrets_and_opens_the_records(log):
    keys = learned(log, log["reader"])
    for epoch in log["epochs"]:
        number, secret = epoch["epoch"], unhex(epoch["secret"])
        assert epoch_commitment(unhex(log["log"]), number, secret).hex() == epoch["commitment"]
        assert keys.secrets[number] == secret
    assert len(keys.secrets) == len(log["epochs"])
    for entry, expected in zip(entries(log), log["entries"]):
        records = open_records(entry, keys.secrets[entry.epoch]) if entry.kind == RECORDS else None
        assert payload_json(entry, records) == expected["payload"]


def test_a_bad_commit_is_reported_by_the_device_whose_wrap_does_not_open():
    log = VECTORS["valid"][0]
    dora = log["roster"]["devices"]["dora"]["device"]
    at, report = next((at, it) for at, it in enumerate(entries(log)) if it.kind == BAD_COMMIT)
    assert report.author.hex() == dora
    assert learned(log, "dora", at).bad_wraps == [(report.payload[0], report.payload[1])]
    assert not learned(log, "ann", at).bad_wraps


@VALID
def test_dropped_entries_leave_the_chain(log):
    tip, view = tip_of(log), View(log["roster"])
    for entry, expected in zip(entries(log), log["entries"]):
        if expected["offset"] in log["dropped"]:
            tip.extend(unhex(expected["entry_hash"]))
        else:
            tip.append(entry, view, replay=True)
    assert tip.chain[-1].hex() == log["entries"][-1]["chain_hash"]
    compacted = [offset for entry in entries(log) if entry.kind == COMPACTION for offset in entry.payload[0]]
    assert compacted == log["dropped"]


def test_directory():
    log = VECTORS["valid"][0]
    directory, view, tip, keys = Directory(), View(log["roster"]), tip_of(log), learned(log, log["reader"])
    for entry in entries(log):
        tip.append(entry, view, replay=True)
        if entry.kind == RECORDS:
            for kind, data in open_records(entry, keys.secrets[entry.epoch]):
                directory.apply(view.member(entry.author), view.is_admin(entry.author, tip.named), kind, data)
    names = {member.hex(): name for member, name in directory.names.items()}
    folded = {"names": names, "label": directory.label, "ignored": directory.ignored}
    assert folded == log["directory"]


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda it: it["name"])
def test_invalid(case):
    log = LOGS[case["log"]]
    tip, view = replayed(log, case["after"]), View(log["roster"], case["roster_index"])
    if case["mode"] == "open":
        entry = Entry(unhex(case["bytes"]))
        tip.judge(entry, view, replay=False)
        secrets = {it["epoch"]: unhex(it["secret"]) for it in log["epochs"]}
        with pytest.raises(CannotOpen):
            open_records(entry, secrets[entry.epoch])
        return
    with pytest.raises(Refused) as refused:
        tip.judge(Entry(unhex(case["bytes"])), view, replay=case["mode"] == "replay")
    assert str(refused.value) == case["error"]


def test_names():
    for good in ("a", "Ada Lovelace", "żółw", "日本", "x@y", "a#b*c", "é" * 32, "\u2010", "\u2070", "\ufffc"):
        assert is_name(good), good
    for bad in ("", "x" * 65, "é" * 33, " a", "a ", "@a", "#a", "*", "a/b", "a,b", "a\u200db", "a\u202eb", "a\u00a0b", "a\nb"):
        assert not is_name(bad), bad

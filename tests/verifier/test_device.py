"""Replays device.json and presence.json."""

import pytest

from cbor import read, signed
from crypto import KDF, CannotOpen, L, be64, device_id, open_sealed, pad, public_of, seal, sign, x25519_public
from device import fresh_prekey, open_profile, open_status, verify_presence, verify_record
from roster import Refused
from vectors import head_of, invalid, load, unhex

ACTIVITIES = ["idle", "working", "blocked", "dnd"]


def signed_by(case, label):
    """The bytes of a case, which its seed signs to the same signature."""
    seed, data = unhex(case["seed"]), unhex(case["bytes"])
    body, signature = read(data, signed)
    assert public_of(seed).hex() == case["public"]
    assert device_id(unhex(case["public"])).hex() == case["device"]
    assert sign(seed, label, body) == signature
    return data


@pytest.mark.parametrize("case", load("device")["valid"], ids=lambda it: it["name"])
def test_record(case):
    data = signed_by(case, "device-record")
    record = verify_record(data, unhex(case["mesh"]), unhex(case["public"]))
    assert (record[1].hex(), record[2], record[4]) == (case["device"], case["counter"], head_of(case["head"]))
    assert record[3] == [(it["id"], unhex(it["public"]), it["expires"]) for it in case["prekeys"]]
    for prekey in case["prekeys"]:
        assert x25519_public(unhex(prekey["secret"])).hex() == prekey["public"]
    for choice in case["choices"]:
        assert fresh_prekey(record, choice["now"]) == choice["prekey"]
    expected = case["profile"]
    if expected is None:
        assert record[5] is None
        return
    secret = unhex(expected["epoch_secret"])
    profile = open_profile(record, secret)
    assert [profile[key] for key in range(3)] == [expected[key] for key in ("app_version", "platform", "label")]
    assert record[5][:24].hex() == expected["nonce"]
    with pytest.raises(CannotOpen):
        open_profile(record, bytes(32))


@pytest.mark.parametrize("case", load("presence")["valid"], ids=lambda it: it["name"])
def test_presence(case):
    data = signed_by(case, "presence")
    presence = verify_presence(data, unhex(case["mesh"]), unhex(case["public"]))
    assert (presence[2].hex(), presence[3], presence[5]) == (case["boot"], case["counter"], case["epoch"])
    assert presence[4] == head_of(case["head"])
    secret, expected = unhex(case["epoch_secret"]), case["status"]
    status = open_status(presence, secret)
    assert (ACTIVITIES[status[0]], status[1]) == (expected["status"], expected["summary"])
    names = {0: "id", 1: "name", 2: "cwd", 4: "summary"}
    sessions = [{"status": ACTIVITIES[it[3]]} | {name: it[key] for key, name in names.items()} for it in status[2]]
    assert sessions == expected["sessions"]
    key, bound = KDF(secret, L("presence-key") + presence[1]), presence[2] + be64(presence[3])
    padded = open_sealed(key, bound, presence[6])
    size = int.from_bytes(padded[:4], "big")
    assert seal(key, bound, pad(padded[4 : 4 + size]), unhex(case["nonce"])) == presence[6]


@pytest.mark.parametrize("case", [case for _, case in invalid("device")], ids=lambda it: it["name"])
def test_invalid_record(case):
    with pytest.raises(Refused) as refused:
        verify_record(unhex(case["bytes"]), unhex(case["mesh"]), unhex(case["public"]))
    assert str(refused.value) == case["error"]


@pytest.mark.parametrize("case", [case for _, case in invalid("presence")], ids=lambda it: it["name"])
def test_invalid_presence(case):
    with pytest.raises(Refused) as refused:
        presence = verify_presence(unhex(case["bytes"]), unhex(case["mesh"]), unhex(case["public"]))
        open_status(presence, unhex(case["epoch_secret"]))
    assert str(refused.value) == case["error"]

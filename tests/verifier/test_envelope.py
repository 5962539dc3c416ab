"""Replays envelope.json."""

import pytest

from crypto import KDF, L, merkle_root, pad, public_of, seal, sign, x25519_public
from envelope import DELIVERY, PROOF, SUBMISSION, Envelope
from roster import Refused, require
from vectors import head_of, invalid, load, unhex, uuid

FORMS = {"delivery": DELIVERY, "submission": SUBMISSION, "proof": PROOF}
VALID = pytest.mark.parametrize("case", load("envelope")["valid"], ids=lambda it: it["name"])


def check_header(header, case):
    expected = case["header"]
    assert (header[1].hex(), header[2].hex(), uuid(header[3])) == (case["mesh"], case["sender"], expected["id"])
    assert (header[4], header[5], header[6]) == (expected["attempt"], expected["expires"], expected["deliver_at"])
    assert header[7] == head_of(expected["head"])


def check_hashes(envelope, case):
    assert envelope.h.hex() == case["header_hash"]
    assert envelope.records_root.hex() == case["records_root"]
    assert envelope.commitment.hex() == case["commitment"]
    assert envelope.body_hash.hex() == case["body_hash"]
    assert envelope.hash.hex() == case["envelope_hash"]
    assert envelope.flush_root.hex() == case["flush_root"]
    assert (envelope.flush[1], envelope.flush[2]) == (case["flush"]["index"], case["flush"]["count"])


def content_json(content):
    is_text, is_claim = content[0] == 0, content[0] == 1
    claim = [{"id": uuid(it[0]), "state": it[1], "at": it[2]} for it in content[9]] if is_claim else None
    return {
        "type": content[0], "acting": [it.hex() for it in content[1]], "target_session": content[2],
        "sending_session": content[3], "sent_at": content[4], "priority": content[5],
        "reply_to": uuid(content[6]) if content[6] else None, "hops": content[7],
        "addressed": [it.hex() for it in content[8]], "text": content[9] if is_text else None, "claim": claim,
        "data": None if is_text or is_claim else content[9].hex(),
    }  # fmt: skip


@VALID
def test_delivery(case):
    envelope = Envelope(unhex(case["bytes"]), DELIVERY)
    envelope.verify(unhex(case["sender_public"]), unhex(case["mesh"]))
    check_header(envelope.header, case)
    check_hashes(envelope, case)
    recipient, prekey_id, lane, seq, _ = envelope.records[0]
    expected, place = case["record"], envelope.fields[5]
    assert (recipient.hex(), prekey_id) == (case["recipient"], case["prekey_id"])
    assert (lane, seq, place[0], place[1]) == tuple(expected[key] for key in ("lane", "seq", "index", "count"))

    prekey = unhex(case["prekey_private"])
    assert x25519_public(prekey).hex() == case["prekey_public"]
    key = envelope.content_key(prekey)
    assert key.hex() == case["content_key"]
    data, content = envelope.open(prekey)
    assert data.hex() == case["content_bytes"]
    assert content_json(content) == case["content"]
    # The body is what sealing the content gives, padding included.
    body = envelope.fields[3]
    assert seal(KDF(key, L("body") + envelope.h), envelope.h, pad(data), body[:24]) == body


@VALID
def test_submission_and_proof(case):
    sender, mesh = unhex(case["sender_public"]), unhex(case["mesh"])
    delivery = Envelope(unhex(case["bytes"]), DELIVERY)
    for form in ("submission", "proof"):
        envelope = Envelope(unhex(case[form]), FORMS[form])
        envelope.verify(sender, mesh)
        check_header(envelope.header, case)
        check_hashes(envelope, case)
        index = case["record"]["index"] if form == "submission" else 0
        assert envelope.record_bytes[index] == delivery.record_bytes[0]
        if form == "submission":
            assert merkle_root(envelope.record_bytes).hex() == case["records_root"]
            assert len(envelope.records) == case["record"]["count"]


@VALID
def test_flush_signature(case):
    seed, envelope = unhex(case["sender_seed"]), Envelope(unhex(case["bytes"]), DELIVERY)
    assert public_of(seed).hex() == case["sender_public"]
    assert sign(seed, "flush", unhex(case["flush_root"])) == envelope.flush[0]


@pytest.mark.parametrize("name, case", invalid("envelope"), ids=lambda it: it if isinstance(it, str) else "")
def test_invalid(name, case):
    with pytest.raises(Refused) as refused:
        envelope = Envelope(unhex(case["bytes"]), FORMS[case["form"]])
        envelope.verify(unhex(case["sender_public"]), unhex(case["mesh"]))
        if case["form"] == "delivery":
            require(envelope.records[0][0].hex() == case["recipient"], "not_addressed")
            envelope.open(unhex(case["prekey_private"]))
    assert str(refused.value) == case["error"], name

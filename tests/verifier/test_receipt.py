"""Replays receipt.json."""

import pytest

from cbor import read
from crypto import device_id, merkle_root, public_of, sign
from receipt import RECEIPT, verify_part, verify_receipt
from roster import Refused
from vectors import head_of, invalid, load, unhex, uuid


def item_json(item):
    return {
        "sender": item[0].hex(), "id": uuid(item[1]), "attempt": item[2], "envelope_hash": item[3].hex(), "state": item[4],
        "reason": item[5],
    }  # fmt: skip


@pytest.mark.parametrize("case", load("receipt")["valid"], ids=lambda it: it["name"])
def test_receipt(case):
    seed, key, mesh, data = (unhex(case[it]) for it in ("recipient_seed", "recipient_public", "mesh", "bytes"))
    assert (public_of(seed), device_id(key).hex()) == (key, case["recipient"])
    body, items = verify_receipt(data, key, mesh)
    assert (body[1].hex(), body[2], body[3].hex()) == (case["recipient"], head_of(case["head"]), case["root"])
    assert [item_json(item) for item in items] == case["items"]
    wire = read(data, RECEIPT)
    assert merkle_root(wire[2]).hex() == case["root"]
    assert sign(seed, "receipt", wire[0]) == wire[1]

    assert sorted({item[0].hex() for item in items}) == sorted(part["sender"] for part in case["parts"])
    for part in case["parts"]:
        part_body, indices, mine = verify_part(unhex(part["bytes"]), key, mesh)
        assert (part_body, indices) == (body, part["indices"])
        assert mine == [items[index] for index in indices]
        assert indices == [at for at, item in enumerate(items) if item[0].hex() == part["sender"]]


@pytest.mark.parametrize("name, case", invalid("receipt"), ids=lambda it: it if isinstance(it, str) else "")
def test_invalid(name, case):
    check = {"receipt": verify_receipt, "part": verify_part}[case["form"]]
    with pytest.raises(Refused) as refused:
        check(unhex(case["bytes"]), unhex(case["recipient_public"]), unhex(case["mesh"]))
    assert str(refused.value) == case["error"], name

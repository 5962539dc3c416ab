"""Receipts and their parts of docs/protocol.md section 6."""

from cbor import Malformed, fixed, hash32, head, id16, many, need, number, read, signature, string, struct, uint
from crypto import device_id, merkle_root, root_from_path, verify
from roster import Refused, require

BODY = struct({0: hash32, 1: hash32, 2: head, 3: hash32, 4: number(1, 256)})
ITEM = fixed(hash32, id16, number(1), hash32, number(3, 6), number(0, 7))
BODY_BYTES, ITEM_BYTES = string(0, 1024), string(0, 256)
RECEIPT = struct({0: BODY_BYTES, 1: signature, 2: many(ITEM_BYTES, 1, 256)})
PART_ITEM = fixed(uint, ITEM_BYTES, many(hash32, 0, 8))
PART = struct({0: BODY_BYTES, 1: signature, 2: many(PART_ITEM, 1, 256)})


def read_item(data):
    item = read(data, ITEM)
    state, reason = item[4], item[5]
    need((state == 3 and reason == 0) or (state == 6 and reason != 0))
    return item


def _verify(body_bytes, body, signature, key, mesh, root_fits):
    require(device_id(key) == body[1], "wrong_device")
    require(root_fits and verify(key, "receipt", body_bytes, signature), "bad_signature")
    require(body[0] == mesh, "wrong_mesh")


def verify_receipt(data, key, mesh):
    """Body and items of a receipt."""
    try:
        fields = read(data, RECEIPT)
        body, items = read(fields[0], BODY), [read_item(item) for item in fields[2]]
        need(len(items) == body[4])
    except Malformed:
        raise Refused("malformed") from None
    _verify(fields[0], body, fields[1], key, mesh, merkle_root(fields[2]) == body[3])
    return body, items


def verify_part(data, key, mesh):
    """Body, indices and items of a part."""
    try:
        fields = read(data, PART)
        body, entries = read(fields[0], BODY), fields[2]
        indices, items = [entry[0] for entry in entries], [read_item(entry[1]) for entry in entries]
        need(all(a < b for a, b in zip(indices, indices[1:])) and indices[-1] < body[4])
    except Malformed:
        raise Refused("malformed") from None
    if len(items) == body[4]:
        fits = merkle_root([entry[1] for entry in entries]) == body[3] and not any(entry[2] for entry in entries)
    else:
        fits = all(root_from_path(item, index, body[4], path) == body[3] for index, item, path in entries)
    _verify(fields[0], body, fields[1], key, mesh, fits)
    return body, indices, items

"""Device records and presence of docs/protocol.md sections 4 and 8."""

from cbor import (
    Malformed, fixed, hash32, head, id16, many, need, number, read, signed, string, struct, text, uint, uint32,
)  # fmt: skip
from crypto import KDF, CannotOpen, L, be64, device_id, open_sealed, unpad, verify
from roster import Refused, require

PREKEY = fixed(uint32, hash32, uint)
RECORD = struct({0: hash32, 1: hash32, 2: uint, 3: many(PREKEY, 1, 16), 4: head}, {5: string()})
PROFILE = struct({0: text(256), 1: text(256), 2: text(256)})
PRESENCE = struct({0: hash32, 1: hash32, 2: id16, 3: uint, 4: head, 5: uint, 6: string()})
ACTIVITY = number(0, 3)
SESSION = struct({0: text(), 3: ACTIVITY}, {1: text(), 2: text(), 4: text()})
STATUS = struct({0: ACTIVITY, 2: many(SESSION, 0, 64)}, {1: text()})


def _verify(data, label, form, mesh, key):
    """The body of a signed form of the device with `key`."""
    require(len(data) <= 8 * 1024, "too_large")
    try:
        body, signature = read(data, signed)
        require(verify(key, label, body, signature), "bad_signature")
        fields = read(body, form)
        if form is RECORD:
            need(len({prekey[0] for prekey in fields[3]}) == len(fields[3]))
    except Malformed:
        raise Refused("malformed") from None
    require(fields[0] == mesh, "wrong_mesh")
    require(fields[1] == device_id(key), "wrong_device")
    return fields


def verify_record(data, mesh, key):
    return _verify(data, "device-record", RECORD, mesh, key)


def fresh_prekey(record, now):
    """The id of the prekey a sender picks, None when none is fresh."""
    fresh = [(expires, prekey) for prekey, _, expires in record[3] if now <= expires + 24 * 3600]
    return max(fresh)[1] if fresh else None


def open_profile(record, epoch_secret):
    key, bound = KDF(epoch_secret, L("profile") + record[1]), record[0] + be64(record[2])
    return read(unpad(open_sealed(key, bound, record[5])), PROFILE)


def verify_presence(data, mesh, key):
    return _verify(data, "presence", PRESENCE, mesh, key)


def open_status(presence, epoch_secret):
    key, bound = KDF(epoch_secret, L("presence-key") + presence[1]), presence[2] + be64(presence[3])
    try:
        status = read(unpad(open_sealed(key, bound, presence[6])), STATUS)
    except Malformed:
        raise Refused("malformed") from None
    except CannotOpen:
        raise Refused("cannot_open") from None
    summaries = [status[1], *(session[4] for session in status[2])]
    require(all(len((summary or "").encode()) <= 280 for summary in summaries), "summary_too_long")
    return status

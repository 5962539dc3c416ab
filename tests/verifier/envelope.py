"""Envelopes of docs/protocol.md section 5: deliveries, submissions, proofs and what they say."""

from cbor import (
    Malformed, decode, fixed, hash32, head, id16, many, need, number, read, signature, string, struct, text, uint, uint32,
    wrap80,
)  # fmt: skip
from crypto import (
    H, KDF, CannotOpen, L, be32, device_id, merkle_root, open_sealed, root_from_path, unpad, unwrap, verify,
)  # fmt: skip
from roster import Refused, require

HEADER = struct(
    {0: number(1, 1), 1: hash32, 2: hash32, 3: id16, 4: number(1), 5: uint, 7: head},
    {6: uint},
)
RECORD = fixed(hash32, uint32, number(0, 3), number(1), wrap80)
FLUSH = struct({0: signature, 1: uint, 2: number(1, 64), 3: many(hash32, 0, 6)})
MEMBER_OF = fixed(uint, number(1, 512), many(hash32, 0, 9))
BODY = string(296, 163_880)
HEADER_BYTES, RECORD_BYTES = string(0, 1024), string(0, 256)
DELIVERY = struct({0: HEADER_BYTES, 1: fixed(RECORD_BYTES), 2: hash32, 3: BODY, 4: FLUSH, 5: MEMBER_OF})
SUBMISSION = struct({0: HEADER_BYTES, 1: many(RECORD_BYTES, 1, 512), 2: hash32, 3: BODY, 4: FLUSH})
PROOF = struct({0: HEADER_BYTES, 1: RECORD_BYTES, 2: hash32, 3: hash32, 4: FLUSH, 5: MEMBER_OF})

SESSION = text(256)
CONTENT = struct(
    {
        0: uint, 1: many(hash32, 1, 512), 4: uint, 5: number(0, 2), 7: uint, 8: many(hash32, 0, 512),
        9: string(0, 128 * 1024),
    },
    {2: SESSION, 3: SESSION, 6: id16},
)  # fmt: skip
CLAIM = many(fixed(id16, number(4, 5), uint), 1, 256)


class Envelope:
    """A delivery, submission or proof: its parts and the hashes that the signature is over."""

    def __init__(self, data, form):
        try:
            self.fields = read(data, form)
            self.header_bytes, self.flush = self.fields[0], self.fields[4]
            self.header = read(self.header_bytes, HEADER)
            need(self.flush[1] < self.flush[2])
            records = [self.fields[1]] if form is PROOF else list(self.fields[1])
            self.records = [read(record, RECORD) for record in records]
            if form is not SUBMISSION:
                need(self.fields[5][0] < self.fields[5][1])
        except Malformed:
            raise Refused("malformed") from None
        self.record_bytes = records
        self.h = H(L("header") + self.header_bytes)
        self.commitment = self.fields[2]
        self.body_hash = self.fields[3] if form is PROOF else H(self.fields[3])
        if form is SUBMISSION:
            self.records_root = merkle_root(records)
        else:
            self.records_root = root_from_path(records[0], *self.fields[5])
        self.flush_root = self.hash = None
        if self.records_root:
            self.hash = H(L("envelope") + self.h + self.records_root + self.commitment + self.body_hash)
            self.flush_root = root_from_path(self.hash, self.flush[1], self.flush[2], self.flush[3])

    def verify(self, key, mesh):
        require(device_id(key) == self.header[2], "wrong_sender")
        signed = self.flush_root and verify(key, "flush", self.flush_root, self.flush[0])
        require(signed, "bad_signature")
        require(self.header[1] == mesh, "wrong_mesh")

    def content_key(self, prekey):
        """What the wrap of a delivery holds."""
        recipient, prekey_id, _, _, wrap = self.records[0]
        info = L("wrap") + self.header[1] + self.header[2] + recipient + be32(prekey_id)
        return unwrap(prekey, info, wrap)

    def open(self, prekey):
        """The content of a delivery, as bytes and as a structure."""
        try:
            key = self.content_key(prekey)
            require(KDF(key, L("commitment") + self.h) == self.commitment, "unreadable")
            content = unpad(open_sealed(KDF(key, L("body") + self.h), self.h, self.fields[3]))
        except CannotOpen:
            raise Refused("unreadable") from None
        try:
            return content, read_content(content)
        except Malformed:
            raise Refused("malformed_content") from None


def read_content(data):
    """A content; key 9 is text, a claim or bytes, by type."""
    content = CONTENT(decode(data))
    if content[0] == 0:
        try:
            content[9] = content[9].decode("utf-8")
        except UnicodeDecodeError:
            raise Malformed from None
        need(content[9])
    elif content[0] == 1:
        content[9] = read(content[9], CLAIM)
    return content

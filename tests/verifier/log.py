"""Logs of docs/protocol.md section 7: entries, chain, epochs, the rules of judging, secrets, records, directory."""

from cbor import (
    Malformed, decode, fixed, hash32, head, id16, many, need, number, read, signed, string, struct, text, uint, uint32,
    wrap80,
)  # fmt: skip
from crypto import H, KDF, CannotOpen, L, be32, be64, device_id, open_sealed, unpad, unwrap, verify
from roster import Refused, require

RECORDS, COMMIT, LINK, REWRAP, BAD_COMMIT, COMPACTION = range(6)
ALL = 0

BODY = struct({0: hash32, 1: id16, 2: hash32, 3: number(0, 5), 4: uint, 5: uint, 6: fixed(uint, hash32), 7: head, 8: string()})
WRAPS = many(fixed(hash32, uint32, wrap80), 1, 512)
SEALED_SECRET = string(72, 72)
PAYLOADS = {
    COMMIT: struct({0: head, 1: hash32, 2: WRAPS, 3: number(0, 2)}, {4: SEALED_SECRET, 5: many(hash32, 1, 512)}),
    LINK: struct({0: uint, 1: SEALED_SECRET}),
    REWRAP: struct({0: uint, 1: WRAPS}),
    BAD_COMMIT: struct({0: uint, 1: number(1, 2)}),
    COMPACTION: struct({0: many(uint, 1, 4096)}),
}
RECORD_LIST = many(fixed(uint, string()), 1, 64)


def mesh_log(mesh):
    return H(L("mesh-log") + mesh)[:16]


class Entry:
    """A well-formed entry."""

    def __init__(self, data):
        require(len(data) <= 128 * 1024, "too_large")
        try:
            self.signed, self.signature = read(data, signed)
            body = read(self.signed, BODY)
            self.payload = body[8] if body[3] == RECORDS else read(body[8], PAYLOADS[body[3]])
        except Malformed:
            raise Refused("malformed") from None
        self.mesh, self.log, self.author, self.kind, self.epoch, self.seq, self.seen, self.head, _ = body.values()
        self.hash = H(L("log-entry-hash") + self.signed)


class Tip:
    """What is known of a log after its last entry. Offset n of `chain` and `kinds` is that of entry n."""

    def __init__(self, mesh, log):
        self.mesh, self.log = mesh, log
        self.chain, self.kinds = [H(L("log-chain") + log)], [None]
        self.epoch, self.commit, self.wrapped = 0, None, set()
        self.seqs, self.named = {}, 0

    def judge(self, entry, roster, replay):
        """Refuses an entry that may not follow; `roster` is the judge's own, see `view.View`."""
        require(entry.mesh == self.mesh and entry.log == self.log, "invalid_entry")
        key = roster.key(entry.author)
        if key is None:
            require(entry.head[0] <= roster.index, "unknown_head")
            raise Refused("not_a_member")
        own = device_id(key) == entry.author
        require(own and verify(key, "log-entry", entry.signed, entry.signature), "invalid_entry")
        heads = [entry.head] + ([entry.payload[0]] if entry.kind == COMMIT else [])
        require(all(roster.has_head(it) for it in heads), "unknown_head")
        at = max([self.named] + [it[0] for it in heads]) if replay else roster.index
        require(roster.live(entry.author, entry.head[0]) and roster.live(entry.author, at), "removed")
        require(entry.seq > self.seqs.get(entry.author, 0), "id_conflict")
        offset, position = entry.seen
        require(offset < len(self.chain) and self.chain[offset] == position, "invalid_entry")
        require(not self.private or entry.author in self.wrapped, "forbidden")
        if entry.kind == COMMIT:
            return self.judge_commit(entry, roster, at, replay)
        require(self.commit and entry.epoch <= self.epoch, "invalid_entry")
        require(entry.epoch == self.epoch and not self.is_stale(roster, at), "stale_epoch")
        self.judge_payload(entry, roster, at, replay)

    @property
    def private(self):
        return self.commit is not None and self.commit[5] is not None

    def admits(self, device):
        return not self.private or device in self.commit[5]

    def is_stale(self, roster, at):
        since = self.commit[0][0]
        for device in roster.removed_after(since):
            held = device in self.wrapped or (roster.live(device, since) and self.admits(device))
            if held and not roster.live(device, at):
                return True
        return False

    def judge_commit(self, entry, roster, at, replay):
        head, _, wraps, history, link, audience = (entry.payload[key] for key in range(6))
        if entry.epoch <= self.epoch:
            raise Refused("epoch_taken" if self.epoch else "invalid_entry")
        require(entry.epoch == self.epoch + 1, "invalid_entry")
        require(head[0] == at, "invalid_entry" if replay else "head_moved")
        if self.log == mesh_log(self.mesh):
            require(history == ALL and audience is None, "invalid_entry")
        require(link is None or (history == ALL and entry.epoch > 1), "invalid_entry")
        require(self.commit is None or self.private == (audience is not None), "invalid_entry")
        if audience is not None:
            require(len(set(audience)) == len(audience) and entry.author in audience, "invalid_entry")
        self.judge_wraps(wraps, lambda it: roster.live(it, head[0]) and (audience is None or it in audience))

    def judge_wraps(self, wraps, may_hold):
        devices = [device for device, _, _ in wraps]
        require(len(set(devices)) == len(devices) and all(map(may_hold, devices)), "invalid_entry")

    def judge_payload(self, entry, roster, at, replay):
        payload = entry.payload
        if entry.kind == LINK:
            require(self.commit[3] == ALL and 2 <= payload[0] <= self.epoch, "invalid_entry")
        elif entry.kind == REWRAP:
            require(1 <= payload[0] <= self.epoch, "invalid_entry")
            self.judge_wraps(payload[1], lambda it: roster.live(it, at) and self.admits(it))
        elif entry.kind == BAD_COMMIT:
            require(1 <= payload[0] <= self.epoch, "invalid_entry")
            require(payload[0] < self.epoch or entry.author in self.wrapped, "invalid_entry")
        elif entry.kind == COMPACTION:
            require(roster.is_admin(entry.author, at), "forbidden")
            offsets = payload[0]
            require(all(a < b for a, b in zip(offsets, offsets[1:])), "invalid_entry")
            require(offsets[0] >= 1 and offsets[-1] < len(self.chain), "invalid_entry")
            # A kind is unknown where the hash alone was served.
            kinds = {self.kinds[offset] for offset in offsets}
            require(kinds <= ({RECORDS, None} if replay else {RECORDS}), "invalid_entry")

    def append(self, entry, roster, replay):
        self.judge(entry, roster, replay)
        self.seqs[entry.author] = entry.seq
        self.named = max(self.named, entry.head[0])
        if entry.kind == COMMIT:
            self.epoch, self.commit = entry.epoch, entry.payload
            self.named = max(self.named, entry.payload[0][0])
            self.wrapped = {device for device, _, _ in entry.payload[2]}
        elif entry.kind == REWRAP and entry.payload[0] == self.epoch:
            self.wrapped |= {device for device, _, _ in entry.payload[1]}
        self.extend(entry.hash, entry.kind)

    def extend(self, entry_hash, kind=None):
        self.chain.append(H(self.chain[-1] + entry_hash))
        self.kinds.append(kind)


# Secrets


def epoch_commitment(log, epoch, secret):
    return KDF(secret, L("epoch-commitment") + log + be64(epoch))


def open_link(log, epoch, secret, sealed):
    return open_sealed(KDF(secret, L("history") + log + be64(epoch)), be64(epoch - 1), sealed)


class Keys:
    """The epoch secrets one device learns from a log."""

    def __init__(self, mesh, log, device, prekeys):
        self.mesh, self.log, self.device, self.prekeys = mesh, log, device, prekeys
        self.commitments, self.secrets, self.links, self.bad_wraps = {}, {}, [], []

    def learn(self, entry):
        payload = entry.payload
        if entry.kind == COMMIT:
            self.commitments[entry.epoch] = payload[1]
            if payload[4]:
                self.links.append((entry.epoch, payload[4]))
            self.open_wrap(entry.author, entry.epoch, payload[2])
        elif entry.kind == REWRAP:
            self.open_wrap(entry.author, payload[0], payload[1])
        elif entry.kind == LINK:
            self.links.append((payload[0], payload[1]))
        for epoch, sealed in sorted(self.links, reverse=True):
            if epoch in self.secrets and epoch - 1 not in self.secrets:
                self.take(epoch - 1, lambda: open_link(self.log, epoch, self.secrets[epoch], sealed))

    def open_wrap(self, author, epoch, wraps):
        for device, prekey_id, wrap in wraps:
            if device == self.device and prekey_id in self.prekeys:
                info = L("epoch-wrap") + self.mesh + self.log + be64(epoch) + author + device + be32(prekey_id)
                self.take(epoch, lambda: unwrap(self.prekeys[prekey_id], info, wrap))

    def take(self, epoch, open_secret):
        try:
            secret = open_secret()
        except CannotOpen:
            self.bad_wraps.append((epoch, 1))
            return
        if epoch_commitment(self.log, epoch, secret) == self.commitments.get(epoch):
            self.secrets[epoch] = secret
        else:
            self.bad_wraps.append((epoch, 2))


def open_records(entry, secret):
    context = entry.mesh + entry.log + entry.author + be64(entry.epoch) + be64(entry.seq)
    key = KDF(secret, L("records") + entry.log + be64(entry.epoch))
    try:
        return read(unpad(open_sealed(key, H(L("log-context") + context), entry.payload)), RECORD_LIST)
    except Malformed:
        raise CannotOpen from None


# Directory

SPACES = {*range(9, 14), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}
CONTROLS = {*range(0x20), *range(0x7F, 0xA0)}
UNSEEN = {0xAD, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF}
REFUSED = SPACES | CONTROLS | UNSEEN | {*range(0xFFF9, 0xFFFC), *range(0xE0000, 0xE0080), ord("/"), ord(",")}


def is_name(name):
    fits = 1 <= len(name.encode()) <= 64 and name == name.strip(" ") and name[0] not in "@#*"
    return fits and not any(ord(letter) in REFUSED for letter in name)


DIRECTORY = {1: struct({0: hash32, 1: text(64)}), 2: struct({0: text(64)}), 3: struct({0: string()})}


class Directory:
    def __init__(self):
        self.names, self.label, self.ignored = {}, None, 0

    def apply(self, member, is_admin, kind, data):
        """Takes a record; they come in order."""
        try:
            need(kind in DIRECTORY)
            fields = DIRECTORY[kind](decode(data))
            if kind == 1:
                need(fields[0] == member and is_name(fields[1]))
                self.names[member] = fields[1]
            elif kind == 2:
                need(is_admin and is_name(fields[0]))
                self.label = fields[0]
        except Malformed:
            self.ignored += 1

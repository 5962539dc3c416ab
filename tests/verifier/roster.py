"""The roster of docs/protocol.md section 2: entries, their validity, their effects."""

from cbor import Malformed, hash32, many, number, read, signature, signed, string, struct, text, uint
from crypto import H, L, device_id, invite_id, member_id, public_key, verify

MEMBER, ADMIN, OWNER = 0, 1, 2
MESH_ID = MEMBER_ID = DEVICE_ID = INVITE_ID = hash32

STATEMENT = struct({0: public_key, 1: string(16, 16), 2: number(0, 2)}, {3: MESH_ID})
BODY = struct({1: uint, 2: hash32, 3: DEVICE_ID, 4: uint, 5: string()}, {0: MESH_ID})
ROLE = number(0, 2)
PAYLOADS = [
    struct({0: uint, 1: string(), 2: public_key}),
    struct({0: public_key, 1: ROLE, 2: uint, 3: uint, 4: string()}, {5: MEMBER_ID}),
    struct({0: INVITE_ID}),
    struct({0: string(), 1: INVITE_ID, 2: signature}),
    struct({0: public_key, 1: MEMBER_ID, 2: INVITE_ID, 3: signature}),
    struct({0: DEVICE_ID}),
    struct({0: MEMBER_ID, 1: ROLE}),
    struct({0: MEMBER_ID}),
    struct({0: many(struct({0: public_key, 1: many(text(), 0, 8)}), 0, 8)}),
    struct({0: string(), 1: public_key, 2: signature}),
    struct({}),
]
# Where the join statement stands, in the kinds that bring one.
STATEMENT_KEY = {0: 1, 3: 0, 9: 0}


class Refused(Exception):
    """The entry is invalid; says by which rule."""


def require(condition, why):
    if not condition:
        raise Refused(why)


class Entry:
    """A well-formed entry."""

    def __init__(self, data):
        require(len(data) <= 32 * 1024, "too_large")
        try:
            self.signed, self.signature = read(data, signed)
            self.body = read(self.signed, BODY)
            self.kind = self.body[4]
            require(self.kind < len(PAYLOADS), "unknown_kind")
            self.payload = read(self.body[5], PAYLOADS[self.kind])
            self.statement = self.statement_bytes = None
            if self.kind in STATEMENT_KEY:
                self.statement_bytes = self.payload[STATEMENT_KEY[self.kind]]
                self.statement = read(self.statement_bytes, STATEMENT)
        except Malformed:
            raise Refused("malformed") from None
        self.author = self.body[3]
        self.hash = H(L("roster-entry") + self.signed)

    @property
    def member(self):
        return member_id(self.statement_bytes) if self.statement else None

    def check_signature(self, key):
        require(verify(key, "roster-sig", self.signed, self.signature), "bad_signature")


class Roster:
    """What a chain of entries says. Begins with the genesis in `data`."""

    def __init__(self, data):
        entry = Entry(data)
        require(entry.kind == 0, "misplaced_genesis")
        body, payload, statement = entry.body, entry.payload, entry.statement
        require(body[0] is None, "wrong_mesh")
        require(body[1] == 0, "wrong_index")
        require(body[2] == bytes(32), "wrong_previous")
        require(payload[0] == 1, "unsupported_version")
        require(statement[3] is None, "statement_mismatch")
        require(payload[2] != statement[0], "recovery_is_device")
        require(entry.author == device_id(statement[0]), "wrong_author")
        entry.check_signature(statement[0])
        self.mesh = H(L("mesh-id") + entry.signed)
        self.hashes = [entry.hash]
        self.members, self.devices, self.invites, self.brokers = {}, {}, {}, []
        self.recovery, self.closed = payload[2], False
        self.add_member(entry, OWNER, None)

    # Validity

    def check(self, data):
        entry = Entry(data)
        body = entry.body
        require(entry.kind != 0, "misplaced_genesis")
        require(body[0] == self.mesh, "wrong_mesh")
        require(body[1] == len(self.hashes), "wrong_index")
        require(body[2] == self.hashes[-1], "wrong_previous")
        require(not self.closed, "mesh_closed")
        if entry.kind in (3, 4, 9):
            key = entry.payload[0] if entry.kind == 4 else entry.statement[0]
            require(entry.author == device_id(key), "wrong_author")
            author = None
        else:
            device = self.devices.get(entry.author)
            require(device and device["removed_at"] is None, "author_not_live")
            key, author = device["key"], self.members[device["member"]]
        entry.check_signature(key)
        getattr(self, f"check_{entry.kind}")(author, entry)
        return entry

    def check_1(self, author, entry):
        key, role, uses, _, welcome, member = (entry.payload[key] for key in range(6))
        if member is None:
            require(author["role"] >= ADMIN, "not_allowed")
        else:
            require(author["id"] == member, "not_allowed")
            require(uses == 1, "bad_uses")
        require(invite_id(key) not in self.invites and device_id(key) not in self.devices, "key_used")
        require(role == MEMBER, "role_not_allowed")
        require(1 <= uses <= 1000, "bad_uses")
        require(len(welcome) <= 8 * 1024, "welcome_too_large")

    def check_2(self, author, entry):
        invite = self.invites.get(entry.payload[0])
        require(invite, "unknown_invite")
        require(author["role"] >= ADMIN or author["id"] == invite["creator"], "not_allowed")
        require(invite["closed_at"] is None, "invite_closed")

    def usable_invite(self, invite, member):
        invite = self.invites.get(invite)
        require(invite, "unknown_invite")
        require(invite["member"] == member, "invite_mismatch")
        require(invite["closed_at"] is None, "invite_closed")
        require(invite["used"] < invite["uses"], "invite_used_up")
        return invite

    def check_new_member(self, entry):
        require(entry.statement[3] == self.mesh, "statement_mismatch")
        require(device_id(entry.statement[0]) not in self.devices, "device_known")
        require(entry.member not in self.members, "member_known")

    def check_3(self, _, entry):
        invite = self.usable_invite(entry.payload[1], None)
        self.check_new_member(entry)
        proof = self.mesh + entry.statement_bytes
        require(verify(invite["key"], "invite-join", proof, entry.payload[2]), "bad_invite_signature")

    def check_4(self, _, entry):
        key, member, invite, proof = (entry.payload[key] for key in range(4))
        invite = self.usable_invite(invite, member)
        self.live_member(member)
        live = [it for it in self.devices.values() if it["member"] == member and it["removed_at"] is None]
        require(len(live) < 16, "too_many_devices")
        require(device_id(key) not in self.devices, "device_known")
        require(verify(invite["key"], "invite-device", self.mesh + member + key, proof), "bad_invite_signature")

    def live_member(self, member):
        member = self.members.get(member)
        require(member and member["removed_at"] is None, "unknown_member")
        return member

    def check_rank(self, author, target):
        over = author["role"] == OWNER or (author["role"] == ADMIN and target["role"] <= ADMIN)
        require(over or author["id"] == target["id"], "not_allowed")

    def check_5(self, author, entry):
        device = self.devices.get(entry.payload[0])
        require(device and device["removed_at"] is None, "unknown_device")
        self.check_rank(author, self.members[device["member"]])

    def check_owner_stays(self, target):
        owners = [it for it in self.members.values() if it["role"] == OWNER and it["removed_at"] is None]
        require(owners != [target], "last_owner")

    def check_6(self, author, entry):
        require(author["role"] == OWNER, "not_allowed")
        target = self.live_member(entry.payload[0])
        require(target["role"] != entry.payload[1], "role_unchanged")
        self.check_owner_stays(target)

    def check_7(self, author, entry):
        target = self.live_member(entry.payload[0])
        self.check_rank(author, target)
        self.check_owner_stays(target)

    def check_8(self, author, entry):
        require(author["role"] == OWNER, "not_allowed")
        brokers = entry.payload[0]
        require(brokers and len({broker[0] for broker in brokers}) == len(brokers), "bad_brokers")
        for broker in brokers:
            fits = all(len(it.encode()) <= 256 and it.startswith(("ws://", "wss://")) for it in broker[1])
            require(broker[1] and fits, "bad_brokers")

    def check_9(self, _, entry):
        self.check_new_member(entry)
        proof = self.mesh + entry.payload[1] + entry.statement_bytes
        require(verify(self.recovery, "owner-reset", proof, entry.payload[2]), "bad_recovery_signature")

    def check_10(self, author, _):
        require(author["role"] == OWNER, "not_allowed")

    # Effects

    def apply(self, data):
        entry = self.check(data)
        index, payload = len(self.hashes), entry.payload
        self.hashes.append(entry.hash)
        if entry.kind == 1:
            self.invites[invite_id(payload[0])] = {
                "key": payload[0], "uses": payload[2], "used": 0, "expires": payload[3], "member": payload[5],
                "creator": self.devices[entry.author]["member"], "device": entry.author, "closed_at": None, "joined": [],
            }  # fmt: skip
        elif entry.kind == 2:
            self.close([payload[0]], index)
        elif entry.kind == 3:
            self.invites[payload[1]]["used"] += 1
            self.invites[payload[1]]["joined"].append(entry.member)
            self.add_member(entry, MEMBER, payload[1])
        elif entry.kind == 4:
            self.invites[payload[2]]["used"] += 1
            self.add_device(payload[0], payload[1], index)
        elif entry.kind == 5:
            self.devices[payload[0]]["removed_at"] = index
            own = [it for it in self.invites if self.invites[it]["device"] == payload[0]]
            self.close([it for it in own if self.invites[it]["member"] is not None], index)
        elif entry.kind == 6:
            self.members[payload[0]]["role"] = payload[1]
        elif entry.kind == 7:
            self.remove_member(payload[0], index)
        elif entry.kind == 8:
            self.brokers = payload[0]
        elif entry.kind == 9:
            for member in self.members.values():
                if member["role"] == OWNER and member["removed_at"] is None:
                    member["role"] = MEMBER
            self.add_member(entry, OWNER, None)
            self.recovery = payload[1]
        else:
            self.closed = True
        return entry

    def add_member(self, entry, role, invite):
        index = len(self.hashes) - 1
        self.members[entry.member] = {
            "id": entry.member, "role": role, "kind": entry.statement[2], "joined_at": index, "removed_at": None,
            "invite": invite,
        }  # fmt: skip
        self.add_device(entry.statement[0], entry.member, index)

    def add_device(self, key, member, index):
        self.devices[device_id(key)] = {"key": key, "member": member, "added_at": index, "removed_at": None}

    def remove_member(self, member, index):
        self.members[member]["removed_at"] = index
        for device in self.devices.values():
            if device["member"] == member and device["removed_at"] is None:
                device["removed_at"] = index
        created = [it for it in self.invites if self.invites[it]["creator"] == member]
        self.close([self.members[member]["invite"], *created], index)

    def close(self, invites, index):
        for invite in invites:
            if invite is not None and self.invites[invite]["closed_at"] is None:
                self.invites[invite]["closed_at"] = index


def safety_number(mesh, a, b):
    """Section 2, the last paragraph."""
    number = H(L("safety-number") + mesh + min(a, b) + max(a, b))
    groups = [H(L("safety-group") + i.to_bytes(4, "big") + number)[:5] for i in range(12)]
    return " ".join(f"{int.from_bytes(group, 'big') % 100000:05}" for group in groups)

//! Entries that are not valid, each after some entries of the chain.

use claudemesh_core::codec::{Bytes, HashBytes, List, Signed, encode};
use claudemesh_core::hash::Label;
use claudemesh_core::roster::{
    Broker, BrokersSet, DeviceAdded, DeviceRemoved, EntryBody, Genesis, InviteClosed, InviteCreated, JoinStatement,
    Kind, MAX_SEALED_WELCOME, MemberJoined, MemberRemoved, MeshClosed, OwnerReset, Payload, Role, RoleChanged,
};
use claudemesh_core::{MemberId, MeshId, PublicKey, Roster, Signature, SigningKey};
use serde_json::{Value, json};

use super::chain::{Chain, EXPIRES, REMOVED};
use super::{SIGNATURE, WEAK, code, hex, invite_id, swapped};

/// Every rule, broken.
pub(super) fn cases(chain: &Chain) -> Vec<Value> {
    let mut invalid = Invalid { chain, cases: Vec::new() };
    invalid_genesis(&mut invalid);
    invalid_form(&mut invalid);
    invalid_invites(&mut invalid);
    invalid_joins(&mut invalid);
    invalid_changes(&mut invalid);
    invalid_resets(&mut invalid);
    invalid.cases
}

/// Invalid entries, each after some entries of the chain.
struct Invalid<'a> {
    chain: &'a Chain,
    cases: Vec<Value>,
}

impl Invalid<'_> {
    /// `bytes` are refused after `prefix` entries; after none they are read as a genesis.
    fn bytes(&mut self, name: &str, prefix: usize, bytes: &[u8]) {
        let result = match prefix {
            0 => Roster::genesis(bytes).map(drop),
            _ => self.chain.rosters[prefix - 1].check(bytes).map(drop),
        };
        let error = code(result.expect_err(name));
        self.cases.push(json!({ "name": name, "prefix": prefix, "bytes": hex(bytes), "error": error }));
    }

    fn body(&self, prefix: usize, author: &str, kind: u64, payload: &[u8]) -> EntryBody {
        let head = prefix.checked_sub(1).map(|last| self.chain.rosters[last].head());
        EntryBody {
            mesh: head.map(|_| self.chain.roster().mesh()),
            index: prefix as u64,
            previous: head.map_or(HashBytes([0; 32]), |head| head.hash),
            author: self.chain.public(author).device_id(),
            kind,
            payload: payload.into(),
        }
    }

    /// A properly signed entry with this payload.
    fn payload(&mut self, name: &str, prefix: usize, author: &str, payload: &Payload) {
        self.raw(name, prefix, author, payload.kind(), &payload.encode());
    }

    fn raw(&mut self, name: &str, prefix: usize, author: &str, kind: u64, payload: &[u8]) {
        let bytes = self.body(prefix, author, kind, payload).sign(self.chain.key(author));
        self.bytes(name, prefix, &bytes);
    }

    fn altered(&mut self, name: &str, prefix: usize, alter: impl FnOnce(&mut EntryBody)) {
        let payload = Payload::MeshClosed(MeshClosed {});
        let mut body = self.body(prefix, "alice", payload.kind(), &payload.encode());
        alter(&mut body);
        let bytes = body.sign(self.chain.key("alice"));
        self.bytes(name, prefix, &bytes);
    }
}

fn statement(key: PublicKey, mesh: Option<MeshId>) -> Bytes {
    encode(&JoinStatement { key, random: [0x77; 16], kind: Kind::Human, mesh }).into()
}

fn proof(key: &SigningKey, label: &'static str, parts: &[&[u8]]) -> Signature {
    key.sign(Label::new(label), &parts.concat())
}

fn invalid_genesis(invalid: &mut Invalid) {
    let chain = invalid.chain;
    let alice = chain.public("alice");
    let good = Genesis { version: 1, statement: statement(alice, None), recovery: chain.public("recovery") };
    let elsewhere = MeshId::from_bytes([1; 32]);
    let genesis = |genesis: Genesis| Payload::Genesis(genesis);
    invalid.payload("genesis of another version", 0, "alice", &genesis(Genesis { version: 2, ..good.clone() }));
    let recovery = Genesis { recovery: alice, ..good.clone() };
    invalid.payload("genesis whose recovery key is the device key", 0, "alice", &genesis(recovery));
    let bound = Genesis { statement: statement(alice, Some(elsewhere)), ..good.clone() };
    invalid.payload("genesis whose statement names a mesh", 0, "alice", &genesis(bound));
    invalid.payload("genesis by another device", 0, "stranger", &genesis(good.clone()));
    let payload = genesis(good.clone()).encode();
    invalid.raw("genesis with a weak device key", 0, "alice", 0, &swapped(&payload, alice.as_bytes(), &WEAK));
    let recovery = *chain.public("recovery").as_bytes();
    invalid.raw("genesis with a weak recovery key", 0, "alice", 0, &swapped(&payload, &recovery, &WEAK));
    invalid.raw("another kind at the start", 0, "alice", 10, &[0xa0]);
    let body = invalid.body(0, "alice", 0, &payload);
    let key = chain.key("alice");
    invalid.bytes("genesis at index 1", 0, &EntryBody { index: 1, ..body.clone() }.sign(key));
    invalid.bytes(
        "genesis that follows something",
        0,
        &EntryBody { previous: HashBytes([1; 32]), ..body.clone() }.sign(key),
    );
    invalid.bytes("genesis with a mesh id", 0, &EntryBody { mesh: Some(elsewhere), ..body.clone() }.sign(key));
    invalid.bytes("genesis with a forged signature", 0, &body.sign(chain.key("stranger")));
    let mut null = encode(&body);
    null[0] += 1;
    null.splice(1..1, [0, 0xf6]);
    let signature = key.sign(SIGNATURE, &null);
    invalid.bytes("null in place of an absent mesh id", 0, &encode(&Signed { body: null.into(), signature }));
    invalid.bytes("a second genesis", 1, &chain.entries[0].2);
}

fn invalid_form(invalid: &mut Invalid) {
    let chain = invalid.chain;
    let good = chain.entries[1].2.clone();
    invalid.bytes("nothing", 1, &[]);
    invalid.bytes("cut short", 1, &good[..good.len() - 1]);
    invalid.bytes("bytes after the entry", 1, &[good.clone(), vec![0]].concat());
    let mut flipped = good.clone();
    flipped[100] ^= 1;
    invalid.bytes("a flipped bit", 1, &flipped);
    invalid.altered("mesh id missing", 1, |body| body.mesh = None);
    invalid.altered("another mesh", 1, |body| body.mesh = Some(MeshId::from_bytes([1; 32])));
    invalid.altered("index skipped", 1, |body| body.index += 1);
    invalid.altered("previous hash of another chain", 1, |body| body.previous = HashBytes([1; 32]));
    invalid.altered("unknown kind", 1, |body| body.kind = 11);
    invalid.altered("payload in indefinite length", 1, |body| body.payload = vec![0xbf, 0xff].into());
    invalid.altered("a key twice in the payload", 1, |body| body.payload = vec![0xa2, 7, 0, 7, 0].into());
    invalid.altered("keys out of order in the payload", 1, |body| body.payload = vec![0xa2, 8, 0, 7, 0].into());
    invalid.altered("a number not in shortest form", 1, |body| body.payload = vec![0xa1, 0x18, 7, 0].into());
    invalid
        .altered("a text that is not UTF-8 in the payload", 1, |body| body.payload = vec![0xa1, 7, 0x61, 0xff].into());
    let three = [&[0x83][..], &good[1..], &[0]].concat();
    invalid.bytes("an entry of three parts", 1, &three);
    let forged = invalid.body(1, "alice", 10, &[0xa0]).sign(chain.key("stranger"));
    invalid.bytes("signed by another key", 1, &forged);
    let body = encode(&invalid.body(1, "alice", 10, &[0xa0]));
    let signature = chain.key("alice").sign(Label::new("log-entry"), &body);
    invalid.bytes("signed for another purpose", 1, &encode(&Signed { body: body.into(), signature }));
    invalid.raw("author never in the mesh", 1, "stranger", 10, &[0xa0]);
    let closed = chain.entries.len();
    invalid.raw("an entry after the mesh was closed", closed, "erin", 10, &[0xa0]);
    invalid.raw("author's device removed", chain.after(REMOVED), "bob second", 10, &[0xa0]);
    let gone = chain.after("bob removed, which closes the invites he made");
    invalid.raw("author's member removed", gone, "bob", 10, &[0xa0]);
    let too_large = InviteCreated { sealed_welcome: vec![0; 32 * 1024].into(), ..created(chain.public("stranger")) };
    invalid.payload("entry over 32 KiB", 1, "alice", &Payload::InviteCreated(too_large));
}

fn created(key: PublicKey) -> InviteCreated {
    let sealed_welcome = vec![0xee; 48].into();
    InviteCreated { key, role: Role::Member, uses: 1, expires: EXPIRES, sealed_welcome, member: None }
}

fn invalid_invites(invalid: &mut Invalid) {
    let chain = invalid.chain;
    let at = chain.after("bob becomes admin");
    let good = created(chain.public("stranger"));
    let welcome = vec![0; MAX_SEALED_WELCOME + 1].into();
    for (name, author, payload) in [
        ("invite by a plain member", "carol", good.clone()),
        ("invite with a device's key", "alice", InviteCreated { key: chain.public("carol"), ..good.clone() }),
        ("invite with an invite's key", "alice", InviteCreated { key: chain.public("invite team"), ..good.clone() }),
        ("invite that makes admins", "alice", InviteCreated { role: Role::Admin, ..good.clone() }),
        ("invite without uses", "alice", InviteCreated { uses: 0, ..good.clone() }),
        ("invite with too many uses", "alice", InviteCreated { uses: 1001, ..good.clone() }),
        ("invite with a large welcome", "alice", InviteCreated { sealed_welcome: welcome, ..good.clone() }),
        ("link invite for someone else", "alice", InviteCreated { member: Some(chain.members["bob"]), ..good.clone() }),
        (
            "link invite used twice",
            "bob",
            InviteCreated { member: Some(chain.members["bob"]), uses: 2, ..good.clone() },
        ),
    ] {
        invalid.payload(name, at, author, &Payload::InviteCreated(payload));
    }
    let payload = Payload::InviteCreated(good).encode();
    let weak = swapped(&payload, chain.public("stranger").as_bytes(), &WEAK);
    invalid.raw("invite with a weak key", at, "alice", 1, &weak);
    invalid.raw("invite that makes guests", at, "alice", 1, &swapped(&payload, &[1, 0, 2, 1], &[1, 3, 2, 1]));
    let close = |key: &str| Payload::InviteClosed(InviteClosed { invite: invite_id(chain.key(key)) });
    invalid.payload("closing an unknown invite", at, "alice", &close("stranger"));
    invalid.payload("closing another's invite", at, "carol", &close("invite team"));
    invalid.payload("closing an invite again", chain.after("an admin closes it"), "alice", &close("invite spare"));
}

fn invalid_joins(invalid: &mut Invalid) {
    let chain = invalid.chain;
    let mesh = chain.roster().mesh();
    let elsewhere = MeshId::from_bytes([1; 32]);
    let joined = |who: &str, statement_mesh: Option<MeshId>, proof_mesh: MeshId, invite: &str, signer: &str| {
        let statement = statement(chain.public(who), statement_mesh);
        let signature = proof(chain.key(signer), "invite-join", &[proof_mesh.as_bytes(), &statement]);
        Payload::MemberJoined(MemberJoined { statement, invite: invite_id(chain.key(invite)), signature })
    };
    let at = chain.after("bob's second device");
    let team = "invite team";
    let plain = |invite: &str| joined("stranger", Some(mesh), mesh, invite, invite);
    invalid.payload("joining by an unknown invite", at, "stranger", &plain("stranger"));
    invalid.payload("joining by an invite to link", at, "stranger", &plain("invite bob"));
    invalid.payload("joining by a used-up invite", at, "stranger", &plain("invite guests"));
    let closed = chain.after("an admin closes it");
    invalid.payload("joining by a closed invite", closed, "stranger", &plain("invite spare"));
    let left = chain.after("carol leaves, which closes the invite she joined by");
    invalid.payload("joining by the invite of one who left", left, "stranger", &plain(team));
    for (name, payload) in [
        ("statement without a mesh", joined("stranger", None, mesh, team, team)),
        ("statement for another mesh", joined("stranger", Some(elsewhere), mesh, team, team)),
        ("invite signature for another mesh", joined("stranger", Some(mesh), elsewhere, team, team)),
        ("invite signature by another key", joined("stranger", Some(mesh), mesh, team, "invite guests")),
    ] {
        invalid.payload(name, at, "stranger", &payload);
    }
    invalid.payload("joining with a live device", at, "carol", &joined("carol", Some(mesh), mesh, team, team));
    let removed = chain.after(REMOVED);
    let payload = joined("bob second", Some(mesh), mesh, team, team);
    invalid.payload("joining with a removed device", removed, "bob second", &payload);
    invalid.payload("joining signed by an owner", at, "alice", &plain(team));
    let weak = swapped(&plain(team).encode(), chain.public("stranger").as_bytes(), &WEAK);
    invalid.raw("joining with a weak key", at, "stranger", 3, &weak);

    let added = |invite: &str, member: &str, proved: &str, signer: &str| {
        let (key, member, proved) = (chain.public("stranger"), chain.members[member], chain.members[proved]);
        let parts = [mesh.as_bytes().as_slice(), proved.as_bytes(), key.as_bytes()];
        let signature = proof(chain.key(signer), "invite-device", &parts);
        Payload::DeviceAdded(DeviceAdded { key, member, invite: invite_id(chain.key(invite)), signature })
    };
    let at = chain.after("invite to link a device");
    let bob = "invite bob";
    invalid.payload("linking by an invite to join", at, "stranger", &added(team, "bob", "bob", team));
    invalid.payload("linking to another member", at, "stranger", &added(bob, "alice", "alice", bob));
    invalid.payload("device signature for another member", at, "stranger", &added(bob, "bob", "alice", bob));
    invalid.payload("device signature by another key", at, "stranger", &added(bob, "bob", "bob", team));
    invalid.payload("linking signed by another device", at, "bob", &added(bob, "bob", "bob", bob));
    let used = chain.after("bob's second device");
    invalid.payload("linking by a used-up invite", used, "stranger", &added(bob, "bob", "bob", bob));
    let weak = swapped(&added(bob, "bob", "bob", bob).encode(), chain.public("stranger").as_bytes(), &WEAK);
    invalid.raw("linking with a weak key", at, "stranger", 4, &weak);
    let back = added("invite back", "bob", "bob", "invite back");
    invalid.payload("linking by the invite of a removed device", chain.after(REMOVED), "stranger", &back);
}

fn invalid_changes(invalid: &mut Invalid) {
    let chain = invalid.chain;
    let at = chain.after("dora joins by it");
    let remove = |name: &str| Payload::DeviceRemoved(DeviceRemoved { device: chain.public(name).device_id() });
    invalid.payload("removing an unknown device", at, "alice", &remove("stranger"));
    invalid.payload("a member removes another's device", at, "carol", &remove("dora"));
    invalid.payload("an admin removes an owner's device", at, "bob", &remove("alice"));
    let removed = chain.after(REMOVED);
    invalid.payload("removing a device again", removed, "alice", &remove("bob second"));

    let role = |name: &str, role| Payload::RoleChanged(RoleChanged { member: chain.members[name], role });
    invalid.payload("an admin changes a role", at, "bob", &role("carol", Role::Admin));
    invalid.payload("role unchanged", at, "alice", &role("bob", Role::Admin));
    invalid.payload("the last owner steps down", at, "alice", &role("alice", Role::Member));
    let mut guest = role("carol", Role::Admin).encode();
    *guest.last_mut().unwrap() = 3;
    invalid.raw("a member becomes guest", at, "alice", 6, &guest);
    let left = chain.after("carol leaves, which closes the invite she joined by");
    invalid.payload("role of one who left", left, "alice", &role("carol", Role::Admin));
    let unknown = Payload::RoleChanged(RoleChanged { member: MemberId::from_bytes([1; 32]), role: Role::Admin });
    invalid.payload("role of an unknown member", at, "alice", &unknown);

    let remove = |name: &str| Payload::MemberRemoved(MemberRemoved { member: chain.members[name] });
    invalid.payload("a member removes another", at, "carol", &remove("dora"));
    invalid.payload("an admin removes an owner", at, "bob", &remove("alice"));
    invalid.payload("the last owner leaves", at, "alice", &remove("alice"));
    invalid.payload("removing one who left", left, "alice", &remove("carol"));

    let address = |text: &str| List::from_vec(vec![text.to_owned()]).unwrap();
    let broker = |name: &str, text: &str| Broker { key: chain.public(name), addresses: address(text) };
    let brokers = |list: Vec<Broker>| Payload::BrokersSet(BrokersSet { brokers: List::from_vec(list).unwrap() });
    let long = format!("wss://{}", "a".repeat(251));
    let none = Broker { key: chain.public("broker"), addresses: List::new() };
    invalid.payload("an admin sets brokers", at, "bob", &brokers(vec![broker("broker", "wss://a")]));
    for (name, list) in [
        ("no brokers", vec![]),
        ("a broker without addresses", vec![none]),
        ("a broker twice", vec![broker("broker", "wss://a"), broker("broker", "wss://b")]),
        ("a broker at a web address", vec![broker("broker", "https://a")]),
        ("a broker with a long address", vec![broker("broker", &long)]),
    ] {
        invalid.payload(name, at, "alice", &brokers(list));
    }
    let one = brokers(vec![broker("broker", "wss://a")]).encode();
    let weak = swapped(&one, chain.public("broker").as_bytes(), &WEAK);
    invalid.raw("a broker with a weak key", at, "alice", 8, &weak);
    invalid.raw("nine brokers", at, "alice", 8, &[&[0xa1, 0, 0x89][..], &one[3..].repeat(9)].concat());
    invalid.raw("an admin closes the mesh", at, "bob", 10, &[0xa0]);
}

fn invalid_resets(invalid: &mut Invalid) {
    let chain = invalid.chain;
    let mesh = chain.roster().mesh();
    let reset = |who: &str, statement_mesh: Option<MeshId>, proved: (MeshId, &str), signer: &str| {
        let (statement, recovery) = (statement(chain.public(who), statement_mesh), chain.public("recovery two"));
        let proved_recovery = chain.public(proved.1);
        let parts = [proved.0.as_bytes().as_slice(), proved_recovery.as_bytes(), &statement];
        let signature = proof(chain.key(signer), "owner-reset", &parts);
        Payload::OwnerReset(OwnerReset { statement, recovery, signature })
    };
    let at = chain.after(REMOVED);
    let elsewhere = MeshId::from_bytes([1; 32]);
    let next = "recovery two";
    for (name, author, payload) in [
        ("reset by an owner's key", "stranger", reset("stranger", Some(mesh), (mesh, next), "alice")),
        ("reset by the new recovery key", "stranger", reset("stranger", Some(mesh), (mesh, next), next)),
        ("reset signed for another mesh", "stranger", reset("stranger", Some(mesh), (elsewhere, next), "recovery")),
        ("reset signed for another key", "stranger", reset("stranger", Some(mesh), (mesh, "alice"), "recovery")),
        ("reset without a mesh in the statement", "stranger", reset("stranger", None, (mesh, next), "recovery")),
        ("reset to a live device", "carol", reset("carol", Some(mesh), (mesh, next), "recovery")),
        ("reset to a removed device", "bob second", reset("bob second", Some(mesh), (mesh, next), "recovery")),
        ("reset entry signed by an owner", "alice", reset("stranger", Some(mesh), (mesh, next), "recovery")),
    ] {
        invalid.payload(name, at, author, &payload);
    }
    let old = reset("stranger", Some(mesh), (mesh, next), "recovery");
    let weak = swapped(&old.encode(), chain.public(next).as_bytes(), &WEAK);
    invalid.raw("reset to a weak recovery key", at, "stranger", 9, &weak);
    invalid.payload("reset by a recovery key replaced before", chain.after("owner reset"), "stranger", &old);
}

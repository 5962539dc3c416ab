//! Makes the vectors: two logs that are valid, and entries that no reader may take.

use claudemesh_core::codec::{Bytes, HashBytes, List, Signed, encode};
use claudemesh_core::hash::Label;
use claudemesh_core::key::Secret32;
use claudemesh_core::log::directory::{Directory, DirectoryRecord};
use claudemesh_core::log::*;
use claudemesh_core::testing::SeededRng;
use claudemesh_core::{LogId, MemberId, MeshId, MessageId, SigningKey};
use serde_json::{Value, json};

use crate::roster::{Device, Roster, hex};
use crate::stage::Stage;

pub(crate) fn vectors() -> Value {
    let mut invalid = Vec::new();
    let roster = roster();
    let valid = [mesh_log(&roster, &mut invalid), private_log(&roster, &mut invalid)];
    json!({
        "description": "Logs (protocol section 7). valid: whole logs with the roster they lived under (heads: hash of each \
            roster entry; a device is live from entry `added` until before `removed`), all epoch secrets, every entry with \
            its decoded payload, and the resulting directory. roster_index is the broker's head when it appended. \
            invalid: an entry offered to `log` after its first `after` entries; mode `current` judges it as the broker \
            with the roster at roster_index, `replay` as a reader with that roster, `open` expects the entry to be \
            accepted but its records not to open; error is the protocol's error code.",
        "valid": valid, "invalid": invalid,
    })
}

fn roster() -> Roster {
    let device = |n: u8, added, removed| Device {
        seed: Label::new("vector-device").hash(&[&[n]]),
        member: MemberId::from_bytes(Label::new("vector-member").hash(&[&[n]])),
        added,
        removed,
        admin: n == 1,
        prekey_id: 1000 * u32::from(n),
        prekey: Label::new("vector-prekey").hash(&[&[n]]),
    };
    Roster {
        mesh: MeshId::from_bytes(Label::new("vector-mesh").hash(&[])),
        heads: (0..7u8).map(|n| Label::new("vector-head").hash(&[&[n]])).collect(),
        devices: [
            ("ann".into(), device(1, 0, None)),
            ("bob".into(), device(2, 1, None)),
            ("carl".into(), device(3, 2, Some(4))),
            ("dora".into(), device(4, 3, None)),
            ("emil".into(), device(5, 5, Some(6))),
        ]
        .into(),
    }
}

fn named(roster: &Roster, name: &str, text: &str) -> Record {
    DirectoryRecord::MemberName { member: roster.devices[name].member, name: text.into() }.encode()
}

/// Appends records by `name`.
fn say(stage: &mut Stage<'_>, name: &str, records: &[Record]) {
    let entry = records_by(stage, name, records);
    stage.append(&entry, records);
}

fn records_by(stage: &mut Stage<'_>, name: &str, records: &[Record]) -> LogEntry {
    let epoch = stage.tip.epoch();
    let secret = stage.secrets[&epoch].clone();
    stage.by(name, |writer, rng| build_records(writer, epoch, &secret, records, rng).unwrap())
}

fn text(text: &str) -> Record {
    Record { kind: 40, data: Bytes::from(text.as_bytes()) }
}

fn mesh_log(roster: &Roster, invalid: &mut Vec<Value>) -> Value {
    let mut stage = Stage::new(roster, LogId::of_mesh(&roster.mesh), 1);
    let mut directory = Vec::new();
    let mut fold = |stage: &mut Stage<'_>, name: &'static str, records: Vec<Record>| {
        say(stage, name, &records);
        directory.push((stage.tip.tail().offset, name, records));
    };

    stage.index = 1;
    let first = stage.commit("ann", &["ann", "bob"], HistoryPolicy::All, false, None);
    first_entry(&mut stage, &first, invalid);
    stage.append(&first, &[]);
    let label = DirectoryRecord::MeshLabel("vectors".into()).encode();
    fold(&mut stage, "ann", vec![named(roster, "ann", "ann"), label]);
    fold(&mut stage, "bob", vec![named(roster, "bob", "bob"), text("second")]);
    body_cases(&mut stage, invalid);

    // Carl joins and commits; Ann, who holds both secrets, links them.
    stage.index = 2;
    let second = stage.commit("carl", &["ann", "bob", "carl"], HistoryPolicy::All, false, None);
    commit_cases(&mut stage, &second, invalid);
    stage.append(&second, &[]);
    let (one, two) = (stage.secrets[&1].clone(), stage.secrets[&2].clone());
    let link = stage.by("ann", |writer, rng| build_history_link(writer, 2, 2, &two, &one, rng).unwrap());
    stage.append(&link, &[]);
    fold(&mut stage, "carl", vec![named(roster, "carl", "carl")]);

    // Dora joins and is let in by a re-wrap; Carl is removed, so the epoch ends.
    stage.index = 3;
    let dora = roster.devices["dora"].recipient();
    let rewrap = stage.by("bob", |writer, rng| build_rewrap(writer, 2, 2, &two, &[dora], rng).unwrap());
    stage.append(&rewrap, &[]);
    let stale = records_by(&mut stage, "bob", &[text("stale")]);
    stage.index = 4;
    offer(invalid, &stage, "epoch stale by removal", "current", &stale);
    let gone = records_by(&mut stage, "carl", &[text("gone")]);
    offer(invalid, &stage, "author removed", "current", &gone);
    let to_removed = stage.commit("bob", &["ann", "bob", "carl"], HistoryPolicy::All, true, None);
    offer(invalid, &stage, "wrap to a removed device", "current", &to_removed);
    let to_removed = stage.commit("bob", &["ann", "bob", "carl"], HistoryPolicy::All, true, None);
    offer(invalid, &stage, "wrap to a removed device, replayed", "replay", &to_removed);

    // Ann's wrap for Dora does not open: Dora reports it and commits the next epoch.
    let third = stage.commit("ann", &["ann", "bob", "dora"], HistoryPolicy::All, true, None);
    let third = respin(&roster.devices["ann"].key(), &third, |_, commit| {
        let mut wraps = commit.wraps.to_vec();
        wraps[2].wrap[79] ^= 1;
        commit.wraps = List::from_vec(wraps).unwrap();
    });
    stage.append(&third, &[]);
    let entry = stale_after(&mut stage, "bob", 2);
    offer(invalid, &stage, "epoch over", "replay", &entry);
    let back = {
        stage.index = 3;
        let back = stage.commit("bob", &["ann", "bob", "carl"], HistoryPolicy::All, true, None);
        stage.index = 4;
        back
    };
    offer(invalid, &stage, "commit behind a head the log has named", "replay", &back);
    let report = stage.by("dora", |writer, _| build_bad_commit(writer, 3, 3, BadCommitReason::CannotOpen).unwrap());
    stage.append(&report, &[]);
    let fourth = stage.commit("dora", &["ann", "bob", "dora"], HistoryPolicy::All, false, None);
    stage.append(&fourth, &[]);
    // Dora is no admin, so the label stays; the second name wins.
    let label = DirectoryRecord::MeshLabel("taken over".into()).encode();
    let (early, late) = (named(roster, "dora", "dora"), named(roster, "dora", "dora-2"));
    fold(&mut stage, "dora", vec![early, late, label, named(roster, "ann", "not ann")]);

    compaction_cases(&mut stage, invalid);
    let compaction = stage.by("ann", |writer, _| build_compaction(writer, 4, &[3, 6]).unwrap());
    stage.append(&compaction, &[]);
    // Bob writes with an older position in sight and a gap in his seqs.
    let broadcast =
        DirectoryRecord::Broadcast { id: MessageId::from_bytes([7; 16]), content: Bytes(vec![0xa0]) }.encode();
    let secret = stage.secrets[&4].clone();
    let seen = Position { offset: 9, hash: HashBytes(stage.hash_at(9).unwrap()) };
    let entry = stage.by("bob", |writer, rng| {
        let writer = Writer { seq: writer.seq + 5, seen, ..*writer };
        build_records(&writer, 4, &secret, std::slice::from_ref(&broadcast), rng).unwrap()
    });
    stage.append(&entry, std::slice::from_ref(&broadcast));
    directory.push((stage.tip.tail().offset, "bob", vec![broadcast]));

    // Emil joins and is let in by a re-wrap. His removal ends the epoch although he came after its commit.
    stage.index = 5;
    rule_cases(&mut stage, invalid);
    let emil = roster.devices["emil"].recipient();
    let rewrap = stage.by("ann", |writer, rng| build_rewrap(writer, 4, 4, &secret, &[emil], rng).unwrap());
    stage.append(&rewrap, &[]);
    stage.index = 6;
    let stale = records_by(&mut stage, "bob", &[text("stale")]);
    offer(invalid, &stage, "epoch stale by removal of a device it was re-wrapped to", "current", &stale);
    offer(invalid, &stage, "the same, replayed", "replay", &stale);
    let fifth = stage.commit("bob", &["ann", "bob", "dora"], HistoryPolicy::All, true, None);
    stage.append(&fifth, &[]);

    stage.to_json("mesh log", &json!({ "reader": "ann", "dropped": [3, 6], "directory": folded(roster, &directory) }))
}

fn folded(roster: &Roster, entries: &[(u64, &str, Vec<Record>)]) -> Value {
    let mut directory = Directory::new();
    for (offset, name, records) in entries {
        let device = &roster.devices[*name];
        for (index, record) in records.iter().enumerate() {
            directory.apply((*offset, index as u64), &device.member, device.admin, record, |_| true);
        }
    }
    let names: std::collections::BTreeMap<String, &str> =
        directory.names().map(|(member, name)| (member.to_string(), name)).collect();
    json!({ "names": names, "label": directory.label(), "ignored": directory.ignored() })
}

fn private_log(roster: &Roster, invalid: &mut Vec<Value>) -> Value {
    let log = LogId::from_bytes(*b"private vectors!");
    let mut stage = Stage::new(roster, log, 2);
    stage.index = 5;
    let id = |name: &str| roster.devices[name].id();
    let (policy, audience) = (HistoryPolicy::Joining, [id("ann"), id("bob"), id("dora")]);
    let cases: [(&str, &[&str], &[_]); 2] = [
        ("wrap outside the audience", &["ann", "emil"], &audience),
        ("committer outside the audience", &["bob"], &[id("bob")]),
    ];
    for (name, to, audience) in cases {
        let entry = stage.commit("ann", to, policy, false, Some(audience));
        offer(invalid, &stage, name, "current", &entry);
    }
    let entry = stage.commit("ann", &["ann", "bob"], policy, false, Some(&audience));
    stage.append(&entry, &[]);
    say(&mut stage, "bob", &[text("between us"), Record { kind: 0, data: Bytes::default() }]);

    let secret = stage.secrets[&1].clone();
    let entry = records_by(&mut stage, "dora", &[text("not wrapped yet")]);
    offer(invalid, &stage, "author without access", "current", &entry);
    let emil = roster.devices["emil"].recipient();
    let entry = stage.by("ann", |writer, rng| build_rewrap(writer, 1, 1, &secret, &[emil], rng).unwrap());
    offer(invalid, &stage, "re-wrap outside the audience", "current", &entry);
    let sealed = sealed_link(&mut stage, 1, &secret);
    let entry = stage.commit("ann", &["ann", "bob"], policy, false, Some(&audience));
    let linked = respin(&roster.devices["ann"].key(), &entry, |_, commit| commit.link = Some(sealed));
    offer(invalid, &stage, "commit with a history link without that policy", "current", &linked);
    let doubled = [id("ann"), id("bob"), id("bob")];
    let entry = stage.commit("ann", &["ann", "bob"], policy, false, Some(&doubled));
    offer(invalid, &stage, "audience with a device twice", "current", &entry);
    let entry = stage.commit("ann", &["ann", "bob"], policy, false, None);
    offer(invalid, &stage, "private log opened to the mesh", "current", &entry);
    let entry = stage.by("dora", |writer, _| build_bad_commit(writer, 1, 1, BadCommitReason::Commitment).unwrap());
    offer(invalid, &stage, "report without access", "current", &entry);
    let dora = roster.devices["dora"].recipient();
    let entry = stage.by("bob", |writer, rng| build_rewrap(writer, 1, 1, &secret, &[dora], rng).unwrap());
    stage.append(&entry, &[]);
    // The removal of someone outside the audience does not end the epoch.
    stage.index = 6;
    say(&mut stage, "dora", &[text("here I am")]);
    let entry = stage.commit("dora", &["ann", "dora"], HistoryPolicy::None, false, Some(&[id("ann"), id("dora")]));
    stage.append(&entry, &[]);
    let entry = records_by(&mut stage, "bob", &[text("left out")]);
    offer(invalid, &stage, "author left out of the current commit", "current", &entry);
    let entry = stage.by("ann", |writer, rng| build_history_link(writer, 2, 2, &secret, &secret, rng).unwrap());
    offer(invalid, &stage, "history link without that policy", "current", &entry);
    say(&mut stage, "ann", &[text("without Bob")]);
    open_cases(&mut stage, invalid);
    stage.to_json("private log", &json!({ "reader": "dora", "dropped": [] }))
}

/// Writes down what happens to `entry`, which must not be accepted.
fn offer(invalid: &mut Vec<Value>, stage: &Stage<'_>, name: &str, mode: &str, entry: &LogEntry) {
    let at = if mode == "replay" { At::Replay } else { At::Current };
    let error = check_append(&stage.tip, entry, &stage.view(), at, stage).unwrap_err();
    push(invalid, stage, name, mode, entry.bytes(), error.code());
}

fn push(invalid: &mut Vec<Value>, stage: &Stage<'_>, name: &str, mode: &str, bytes: &[u8], error: &str) {
    invalid.push(json!({
        "name": name, "log": stage.tip.log().to_string(), "after": stage.tip.tail().offset,
        "roster_index": stage.index, "mode": mode, "bytes": hex(bytes), "error": error,
    }));
}

/// Writes down bytes that are no entry.
fn offer_raw(invalid: &mut Vec<Value>, stage: &Stage<'_>, name: &str, bytes: &[u8]) {
    let error = LogEntry::parse(bytes).unwrap_err();
    push(invalid, stage, name, "current", bytes, error.code());
}

fn sign_raw(key: &SigningKey, body: &[u8]) -> Vec<u8> {
    encode(&Signed { body: body.into(), signature: key.sign(Label::new("log-entry"), body) })
}

fn respin(key: &SigningKey, entry: &LogEntry, change: impl FnOnce(&mut LogBody, &mut Commit)) -> LogEntry {
    let (mut body, Payload::Commit(mut commit)) = (entry.body().clone(), entry.payload().clone()) else {
        panic!("a commit");
    };
    change(&mut body, &mut commit);
    body.payload = Bytes(encode(&commit));
    LogEntry::sign(key, &body).unwrap()
}

fn stale_after(stage: &mut Stage<'_>, name: &str, epoch: u64) -> LogEntry {
    let secret = stage.secrets[&epoch].clone();
    stage.by(name, |writer, rng| build_records(writer, epoch, &secret, &[text("late")], rng).unwrap())
}

fn first_entry(stage: &mut Stage<'_>, commit: &LogEntry, invalid: &mut Vec<Value>) {
    let key = stage.roster.devices["ann"].key();
    let report = stage.by("ann", |writer, _| build_bad_commit(writer, 1, 1, BadCommitReason::CannotOpen).unwrap());
    offer(invalid, stage, "first entry is no commit", "current", &report);
    let entry = respin(&key, commit, |body, _| body.epoch = 2);
    offer(invalid, stage, "first commit of a later epoch", "current", &entry);
    let entry = respin(&key, commit, |_, commit| commit.history = HistoryPolicy::Joining);
    offer(invalid, stage, "mesh log without its history", "current", &entry);
    let secret = stage.secrets[&1].clone();
    let link = sealed_link(stage, 1, &secret);
    let entry = respin(&key, commit, |_, commit| commit.link = Some(link));
    offer(invalid, stage, "history link in the first commit", "current", &entry);
    let bob = stage.roster.devices["bob"].id();
    let entry = respin(&key, commit, |body, commit| {
        commit.audience = Some(List::from_vec(vec![body.author, bob]).unwrap());
    });
    offer(invalid, stage, "mesh log with an audience", "current", &entry);
}

fn body_cases(stage: &mut Stage<'_>, invalid: &mut Vec<Value>) {
    let key = stage.roster.devices["ann"].key();
    let good = records_by(stage, "ann", &[text("spoilt")]);
    let bytes = good.bytes();
    offer_raw(invalid, stage, "cut short", &bytes[..bytes.len() - 1]);
    offer_raw(invalid, stage, "bytes after the entry", &[bytes, &[0]].concat());
    let body = good.body_bytes();
    let raw = |body: &[u8]| sign_raw(&key, body);
    let mut kind = body.to_vec();
    let at = 1 + 1 + 34 + 1 + 17 + 1 + 34 + 1;
    kind[at] = 6;
    offer_raw(invalid, stage, "unknown kind", &raw(&kind));
    offer_raw(invalid, stage, "indefinite map", &raw(&[&[0xbf], &body[1..], &[0xff]].concat()));
    offer_raw(invalid, stage, "doubled key", &raw(&[&[0xaa], &body[1..], &[8, 0x40]].concat()));
    offer_raw(invalid, stage, "long integer", &raw(&[&body[..at], &[0x18, 0], &body[at + 1..]].concat()));
    // The roster head is followed by the payload alone.
    let head = body.len() - 40 - good.body().payload.len();
    assert_eq!(body[head - 1..head + 2], [7, 0x82, 1], "the roster head");
    let longer = [&body[..head], &[0x83], &body[head + 1..head + 36], &[0], &body[head + 36..]].concat();
    offer_raw(invalid, stage, "roster head of three items", &raw(&longer));
    offer_raw(invalid, stage, "missing key", &raw(&[&[0xa8], &body[1..at - 1], &body[at + 1..]].concat()));
    let empty = |kind, payload: &[u8]| raw(&encode(&LogBody { kind, payload: payload.into(), ..good.body().clone() }));
    offer_raw(invalid, stage, "compaction of nothing", &empty(EntryKind::Compaction, &[0xa1, 0, 0x80]));
    offer_raw(invalid, stage, "re-wrap to nobody", &empty(EntryKind::Rewrap, &[0xa2, 0, 1, 1, 0x80]));
    offer_raw(invalid, stage, "report without a known reason", &empty(EntryKind::BadCommit, &[0xa2, 0, 1, 1, 0]));

    let mut damaged = bytes.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    offer(invalid, stage, "signature damaged", "current", &LogEntry::parse(damaged).unwrap());
    let bob = stage.roster.devices["bob"].id();
    let other = SigningKey::from_seed(&[1; 32]).public().device_id();
    type Change<'a> = &'a dyn Fn(&mut LogBody);
    let changes: [(&str, &str, Change<'_>); 12] = [
        ("signed by another device", "current", &|body| body.author = bob),
        ("author unknown", "current", &|body| body.author = other),
        ("another mesh", "current", &|body| body.mesh = MeshId::from_bytes([0; 32])),
        ("another log", "current", &|body| body.log = LogId::from_bytes([0; 16])),
        ("epoch yet to come", "current", &|body| body.epoch = 2),
        ("seq zero", "current", &|body| body.seq = 0),
        ("seq used", "current", &|body| body.seq = 2),
        ("position with another hash", "current", &|body| body.seen.hash.0[31] ^= 1),
        ("position beyond the tail", "replay", &|body| body.seen.offset += 1),
        ("roster head ahead", "current", &|body| body.head.index = 9),
        ("roster head forked", "current", &|body| body.head.hash.0[0] ^= 1),
        ("roster head forked, replayed", "replay", &|body| body.head.hash.0[0] ^= 1),
    ];
    for (name, mode, change) in changes {
        let mut body = good.body().clone();
        change(&mut body);
        offer(invalid, stage, name, mode, &LogEntry::sign(&key, &body).unwrap());
    }
    let mut early = records_by(stage, "bob", &[text("early")]).body().clone();
    early.head = claudemesh_core::RosterHead { index: 0, hash: HashBytes(stage.roster.heads[0]) };
    let entry = LogEntry::sign(&stage.roster.devices["bob"].key(), &early).unwrap();
    offer(invalid, stage, "roster head before the author joined", "current", &entry);
}

fn commit_cases(stage: &mut Stage<'_>, commit: &LogEntry, invalid: &mut Vec<Value>) {
    let key = stage.roster.devices["carl"].key();
    let old = claudemesh_core::RosterHead { index: 1, hash: HashBytes(stage.roster.heads[1]) };
    let entry = respin(&key, commit, |_, commit| commit.head = old);
    offer(invalid, stage, "commit at an older head", "current", &entry);
    let entry = respin(&key, commit, |body, _| body.epoch = 1);
    offer(invalid, stage, "epoch taken", "current", &entry);
    let entry = respin(&key, commit, |body, _| body.epoch = 3);
    offer(invalid, stage, "epoch skipped", "current", &entry);
    let entry = respin(&key, commit, |_, commit| {
        let mut wraps = commit.wraps.to_vec();
        wraps[1] = wraps[0].clone();
        commit.wraps = List::from_vec(wraps).unwrap();
    });
    offer(invalid, stage, "device wrapped twice", "current", &entry);
    let dora = stage.roster.devices["dora"].id();
    let entry = respin(&key, commit, |_, commit| {
        let mut wraps = commit.wraps.to_vec();
        wraps[1].device = dora;
        commit.wraps = List::from_vec(wraps).unwrap();
    });
    offer(invalid, stage, "wrap to a device yet to come", "current", &entry);
    let mut body = commit.body().clone();
    // Key 5 as null is not the same as left out.
    body.payload.0[0] += 1;
    body.payload.0.extend([5, 0xf6]);
    offer_raw(invalid, stage, "null for an absent key", &sign_raw(&key, &encode(&body)));
}

/// Some sealed secret, for places where none may stand.
fn sealed_link(stage: &mut Stage<'_>, epoch: u64, secret: &Secret32) -> SealedSecret {
    let mut rng = SeededRng::new(4);
    let entry = stage.by("ann", |writer, _| build_history_link(writer, epoch, 2, secret, secret, &mut rng).unwrap());
    let Payload::HistoryLink(link) = entry.payload() else { panic!("a history link") };
    link.sealed
}

/// Payloads of epoch 4 that break a rule of their kind.
fn rule_cases(stage: &mut Stage<'_>, invalid: &mut Vec<Value>) {
    let secret = stage.secrets[&4].clone();
    let sealed = sealed_link(stage, 4, &secret);
    let [ann, carl] = ["ann", "carl"].map(|name| stage.roster.devices[name].recipient());
    let mut rng = SeededRng::new(5);
    let mut rewrap = |stage: &mut Stage<'_>, of, to: &[Recipient]| {
        stage.by("ann", |writer, _| build_rewrap(writer, 4, of, &secret, to, &mut rng).unwrap())
    };
    let cases = [
        ("re-wrap of epoch 0", rewrap(stage, 0, &[ann])),
        ("re-wrap of an epoch yet to come", rewrap(stage, 5, &[ann])),
        ("re-wrap to a device twice", rewrap(stage, 3, &[ann, ann])),
        ("re-wrap to a removed device", rewrap(stage, 3, &[carl])),
        (
            "report of an epoch yet to come",
            stage.by("ann", |writer, _| build_bad_commit(writer, 4, 5, BadCommitReason::CannotOpen).unwrap()),
        ),
        (
            "report by a device it was not wrapped to",
            stage.by("emil", |writer, _| build_bad_commit(writer, 4, 4, BadCommitReason::CannotOpen).unwrap()),
        ),
    ];
    for (name, entry) in cases {
        offer(invalid, stage, name, "current", &entry);
    }
    let mut body = stage.by("ann", |writer, _| build_compaction(writer, 4, &[3]).unwrap()).body().clone();
    let mut altered = |name, kind, payload: Vec<u8>| {
        (body.kind, body.payload) = (kind, Bytes(payload));
        let entry = LogEntry::sign(&stage.roster.devices["ann"].key(), &body).unwrap();
        offer(invalid, stage, name, "current", &entry);
    };
    let twice = List::from_vec(vec![3, 3]).unwrap();
    altered("compaction of an offset twice", EntryKind::Compaction, encode(&Compaction { offsets: twice }));
    for (name, epoch) in [("history link of epoch 1", 1), ("history link of an epoch yet to come", 5)] {
        altered(name, EntryKind::HistoryLink, encode(&HistoryLink { epoch, sealed }));
    }
    let short = [&[0xa2, 0, 4, 1, 0x58, 71][..], &[0; 71]].concat();
    let body = LogBody { kind: EntryKind::HistoryLink, payload: Bytes(short), ..body };
    let bytes = sign_raw(&stage.roster.devices["ann"].key(), &encode(&body));
    offer_raw(invalid, stage, "history link of 71 bytes", &bytes);
}

fn compaction_cases(stage: &mut Stage<'_>, invalid: &mut Vec<Value>) {
    let tail = stage.tip.tail().offset;
    let cases: [(&str, &str, &[u64]); 4] = [
        ("compaction without rank", "bob", &[3]),
        ("compaction of a commit", "ann", &[3, 4]),
        ("compaction of itself", "ann", &[3, tail + 1]),
        ("compaction of offset zero", "ann", &[0, 3]),
    ];
    for (name, author, offsets) in cases {
        let entry = stage.by(author, |writer, _| build_compaction(writer, 4, offsets).unwrap());
        offer(invalid, stage, name, "current", &entry);
    }
    let mut body = stage.by("ann", |writer, _| build_compaction(writer, 4, &[3, 6]).unwrap()).body().clone();
    body.payload = Bytes(encode(&Compaction { offsets: List::from_vec(vec![6, 3]).unwrap() }));
    let entry = LogEntry::sign(&stage.roster.devices["ann"].key(), &body).unwrap();
    offer(invalid, stage, "compaction out of order", "current", &entry);
}

/// Entries that are accepted, because their content is sealed, but that open to nothing.
fn open_cases(stage: &mut Stage<'_>, invalid: &mut Vec<Value>) {
    let key = stage.roster.devices["ann"].key();
    let good = records_by(stage, "ann", &[text("fine")]);
    let foreign = stage.secrets[&1].clone();
    let mut rng = SeededRng::new(3);
    let mut moved = good.body().clone();
    moved.seq += 1;
    let mut damaged = good.body().clone();
    *damaged.payload.0.last_mut().unwrap() ^= 1;
    let other = stage.by("ann", |writer, _| build_records(writer, 2, &foreign, &[text("x")], &mut rng).unwrap());
    for (name, body) in [
        ("sealed for another seq", &moved),
        ("ciphertext damaged", &damaged),
        ("sealed under another epoch", other.body()),
    ] {
        let entry = LogEntry::sign(&key, body).unwrap();
        stage.check(&entry).unwrap();
        push(invalid, stage, name, "open", entry.bytes(), "malformed");
    }
}

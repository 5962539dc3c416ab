//! The vectors of room records and mentions.
//!
//! The file is made here and compared byte for byte with the stored one; `CLAUDEMESH_WRITE_VECTORS=1` writes it. Then the
//! stored file is replayed as any other implementation would.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside test functions")]

#[path = "vectors_record/raw.rs"]
mod raw;
#[path = "vectors_common/stored.rs"]
mod stored;

use claudemesh_core::address::GroupPath;
use claudemesh_core::codec::Bytes;
use claudemesh_core::log::Record;
use claudemesh_core::record::*;
use claudemesh_core::{LogId, MemberId, MeshId, MessageId, Millis};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use stored::stored;

fn hex(bytes: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(bytes.as_ref())
}

fn unhex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

const fn member(n: u8) -> MemberId {
    MemberId::from_bytes([n; 32])
}

fn id(n: u8) -> MessageId {
    // UUIDv7 as far as version and variant go.
    MessageId::from_bytes([1, 0x97, 0xa0, 0xd4, 0x5d, n, 0x7b, n, 0x8a, n, n, n, n, n, n, n])
}

/// The decoded record, by the keys of its map.
fn fields(record: &RoomRecord) -> Value {
    let ids = |ids: &[MessageId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let members = |ids: &[MemberId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let some = |id: &Option<MemberId>| id.map(|id| id.to_string());
    match record {
        RoomRecord::Topic(it) => json!([it.log.to_string(), it.name.as_str(), it.purpose]),
        RoomRecord::GroupMember(it) => {
            json!([it.path.as_str(), it.member.to_string(), u8::from(it.joined), it.role])
        }
        RoomRecord::Post(it) => json!([
            it.id.to_string(),
            it.text,
            it.sent_at.0,
            it.reply_to.map(|id| id.to_string()),
            it.session,
            members(&it.mentions),
        ]),
        RoomRecord::ThreadResolved(it) => json!([it.id.to_string(), it.resolved]),
        RoomRecord::TopicInfo(it) => json!([it.name.as_str(), it.visibility.code(), it.purpose]),
        RoomRecord::TopicRetention(it) => json!([it.seconds]),
        RoomRecord::TopicMember(it) => json!([it.member.to_string(), it.role.code()]),
        RoomRecord::StateSet(it) => {
            json!([it.key.as_str(), hex(&it.value[..]), it.expected, it.expires.map(|it| it.0)])
        }
        RoomRecord::StateDeleted(it) => json!([it.key.as_str(), it.expected]),
        RoomRecord::Memory(it) => json!([it.id.to_string(), it.text, it.at.0, it.tags]),
        RoomRecord::Forgotten(it) => json!([it.id.to_string(), it.member.to_string()]),
        RoomRecord::Task(it) => {
            json!([it.id.to_string(), it.title, it.at.0, it.body, ids(&it.depends_on), some(&it.assignee)])
        }
        RoomRecord::TaskClaimed(it) => json!([it.id.to_string(), it.session]),
        RoomRecord::TaskReleased(it) => json!([it.id.to_string(), it.fence]),
        RoomRecord::TaskCompleted(it) => json!([it.id.to_string(), it.fence, it.result]),
        other => panic!("{other:?} has no vectors"),
    }
}

fn valid() -> Vec<(&'static str, RoomRecord)> {
    let text = |text: &str| Some(text.to_string());
    let topic = Topic { log: LogId::from_bytes([5; 16]), name: "deploys".parse().unwrap(), purpose: None };
    let group =
        GroupMember { path: GroupPath::new("backend/api").unwrap(), member: member(1), joined: true, role: None };
    let post = Post {
        id: id(1),
        text: "Żółw 🦀\n".into(),
        sent_at: Millis(1_750_000_000_123),
        reply_to: None,
        session: None,
        mentions: vec![],
    };
    let info = TopicInfo { name: "ops".parse().unwrap(), visibility: Visibility::Public, purpose: None };
    let set = |key: &str, value: &str| StateSet {
        key: key.parse().unwrap(),
        value: value.as_bytes().into(),
        expected: None,
        expires: None,
    };
    let memory = Memory { id: id(4), text: "the key is under the mat".into(), at: Millis(9), tags: vec![] };
    let task = Task { id: id(5), title: "ship".into(), at: Millis(9), body: None, depends_on: vec![], assignee: None };
    let deepest = "[".repeat(MAX_VALUE_DEPTH) + &"]".repeat(MAX_VALUE_DEPTH);
    let json = r#" {"a":[1,-0.5e+10,"\ud83e\udd80",null],"a":true} "#;
    vec![
        ("topic", topic.clone().into()),
        ("topic with the longest purpose", Topic { purpose: Some("é".repeat(512)), ..topic }.into()),
        ("group member", group.clone().into()),
        ("group left", GroupMember { joined: false, role: text(""), ..group.clone() }.into()),
        (
            "deepest group, longest role",
            GroupMember { path: GroupPath::new(&["a"; 8].join("/")).unwrap(), role: text(&"r".repeat(64)), ..group }
                .into(),
        ),
        ("post", post.clone().into()),
        (
            "post with everything",
            Post { reply_to: Some(id(2)), session: text("main"), mentions: vec![member(2), member(1)], ..post.clone() }
                .into(),
        ),
        (
            "post with most mentions",
            Post { mentions: (0..64).map(member).collect(), session: text(&"s".repeat(256)), ..post }.into(),
        ),
        ("thread resolved", ThreadResolved { id: id(1), resolved: true }.into()),
        ("thread reopened", ThreadResolved { id: id(1), resolved: false }.into()),
        ("topic info", info.clone().into()),
        ("private topic info", TopicInfo { visibility: Visibility::Private, purpose: text("ops"), ..info }.into()),
        ("topic member", TopicMember { member: member(1), role: TopicRole::Lead }.into()),
        ("topic left", TopicMember { member: member(1), role: TopicRole::None }.into()),
        ("topic retention", TopicRetention { seconds: 30 * 24 * 3600 }.into()),
        ("topic retention for ever", TopicRetention { seconds: 0 }.into()),
        ("state", set("build/status", "\"green\"").into()),
        (
            "state with everything",
            StateSet { expected: Some((1 << 38, 63)), expires: Some(Millis(u64::MAX)), ..set("a b", json) }.into(),
        ),
        ("state that must be new", StateSet { expected: Some((0, 0)), ..set(&"k".repeat(256), "0") }.into()),
        ("deepest state", set("a", &deepest).into()),
        ("state deleted", StateDeleted { key: "a".parse().unwrap(), expected: None }.into()),
        ("state deleted at a version", StateDeleted { key: "a".parse().unwrap(), expected: Some((7, 0)) }.into()),
        ("memory", memory.clone().into()),
        ("memory with most tags", Memory { tags: vec!["t".repeat(64); 32], ..memory }.into()),
        ("forgotten", Forgotten { id: id(4), member: member(3) }.into()),
        ("task", task.clone().into()),
        (
            "task with everything",
            Task {
                title: "t".repeat(1024),
                body: text(""),
                depends_on: (0..32).map(id).collect(),
                assignee: Some(member(2)),
                ..task
            }
            .into(),
        ),
        ("task claimed", TaskClaimed { id: id(5), session: None }.into()),
        ("task claimed by a session", TaskClaimed { id: id(5), session: text("main") }.into()),
        ("task released", TaskReleased { id: id(5), fence: fence((12, 3)) }.into()),
        ("task completed", TaskCompleted { id: id(5), fence: 0, result: None }.into()),
        ("task completed with a result", TaskCompleted { id: id(5), fence: u64::MAX, result: text("done") }.into()),
    ]
}

fn mention_cases() -> Vec<Value> {
    let names = [("ann", 1), ("anna", 2), ("ann lee", 3), ("bob", 4), ("bob", 5), ("all", 6), ("żółw", 7)];
    [
        "@ann",
        "@anna.",
        "@ann lee,",
        "@ann leeward",
        "a@ann",
        "@@ann",
        "@annex",
        "@Ann",
        "@bob @ann @bob",
        "@all",
        "@all, @ann",
        "@allow",
        "(@żółw)",
        "@żółwik",
        "ann",
        "@ ann",
        "@ann@anna",
        "",
    ]
    .iter()
    .map(|text| {
        let found = mentions(text, names.iter().map(|(name, n)| (*name, member(*n))));
        json!({
            "text": text,
            "names": names.iter().map(|(name, n)| json!([name, member(*n).to_string()])).collect::<Vec<_>>(),
            "members": found.members.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "everyone": found.everyone,
        })
    })
    .collect()
}

fn vectors() -> Value {
    let record =
        |name: &str, record: &Record| json!({ "name": name, "kind": record.kind, "data": hex(&record.data[..]) });
    let mut unknown_key = valid()[0].1.encode().unwrap();
    let decoded = RoomRecord::decode(&unknown_key).unwrap();
    unknown_key.data.0[0] += 1;
    unknown_key.data.0.extend([9, 0x81, 0xf5]);
    let valid: Vec<Value> = valid()
        .iter()
        .map(|(name, it)| (*name, it.encode().unwrap(), fields(it)))
        .chain([("unknown key", unknown_key, fields(&decoded))])
        .map(|(name, raw, fields)| {
            let mut value = record(name, &raw);
            value["fields"] = fields;
            value
        })
        .collect();
    let invalid: Vec<Value> = raw::invalid()
        .iter()
        .map(|(name, raw)| {
            let mut value = record(name, raw);
            value["error"] = RoomRecord::decode(raw).unwrap_err().code().into();
            value
        })
        .collect();
    let mesh = MeshId::from_bytes([0x11; 32]);
    json!({
        "description": "Room records (protocol section 8). valid: `data` of a record of `kind`, and what it says, in the order \
                        of its keys, absent ones null. invalid: records that no reader takes; `error` is this \
                        implementation's word for it. mentions: who `text` mentions among `names`. general: the log of \
                        #general of a mesh.",
        "valid": valid,
        "invalid": invalid,
        "mentions": mention_cases(),
        "general": { "mesh": mesh.to_string(), "log": LogId::of_general(&mesh).to_string() },
    })
}

fn read(case: &Value) -> Record {
    Record { kind: case["kind"].as_u64().unwrap(), data: Bytes(unhex(&case["data"])) }
}

#[test]
fn room_records_match_their_vectors() {
    let vectors = stored("record.json", vectors());
    for case in vectors["valid"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let record = RoomRecord::decode(&read(case)).unwrap();
        assert_eq!(fields(&record), case["fields"], "{name}");
        assert_eq!(record.encode().unwrap() == read(case), name != "unknown key", "{name}");
    }
    for case in vectors["invalid"].as_array().unwrap() {
        assert_eq!(RoomRecord::decode(&read(case)).unwrap_err().code(), case["error"], "{}", case["name"]);
    }
    let kinds: std::collections::BTreeSet<u64> =
        vectors["valid"].as_array().unwrap().iter().map(|case| case["kind"].as_u64().unwrap()).collect();
    assert!((0..256).filter(|kind| RoomRecord::is_kind(*kind)).eq(kinds), "every kind has a vector");
}

#[test]
fn mentions_and_general_match_their_vectors() {
    let vectors = stored("record.json", vectors());
    for case in vectors["mentions"].as_array().unwrap() {
        let names = case["names"].as_array().unwrap().iter();
        let names = names.map(|it| (it[0].as_str().unwrap(), it[1].as_str().unwrap().parse().unwrap()));
        let found = mentions(case["text"].as_str().unwrap(), names);
        let members: Vec<String> = found.members.iter().map(ToString::to_string).collect();
        assert_eq!((json!(members), json!(found.everyone)), (case["members"].clone(), case["everyone"].clone()));
    }
    let mesh: MeshId = vectors["general"]["mesh"].as_str().unwrap().parse().unwrap();
    assert_eq!(LogId::of_general(&mesh).to_string(), vectors["general"]["log"]);
}

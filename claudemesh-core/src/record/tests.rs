use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::address::GroupPath;
use crate::codec::Bytes;
use crate::id::{LogId, MemberId, MessageId};
use crate::time::Millis;

const ANN: MemberId = MemberId::from_bytes([1; 32]);
const BOB: MemberId = MemberId::from_bytes([2; 32]);
const ONE: MessageId = MessageId::from_bytes([1; 16]);
const TWO: MessageId = MessageId::from_bytes([2; 16]);

fn key(text: &str) -> StateKey {
    text.parse().unwrap()
}

/// Each kind twice: with everything and with as little as possible.
fn samples() -> Vec<RoomRecord> {
    let (log, name) = (LogId::from_bytes([3; 16]), || "canary".parse().unwrap());
    let path = || GroupPath::new("canary/api").unwrap();
    let text = || Some("canary".to_string());
    vec![
        Topic { log, name: name(), purpose: text() }.into(),
        Topic { log, name: name(), purpose: None }.into(),
        GroupMember { path: path(), member: ANN, joined: true, role: text() }.into(),
        GroupMember { path: path(), member: ANN, joined: false, role: None }.into(),
        Post {
            id: ONE,
            text: "canary".into(),
            sent_at: Millis(7),
            reply_to: Some(TWO),
            session: text(),
            mentions: vec![ANN, BOB],
        }
        .into(),
        Post { id: ONE, text: "c".into(), sent_at: Millis(0), reply_to: None, session: None, mentions: vec![] }.into(),
        ThreadResolved { id: ONE, resolved: true }.into(),
        ThreadResolved { id: ONE, resolved: false }.into(),
        TopicInfo { name: name(), visibility: Visibility::Private, purpose: text() }.into(),
        TopicInfo { name: name(), visibility: Visibility::Public, purpose: None }.into(),
        TopicMember { member: ANN, role: TopicRole::Lead }.into(),
        TopicMember { member: ANN, role: TopicRole::None }.into(),
        StateSet {
            key: key("canary"),
            value: br#"{"canary":[1,2]}"#[..].into(),
            expected: Some((0, 0)),
            expires: Some(Millis(u64::MAX)),
        }
        .into(),
        StateSet { key: key("canary"), value: b"0"[..].into(), expected: None, expires: None }.into(),
        StateDeleted { key: key("canary"), expected: Some((9, 63)) }.into(),
        StateDeleted { key: key("canary"), expected: None }.into(),
        Memory { id: ONE, text: "canary".into(), at: Millis(8), tags: vec!["canary".into(), "b".into()] }.into(),
        Memory { id: ONE, text: "c".into(), at: Millis(8), tags: vec![] }.into(),
        Forgotten { id: ONE, member: BOB }.into(),
        Task {
            id: ONE,
            title: "canary".into(),
            at: Millis(9),
            body: text(),
            depends_on: vec![TWO],
            assignee: Some(ANN),
        }
        .into(),
        Task { id: ONE, title: "c".into(), at: Millis(9), body: None, depends_on: vec![], assignee: None }.into(),
        TaskClaimed { id: ONE, session: text() }.into(),
        TaskClaimed { id: ONE, session: None }.into(),
        TaskReleased { id: ONE, fence: fence((5, 1)) }.into(),
        TaskCompleted { id: ONE, fence: u64::MAX, result: text() }.into(),
        TaskCompleted { id: ONE, fence: 0, result: None }.into(),
    ]
}

#[test]
fn every_record_round_trips() {
    for sample in samples() {
        let record = sample.encode().unwrap();
        assert!(RoomRecord::is_kind(record.kind));
        assert_eq!(record.kind, sample.kind());
        assert_eq!(RoomRecord::decode(&record).as_ref(), Ok(&sample));
    }
    for kind in [0, 1, 2, 3, 6, 15, 21, 31, 34, 50, 68, u64::MAX] {
        let record = Record { kind, data: Bytes(vec![0xa0]) };
        assert_eq!(RoomRecord::decode(&record), Err(RecordError::UnknownKind(kind)));
        assert!(!RoomRecord::is_kind(kind));
    }
}

#[test]
fn debug_says_nothing_of_what_is_written() {
    for sample in samples() {
        let text = format!("{sample:?}");
        assert!(!text.contains("canary"), "{text}");
    }
    assert!(format!("{:?}", samples()[4]).contains("6 bytes"));
}

fn post(text: String) -> Post {
    Post { id: ONE, text, sent_at: Millis(0), reply_to: None, session: None, mentions: vec![] }
}

fn long(limit: usize) -> String {
    "x".repeat(limit + 1)
}

#[test]
fn writers_are_told_which_field_is_over_which_limit() {
    let too_long = |field, limit| RecordError::TooLong { field, limit };
    let topic = Topic { log: LogId::from_bytes([3; 16]), name: "a".parse().unwrap(), purpose: None };
    let group = GroupMember { path: GroupPath::new("a").unwrap(), member: ANN, joined: true, role: None };
    let state = StateSet { key: key("a"), value: b"0"[..].into(), expected: None, expires: None };
    let memory = Memory { id: ONE, text: "a".into(), at: Millis(0), tags: vec![] };
    let task = Task { id: ONE, title: "a".into(), at: Millis(0), body: None, depends_on: vec![], assignee: None };
    let many = |n: usize| vec!["x".to_string(); n];
    let cases: Vec<(RoomRecord, RecordError)> = vec![
        (Topic { purpose: Some(long(1024)), ..topic.clone() }.into(), too_long(Field::Purpose, 1024)),
        (Topic { name: "general".parse().unwrap(), ..topic }.into(), RecordError::Reserved(Field::Name)),
        (GroupMember { role: Some(long(64)), ..group.clone() }.into(), too_long(Field::Role, 64)),
        (
            GroupMember { path: GroupPath::new("all/a").unwrap(), ..group.clone() }.into(),
            RecordError::Reserved(Field::Path),
        ),
        (post(String::new()).into(), RecordError::Empty(Field::Text)),
        (post(long(65_536)).into(), too_long(Field::Text, 65_536)),
        (Post { session: Some(long(256)), ..post("a".into()) }.into(), too_long(Field::Session, 256)),
        (
            Post { mentions: vec![ANN; 65], ..post("a".into()) }.into(),
            RecordError::TooMany { field: Field::Mentions, limit: 64 },
        ),
        (StateSet { value: vec![b' '; 65_537].into(), ..state.clone() }.into(), too_long(Field::Value, 65_536)),
        (StateSet { value: b"{"[..].into(), ..state }.into(), RecordError::NotJson),
        (Memory { text: String::new(), ..memory.clone() }.into(), RecordError::Empty(Field::Text)),
        (Memory { text: long(65_536), ..memory.clone() }.into(), too_long(Field::Text, 65_536)),
        (Memory { tags: many(33), ..memory.clone() }.into(), RecordError::TooMany { field: Field::Tags, limit: 32 }),
        (Memory { tags: vec![long(64)], ..memory.clone() }.into(), too_long(Field::Tag, 64)),
        (Memory { tags: vec![String::new()], ..memory }.into(), RecordError::Empty(Field::Tag)),
        (Task { title: String::new(), ..task.clone() }.into(), RecordError::Empty(Field::Title)),
        (Task { title: long(1024), ..task.clone() }.into(), too_long(Field::Title, 1024)),
        (Task { body: Some(long(65_536)), ..task.clone() }.into(), too_long(Field::Body, 65_536)),
        (
            Task { depends_on: vec![TWO; 33], ..task }.into(),
            RecordError::TooMany { field: Field::Dependencies, limit: 32 },
        ),
        (TaskClaimed { id: ONE, session: Some(long(256)) }.into(), too_long(Field::Session, 256)),
        (TaskCompleted { id: ONE, fence: 0, result: Some(long(65_536)) }.into(), too_long(Field::Result, 65_536)),
    ];
    for (record, error) in cases {
        assert_eq!(record.encode(), Err(error), "{record:?}");
    }
    let group = GroupMember { path: GroupPath::new("allies").unwrap(), ..group };
    assert_eq!(group.check(), Ok(()));
}

#[test]
fn keys_of_states_say_what_is_wrong_with_them() {
    let field = Field::Key;
    for good in ["a", "a b", "é/ü", "a\u{200b}b", &"x".repeat(256)] {
        assert_eq!(key(good).to_string(), good);
    }
    for (bad, error) in [
        ("", RecordError::Empty(field)),
        (&*"x".repeat(257), RecordError::TooLong { field, limit: 256 }),
        (" a", RecordError::Padded(field)),
        ("a\u{3000}", RecordError::Padded(field)),
        ("a\u{7f}b", RecordError::Control { field, character: '\u{7f}' }),
        ("a\n", RecordError::Control { field, character: '\n' }),
    ] {
        assert_eq!(bad.parse::<StateKey>(), Err(error), "{bad:?}");
        assert_eq!(error.field(), Some(field));
    }
}

#[test]
fn unknown_keys_are_ignored_and_second_forms_are_not_taken() {
    let decode = |data: &[u8]| RoomRecord::decode(&Record { kind: TaskReleased::KIND, data: data.into() });
    let id = [&[0x50][..], &[1; 16]].concat();
    let with = |head: &[u8], tail: &[u8]| decode(&[head, &id[..], tail].concat());
    let expected = Ok(TaskReleased { id: ONE, fence: 5 }.into());
    assert_eq!(with(&[0xa2, 0], &[1, 5]), expected);
    assert_eq!(with(&[0xa3, 0], &[1, 5, 9, 0x81, 0xf5]), expected);
    for (head, tail, why) in [
        (&[0xa1, 0][..], &[][..], "no fence"),
        (&[0xa2, 0], &[1, 0x18, 5], "long number"),
        (&[0xa2, 0], &[1, 5, 0], "bytes after it"),
        (&[0xbf, 0], &[1, 5, 0xff], "indefinite"),
        (&[0xa2, 0], &[1, 0x61, b'5'], "text for a number"),
    ] {
        assert_eq!(with(head, tail), Err(RecordError::Malformed), "{why}");
    }
    // {0: id, 1: "a", 2: 0, 5: []}
    let empty = [&[0xa4, 0][..], &id, &[1, 0x61, b'a', 2, 0, 5, 0x80]].concat();
    let record = Record { kind: Post::KIND, data: empty.into() };
    assert_eq!(RoomRecord::decode(&record), Err(RecordError::Malformed), "an empty list");
}

#[test]
fn fences_grow_with_addresses() {
    assert_eq!(fence((1, 0)), 64);
    assert!(fence((1, 63)) < fence((2, 0)));
    assert_eq!(fence((u64::MAX, 63)), u64::MAX);
}

proptest! {
    #[test]
    fn posts_round_trip(
        text in "\\PC{1,40}",
        sent_at in any::<u64>(),
        reply in any::<Option<[u8; 16]>>(),
        session in prop::option::of("\\PC{0,20}"),
        mentions in prop::collection::vec(any::<[u8; 32]>(), 0..5),
    ) {
        let record = RoomRecord::from(Post {
            id: ONE,
            text,
            sent_at: Millis(sent_at),
            reply_to: reply.map(MessageId::from_bytes),
            session,
            mentions: mentions.into_iter().map(MemberId::from_bytes).collect(),
        });
        prop_assert_eq!(RoomRecord::decode(&record.encode().unwrap()), Ok(record));
    }

    #[test]
    fn damaged_records_never_panic(which in 0usize..26, at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut record = samples()[which].encode().unwrap();
        let at = at.index(record.data.len());
        record.data.0[at] = to;
        if let Ok(read) = RoomRecord::decode(&record) {
            // What is taken can be said again, and means the same.
            prop_assert_eq!(RoomRecord::decode(&read.encode().unwrap()), Ok(read));
        }
        record.data.0.truncate(at);
        prop_assert_eq!(RoomRecord::decode(&record), Err(RecordError::Malformed));
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for kind in 0..70 {
            let _ = RoomRecord::decode(&Record { kind, data: bytes.clone().into() });
        }
    }
}

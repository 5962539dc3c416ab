//! Views come out the same in whatever order records come.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// A random record by a random author. Ids, keys and members are few, so that records meet.
fn record() -> impl Strategy<Value = RoomRecord> {
    let n = || 1..5u8;
    let member = || prop::sample::select(vec![ANN, BOB, CARL, DORA]);
    let fence_of = || (1..24u64, 0..3u64).prop_map(fence);
    let expected = || prop::option::of((0..24u64, 0..2u64));
    let key = || prop::sample::select(vec!["a", "b"]);
    let visibility = || prop::sample::select(vec![Visibility::Public, Visibility::Public, Visibility::Private]);
    let roles = vec![TopicRole::None, TopicRole::Observer, TopicRole::Observer, TopicRole::Member, TopicRole::Lead];
    prop_oneof![
        6 => (n(), prop::option::of(n()), prop::bool::ANY).prop_map(|(n, reply, mention)| {
            let mentions = if mention { vec![OWN] } else { vec![] };
            Post { reply_to: reply.map(id), mentions, ..text(n, "some words") }.into()
        }),
        1 => (n(), prop::bool::ANY).prop_map(|(n, resolved)| ThreadResolved { id: id(n), resolved }.into()),
        2 => (visibility(), key()).prop_map(|(visibility, name)| info(name, visibility).into()),
        4 => (member(), prop::sample::select(roles)).prop_map(|(member, is)| role(member, is).into()),
        2 => (key(), n(), expected()).prop_map(|(key, n, expected)| set(key, &n.to_string(), expected).into()),
        2 => (key(), n(), expected()).prop_map(|(key, n, expected)| {
            StateSet { expires: Some(Millis(u64::from(n))), ..set(key, &n.to_string(), expected) }.into()
        }),
        1 => (0..2u64).prop_map(|seconds| TopicRetention { seconds }.into()),
        1 => (key(), expected()).prop_map(|(key, expected)| StateDeleted { key: key.parse().unwrap(), expected }.into()),
        2 => n().prop_map(|n| memory(n, "some words", &["tag"]).into()),
        1 => (n(), member()).prop_map(|(n, member)| Forgotten { id: id(n), member }.into()),
        2 => (n(), prop::option::of(n()), prop::option::of(member())).prop_map(|(n, before, assignee)| {
            task(n, before.as_slice(), assignee).into()
        }),
        3 => n().prop_map(|n| TaskClaimed { id: id(n), session: None }.into()),
        1 => (n(), fence_of()).prop_map(|(n, fence)| TaskReleased { id: id(n), fence }.into()),
        2 => (n(), fence_of()).prop_map(|(n, fence)| TaskCompleted { id: id(n), fence, result: None }.into()),
        1 => (n(), key()).prop_map(|(n, name)| {
            Topic { log: LogId::from_bytes([n; 16]), name: name.parse().unwrap(), purpose: None }.into()
        }),
        1 => (member(), prop::bool::ANY).prop_map(|(member, joined)| {
            let path = claudemesh_core::address::GroupPath::new("a/b").unwrap();
            GroupMember { path, member, joined, role: None }.into()
        }),
    ]
}

pub(super) fn entries(room: i64) -> impl Strategy<Value = Vec<(Written, bool)>> {
    let member = prop::sample::select(vec![ANN, BOB, BOB, CARL, DORA]);
    let broken = Record { kind: 16, data: Bytes(vec![0xa0]) };
    let encoded = prop_oneof![
        20 => record().prop_map(|record| record.encode().unwrap()),
        1 => Just(broken),
    ];
    let entry = (member, prop::bool::weighted(0.2), prop::collection::vec(encoded, 1..3), prop::bool::weighted(0.3));
    prop::collection::vec(entry, 1..24).prop_map(move |entries| {
        (1..)
            .zip(entries)
            .map(|(offset, (member, is_admin, records, late))| {
                (Written { room, offset, by: By(member, is_admin), records }, late)
            })
            .collect()
    })
}

/// Everything the views of a room hold, without what depends on when it came. `sure`: without what may differ because a text
/// is erased for good.
pub(super) fn contents(db: &Connection, sure: bool) -> String {
    let mut out = String::new();
    for sql in [
        "SELECT * FROM topic_public ORDER BY 1, 2",
        "SELECT * FROM topic_info ORDER BY 1",
        "SELECT * FROM topic_role ORDER BY 1, 2, 3",
        "SELECT * FROM topic_retention ORDER BY 1",
        "SELECT * FROM thread ORDER BY 1, 2",
        "SELECT * FROM group_member ORDER BY 1, 2, 3",
        "SELECT * FROM state ORDER BY 1, 2",
        "SELECT * FROM task ORDER BY 1, 2",
        "SELECT * FROM forgotten ORDER BY 1, 2, 3",
        "SELECT * FROM post ORDER BY 1",
        "SELECT * FROM post_erased ORDER BY 1",
        "SELECT * FROM post_count WHERE posts <> 0 ORDER BY 1",
        "SELECT key, mesh, kind FROM notification ORDER BY 1",
        "SELECT room, records FROM room_ignored UNION ALL SELECT key, 0 FROM room_refused ORDER BY 1, 2",
        "SELECT key, id, member FROM memory ORDER BY 1",
        if sure { "SELECT 1" } else { "SELECT key, erased, text, tags FROM memory ORDER BY 1" },
    ] {
        let mut statement = db.prepare(sql).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        writeln!(out, "{sql}").unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<_> = (0..columns).map(|at| row.get::<_, rusqlite::types::Value>(at).unwrap()).collect();
            writeln!(out, "  {values:?}").unwrap();
        }
    }
    out
}

fn check(entries: &[(Written, bool)], batched: bool) -> Result<(), TestCaseError> {
    let mut ordered = Town::new();
    for (written, _) in entries {
        ordered.apply(written, false);
    }
    let mut mixed = Town::new();
    let (late, early): (Vec<_>, Vec<_>) = entries.iter().partition(|(_, late)| *late);
    for (written, _) in &early {
        mixed.apply(written, false);
    }
    if batched {
        let entries: Vec<_> = late.iter().map(|(written, _)| written.entry(true)).collect();
        apply_all(&mixed.db, &entries).unwrap();
    } else {
        for (written, _) in late.iter().rev() {
            mixed.apply(written, true);
        }
    }
    // A lead may have been none when what it made forget was erased.
    let by_roles = |(written, _): &(Written, bool)| {
        written.records.iter().filter_map(|record| RoomRecord::decode(record).ok()).any(
            |record| matches!(&record, RoomRecord::Forgotten(what) if what.member != written.by.0 && !written.by.1),
        )
    };
    let sure = entries.iter().any(by_roles);
    prop_assert_eq!(contents(&ordered.db, sure), contents(&mixed.db, sure));

    let room = entries[0].0.room;
    let entry = entries[0].0.entry(false);
    let whole = Room::new((room, entry.mesh), entry.scope, OWN, 1);
    rebuild::rebuild(&mixed.db, &whole).unwrap();
    prop_assert_eq!(contents(&ordered.db, sure), contents(&mixed.db, sure), "folded anew");
    super::super::search::index_new(&mixed.db).unwrap();
    for table in ["post_text", "memory_text"] {
        let check = format!("INSERT INTO {table} ({table}, rank) VALUES ('integrity-check', 1)");
        mixed.db.execute(&check, []).unwrap();
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn late_records_of_a_topic_change_what_they_would_have_changed(entries in entries(TOPIC), batched in any::<bool>()) {
        check(&entries, batched)?;
    }

    #[test]
    fn late_records_of_general_change_what_they_would_have_changed(entries in entries(GENERAL_ROOM), batched in any::<bool>()) {
        check(&entries, batched)?;
    }

    #[test]
    fn late_records_of_the_mesh_change_what_they_would_have_changed(entries in entries(MESH_ROOM), batched in any::<bool>()) {
        check(&entries, batched)?;
    }
}

//! Compaction and retention.

use proptest::prelude::*;

use super::super::compact::{Survey, apply as drop_entries};
use super::super::{post, retention, search, state as state_view, unread};
use super::order::{contents, entries};
use super::*;

/// Long after everything the tests write.
const LATER: u64 = 10 * 24 * 3600 * 1000;

fn plan(town: &Town, room: i64, now: u64) -> Vec<u64> {
    let mut survey = Survey::default();
    while survey.page(&town.db, room).unwrap() {}
    survey.plan(&town.db, room, now).unwrap()
}

fn whole(room: i64) -> Room {
    Room::new((room, 1), scope(room), OWN, 1)
}

fn sweep(town: &Town, now: u64) {
    while retention::sweep(&town.db, now).unwrap() {}
}

/// What the views hold, without how many records changed nothing: who never saw them counts fewer.
fn seen(town: &Town) -> String {
    town.db.execute("DELETE FROM room_ignored", []).unwrap();
    contents(&town.db, false)
}

/// A replica that was there all the time, and one that only ever saw what was left, come to the same.
fn check(written: &[(Written, bool)], swept: bool, stop: usize) -> Result<(), TestCaseError> {
    let room = written[0].0.room;
    let (before, after) = written.split_at(stop.min(written.len()));
    let mut there = Town::new();
    for (entry, _) in before {
        there.apply(entry, false);
    }
    if swept {
        sweep(&there, LATER);
    }
    let dropped = plan(&there, room, LATER);
    let visible = contents(&there.db, false);
    drop_entries(&there.db, &whole(room), &dropped).unwrap();
    prop_assert!(!dropped.is_empty() || contents(&there.db, false) == visible, "nothing was dropped");
    prop_assert_eq!(plan(&there, room, LATER), Vec::<u64>::new(), "what is left is needed");
    let mut newcomer = Town::new();
    for (entry, _) in before.iter().filter(|(entry, _)| !dropped.contains(&entry.offset)) {
        newcomer.apply(entry, false);
    }
    if swept {
        sweep(&newcomer, LATER);
    }
    prop_assert_eq!(seen(&there), seen(&newcomer), "dropped {:?}", dropped);
    for (entry, _) in after {
        there.apply(entry, false);
        newcomer.apply(entry, false);
    }
    prop_assert_eq!(seen(&there), seen(&newcomer), "written afterwards; dropped {:?}", dropped);
    super::super::search::index_new(&there.db).unwrap();
    for table in ["post_text", "memory_text"] {
        let check = format!("INSERT INTO {table} ({table}, rank) VALUES ('integrity-check', 1)");
        there.db.execute(&check, []).unwrap();
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_topic_comes_out_the_same_from_a_compacted_log(
        written in entries(TOPIC), swept in any::<bool>(), stop in 1..24usize,
    ) {
        check(&written, swept, stop)?;
    }

    #[test]
    fn general_comes_out_the_same_from_a_compacted_log(
        written in entries(GENERAL_ROOM), swept in any::<bool>(), stop in 1..24usize,
    ) {
        check(&written, swept, stop)?;
    }

    #[test]
    fn the_mesh_comes_out_the_same_from_a_compacted_log(
        written in entries(MESH_ROOM), swept in any::<bool>(), stop in 1..24usize,
    ) {
        check(&written, swept, stop)?;
    }

    #[test]
    fn whatever_an_admin_drops_all_replicas_agree(
        written in entries(TOPIC), dropped in prop::collection::btree_set(1..24u64, 1..12),
    ) {
        let (mut there, mut newcomer) = (Town::new(), Town::new());
        for (entry, _) in &written {
            there.apply(entry, false);
        }
        let dropped: Vec<u64> = dropped.into_iter().filter(|offset| *offset <= written.len() as u64).collect();
        drop_entries(&there.db, &whole(TOPIC), &dropped).unwrap();
        for (entry, _) in written.iter().filter(|(entry, _)| !dropped.contains(&entry.offset)) {
            newcomer.apply(entry, false);
        }
        // Of two memories with one name only the first is kept.
        let named = |town: &Town| {
            town.db.execute_batch("DELETE FROM memory").unwrap();
            seen(town)
        };
        prop_assert_eq!(named(&there), named(&newcomer));
    }
}

#[test]
fn values_before_the_last_unconditional_one_go() {
    let mut town = Town::new();
    let first = town.write(MESH_ROOM, ANN, [set("a", "1", None)]);
    let refused = town.write(MESH_ROOM, BOB, [set("a", "2", Some((0, 0)))]);
    let swapped = town.write(MESH_ROOM, BOB, [set("a", "3", Some((first, 0)))]);
    assert_eq!(plan(&town, MESH_ROOM, LATER), [refused], "the chain of conditions stays whole");
    let anew = town.write(MESH_ROOM, ANN, [set("a", "4", None)]);
    let mixed = town.write(MESH_ROOM, ANN, [set("b", "1", None), set("a", "5", None)]);
    assert_eq!(plan(&town, MESH_ROOM, LATER), [first, refused, swapped, anew], "not what another key needs");
    town.write(MESH_ROOM, BOB, [StateDeleted { key: "a".parse().unwrap(), expected: None }]);
    town.write(MESH_ROOM, BOB, [set("b", "2", None)]);
    assert_eq!(plan(&town, MESH_ROOM, LATER), [first, refused, swapped, anew, mixed]);
}

#[test]
fn an_expired_key_goes_as_a_whole_and_is_then_as_if_it_had_never_been() {
    let mut town = Town::new();
    let lock = |value: &str, expected| StateSet { expires: Some(Millis(1_000)), ..set("lock", value, expected) };
    let taken = town.write(MESH_ROOM, ANN, [lock("1", Some((0, 0)))]);
    let lost = town.write(MESH_ROOM, BOB, [lock("2", Some((0, 0)))]);
    let freed = town.write(MESH_ROOM, ANN, [StateDeleted { key: "lock".parse().unwrap(), expected: Some((taken, 0)) }]);
    assert_eq!(plan(&town, MESH_ROOM, 1_001), [lost], "clocks differ: it has not expired for long");
    let dropped = plan(&town, MESH_ROOM, LATER);
    assert_eq!(dropped, [taken, lost, freed]);
    drop_entries(&town.db, &whole(MESH_ROOM), &dropped).unwrap();
    assert_eq!(state_view::get(&town.db, MESH_ROOM, "lock", 0).unwrap(), None);
    assert!(town.says(MESH_ROOM, BOB, set("lock", "3", Some((0, 0)))));
}

#[test]
fn an_entry_stays_when_something_in_it_is_unknown_or_counts_for_others() {
    let mut town = Town::new();
    let unknown = Record { kind: 999, data: Bytes(vec![0xa0]) };
    let value = |n: &str| RoomRecord::from(set("a", n, None)).encode().unwrap();
    let offset = town.skip();
    town.apply(&Written { room: MESH_ROOM, offset, by: ANN.into(), records: vec![value("1"), unknown] }, false);
    let offset = town.skip();
    let raising = Written { room: MESH_ROOM, offset, by: ANN.into(), records: vec![value("2")] };
    apply(&town.db, &Entry { raises: true, ..raising.entry(false) }).unwrap();
    let plain = town.write(MESH_ROOM, ANN, [set("a", "3", None)]);
    town.write(MESH_ROOM, ANN, [set("a", "4", None)]);
    assert_eq!(plan(&town, MESH_ROOM, LATER), [plain]);
}

#[test]
fn a_forgotten_memory_goes_and_what_says_so_stays() {
    let mut town = Town::new();
    let told = town.write(MESH_ROOM, ANN, [memory(1, "a secret", &[])]);
    town.write(MESH_ROOM, ANN, [Forgotten { id: id(1), member: ANN }]);
    let dropped = plan(&town, MESH_ROOM, LATER);
    assert_eq!(dropped, [told]);
    drop_entries(&town.db, &whole(MESH_ROOM), &dropped).unwrap();
    town.write(MESH_ROOM, ANN, [memory(1, "a secret", &[])]);
    let shown: i64 = town.db.query_row("SELECT COUNT(*) FROM memory WHERE erased = 0", [], |row| row.get(0)).unwrap();
    assert_eq!(shown, 0, "said again, it is forgotten again");
}

#[test]
fn posts_past_their_time_are_erased_everywhere_and_then_dropped() {
    const DAY: u64 = 24 * 3600 * 1000;
    let mut town = Town::with_topic(Visibility::Public);
    let old = town.write(TOPIC, BOB, [Post { mentions: vec![OWN], ..text(1, "oldest words") }]);
    town.write(TOPIC, BOB, [Post { sent_at: Millis(3 * DAY), ..text(2, "newer words") }]);
    assert!(!town.says(TOPIC, CARL, TopicRetention { seconds: 1 }), "not for everybody to say");
    town.write(TOPIC, BOB, [TopicRetention { seconds: DAY / 1000 }]);
    assert_eq!(retention::of(&town.db, TOPIC).unwrap(), Some(DAY / 1000));
    sweep(&town, 2 * DAY);
    let query = search::Query::parse("words").unwrap();
    let found = search::posts(&town.db, 1, None, &query, 10).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(unread::unread(&town.db, TOPIC, "main").unwrap(), unread::Unread { posts: 1, mentions: 0 });
    assert_eq!(super::super::notification::unread(&town.db, 1).unwrap(), 0);
    let texts: i64 =
        town.db.query_row("SELECT COUNT(*) FROM post WHERE text LIKE '%oldest%'", [], |row| row.get(0)).unwrap();
    assert_eq!(texts, 0);
    // What was said once is not said again under its id.
    assert!(!town.says(TOPIC, BOB, Post { sent_at: Millis(3 * DAY), ..text(1, "again") }));
    assert!(!plan(&town, TOPIC, 2 * DAY).contains(&old), "the broker keeps it a day longer");
    assert!(plan(&town, TOPIC, 2 * DAY + 2).contains(&old));
    town.write(TOPIC, BOB, [TopicRetention { seconds: 0 }]);
    sweep(&town, LATER);
    assert_eq!(post::history(&town.db, TOPIC, post::Range::default(), 10).unwrap().len(), 1);
}

use super::super::state::{changes, get, list, version};
use super::*;

fn value(town: &Town, key: &str) -> Option<String> {
    let found = get(&town.db, TOPIC, key, 0).unwrap()?;
    found.value.map(|value| String::from_utf8(value).unwrap())
}

fn deleted(key: &str, expected: Option<RecordAt>) -> StateDeleted {
    StateDeleted { key: key.parse().unwrap(), expected }
}

#[test]
fn a_key_has_the_value_set_last_and_its_address_for_a_version() {
    let mut town = Town::with_topic(Visibility::Public);
    let at = town.write(TOPIC, BOB, [set("a", "1", None), set("b", "2", None), set("a", "3", None)]);
    assert_eq!(value(&town, "a").as_deref(), Some("3"));
    let row = get(&town.db, TOPIC, "a", 0).unwrap().unwrap();
    assert_eq!((row.version, row.member), ((at, 2), BOB));
    assert_eq!(get(&town.db, TOPIC, "c", 0).unwrap(), None);
    assert_eq!(get(&town.db, GENERAL_ROOM, "a", 0).unwrap(), None);
    assert_eq!(version(&town.db, TOPIC).unwrap(), (at, 2));
}

#[test]
fn one_of_two_that_expect_the_same_version_wins() {
    let mut town = Town::with_topic(Visibility::Public);
    assert!(town.says(TOPIC, BOB, set("a", "1", Some((0, 0)))));
    assert!(!town.says(TOPIC, CARL, set("a", "2", Some((0, 0)))), "it is there");
    let first = get(&town.db, TOPIC, "a", 0).unwrap().unwrap().version;
    assert!(town.says(TOPIC, CARL, set("a", "3", Some(first))));
    assert!(!town.says(TOPIC, BOB, set("a", "4", Some(first))), "it moved on");
    assert!(!town.says(TOPIC, BOB, set("a", "5", Some((first.0, 64)))), "no such address");
    assert_eq!(value(&town, "a").as_deref(), Some("3"));
}

#[test]
fn a_deleted_key_keeps_a_version() {
    let mut town = Town::with_topic(Visibility::Public);
    town.write(TOPIC, BOB, [set("a", "1", None)]);
    assert!(!town.says(TOPIC, BOB, deleted("a", Some((0, 0)))));
    let at = town.write(TOPIC, BOB, [deleted("a", None)]);
    let row = get(&town.db, TOPIC, "a", 0).unwrap().unwrap();
    assert_eq!((row.value, row.version), (None, (at, 0)));
    assert!(!town.says(TOPIC, BOB, set("a", "2", Some((0, 0)))));
    assert!(town.says(TOPIC, BOB, set("a", "2", Some((at, 0)))));
    assert!(town.says(TOPIC, BOB, deleted("never", Some((0, 0)))));
}

#[test]
fn what_is_past_its_time_reads_as_absent_and_keeps_its_version() {
    let mut town = Town::with_topic(Visibility::Public);
    let short = StateSet { expires: Some(Millis(100)), ..set("a", "1", None) };
    let at = town.write(TOPIC, BOB, [short]);
    let read = |now| get(&town.db, TOPIC, "a", now).unwrap().unwrap();
    assert!(read(99).value.is_some());
    assert_eq!((read(100).value, read(100).version), (None, (at, 0)));
    assert_eq!(list(&town.db, TOPIC, "", None, 100, 9).unwrap(), []);
}

#[test]
fn lists_are_by_prefix_and_page_by_key() {
    let mut town = Town::with_topic(Visibility::Public);
    let records = ["b/1", "b/\u{10ffff}", "b/2", "c", "a", "b", "B/1"].map(|key| set(key, "0", None));
    town.write(TOPIC, BOB, records);
    town.write(TOPIC, BOB, [deleted("b/2", None)]);
    let keys = |prefix: &str, after: Option<&str>, limit| -> Vec<String> {
        list(&town.db, TOPIC, prefix, after, 0, limit).unwrap().into_iter().map(|row| row.key).collect()
    };
    assert_eq!(keys("b/", None, 9), ["b/1", "b/\u{10ffff}"]);
    assert_eq!(keys("", None, 3), ["B/1", "a", "b"]);
    assert_eq!(keys("", Some("b"), 9), ["b/1", "b/\u{10ffff}", "c"]);
    assert_eq!(keys("b/", Some("a"), 9), ["b/1", "b/\u{10ffff}"]);
    assert_eq!(keys("b/", Some("b/1"), 9), ["b/\u{10ffff}"]);
    assert_eq!(keys("d", None, 9), [""; 0]);
}

#[test]
fn watchers_see_of_each_key_the_last_change() {
    let mut town = Town::with_topic(Visibility::Public);
    let first = town.write(TOPIC, BOB, [set("a", "1", None), set("b", "1", None)]);
    town.write(TOPIC, BOB, [set("a", "2", None)]);
    town.write(TOPIC, BOB, [deleted("b", None)]);
    let seen = |after| -> Vec<(String, bool)> {
        let rows = changes(&town.db, TOPIC, after, 0, 9).unwrap();
        rows.into_iter().map(|row| (row.key, row.value.is_some())).collect()
    };
    let all = [("a".to_string(), true), ("b".to_string(), false)];
    assert_eq!(seen((0, 0)), all);
    assert_eq!(seen((first, 1)), all);
    assert_eq!(seen(version(&town.db, TOPIC).unwrap()), []);
}

#[test]
fn observers_set_nothing() {
    let mut town = Town::with_topic(Visibility::Public);
    assert!(town.says(TOPIC, BOB, role(CARL, TopicRole::Observer)));
    assert!(!town.says(TOPIC, CARL, set("a", "1", None)));
    assert!(!town.says(TOPIC, CARL, deleted("a", None)));
    assert!(town.says(MESH_ROOM, CARL, set("a", "1", None)), "nobody observes in the mesh's own log");
}

#[test]
fn a_late_value_decides_what_came_after_it() {
    let mut town = Town::with_topic(Visibility::Public);
    let early = town.skip();
    assert!(town.says(TOPIC, BOB, set("a", "\"mine\"", Some((0, 0)))));
    town.late(TOPIC, CARL, early, [set("a", "\"first\"", Some((0, 0)))]);
    assert_eq!(value(&town, "a").as_deref(), Some("\"first\""));
    assert_eq!(town.ignored(TOPIC), 1);
}

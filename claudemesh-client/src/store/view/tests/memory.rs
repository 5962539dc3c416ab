use super::super::memory::{MemoryRow, Recall, by_id, recall};
use super::super::search::Query;
use super::*;

const ALL: Recall<'_> = Recall { mesh: 1, room: None, query: None, tags: &[], limit: 99 };

fn found(town: &Town, wanted: &Recall<'_>) -> Vec<MessageId> {
    recall(&town.db, wanted).unwrap().into_iter().map(|row: MemoryRow| row.id).collect()
}

const fn forgotten(n: u8, member: MemberId) -> Forgotten {
    Forgotten { id: id(n), member }
}

#[test]
fn memories_are_found_by_words_and_tags() {
    let mut town = Town::with_topic(Visibility::Public);
    town.write(TOPIC, BOB, [memory(1, "the key is under the mat", &["house", "key/spare"])]);
    town.write(MESH_ROOM, CARL, [memory(2, "keys rotate daily", &["crypto"]), memory(3, "tea at five", &[])]);
    town.write(FOREIGN, BOB, [memory(4, "the key of others", &["house"])]);
    let query = |text: &str| Query::parse(text).unwrap();
    assert_eq!(found(&town, &ALL), [id(3), id(2), id(1)], "newest first");
    assert_eq!(found(&town, &Recall { query: Some(&query("key")), ..ALL }), [id(1)]);
    assert_eq!(found(&town, &Recall { query: Some(&query("key*")), ..ALL }).len(), 2);
    assert_eq!(found(&town, &Recall { query: Some(&query("crypto")), ..ALL }), [id(2)], "tags are words too");
    assert_eq!(found(&town, &Recall { room: Some(TOPIC), ..ALL }), [id(1)]);
    assert_eq!(found(&town, &Recall { room: Some(FOREIGN), ..ALL }), [], "another mesh's");
    let tags = |tags: &[&str]| tags.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(found(&town, &Recall { tags: &tags(&["house"]), ..ALL }), [id(1)]);
    assert_eq!(found(&town, &Recall { tags: &tags(&["house", "key/spare"]), ..ALL }), [id(1)]);
    assert_eq!(found(&town, &Recall { tags: &tags(&["house", "crypto"]), ..ALL }), []);
    assert_eq!(found(&town, &Recall { tags: &tags(&["key"]), ..ALL }), [], "a tag is not a word of a tag");
    assert_eq!(found(&town, &Recall { limit: 1, ..ALL }), [id(3)]);
    let row = by_id(&town.db, TOPIC, &id(1)).unwrap().pop().unwrap();
    assert_eq!((row.tags, row.member), (tags(&["house", "key/spare"]), BOB));
}

#[test]
fn better_matches_come_first() {
    let mut town = Town::with_topic(Visibility::Public);
    town.write(
        TOPIC,
        BOB,
        [
            memory(1, "a long tale of many things among which there is also, at the end, a deploy", &[]),
            memory(2, "deploy, deploy, deploy", &["deploy"]),
            memory(3, "nothing of it", &[]),
        ],
    );
    assert_eq!(found(&town, &Recall { query: Some(&Query::parse("deploy").unwrap()), ..ALL }), [id(2), id(1)]);
}

#[test]
fn the_first_of_a_name_counts() {
    let mut town = Town::with_topic(Visibility::Public);
    let early = town.skip();
    assert!(town.says(TOPIC, BOB, memory(1, "second", &[])));
    assert!(!town.says(TOPIC, BOB, memory(1, "third", &[])));
    assert!(town.says(TOPIC, CARL, memory(1, "another's", &[])));
    town.late(TOPIC, BOB, early, [memory(1, "first", &[])]);
    let texts: Vec<String> = by_id(&town.db, TOPIC, &id(1)).unwrap().into_iter().map(|row| row.text).collect();
    assert_eq!(texts, ["first", "another's"]);
    assert_eq!(town.ignored(TOPIC), 2);
    let query = Query::parse("second").unwrap();
    assert_eq!(found(&town, &Recall { query: Some(&query), ..ALL }), []);
}

#[test]
fn the_author_leads_and_admins_make_forget() {
    let mut town = Town::with_topic(Visibility::Private);
    for (n, by, allowed) in
        [(1, By::from(CARL), true), (2, DORA.into(), false), (3, admin(DORA), true), (4, BOB.into(), true)]
    {
        town.write(TOPIC, CARL, [memory(n, "gone", &["tag"])]);
        assert_eq!(town.says(TOPIC, by, forgotten(n, CARL)), allowed, "{n}");
        assert_eq!(by_id(&town.db, TOPIC, &id(n)).unwrap().is_empty(), allowed, "{n}");
    }
    assert_eq!(found(&town, &ALL), [id(2)]);
    assert_eq!(found(&town, &Recall { query: Some(&Query::parse("gone").unwrap()), ..ALL }), [id(2)]);
}

#[test]
fn forgetting_wins_in_whatever_order_it_comes() {
    let mut town = Town::with_topic(Visibility::Public);
    let early = town.skip();
    town.write(TOPIC, CARL, [forgotten(1, CARL)]);
    town.late(TOPIC, CARL, early, [memory(1, "late", &[])]);
    town.write(TOPIC, CARL, [memory(2, "a", &[])]);
    town.write(TOPIC, CARL, [forgotten(2, CARL)]);
    assert!(!town.says(TOPIC, CARL, memory(2, "again", &[])), "its name is taken");
    assert_eq!(found(&town, &ALL), []);
    let kept: i64 = town.db.query_row("SELECT SUM(LENGTH(text)) FROM memory", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 0);
}

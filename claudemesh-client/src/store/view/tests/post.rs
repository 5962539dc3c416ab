use super::super::post::{Range, by_id, history, tail, thread};
use super::super::unread::{Unread, cursor, mark_read, unread};
use super::*;

fn ids(posts: Vec<super::super::post::PostRow>) -> Vec<u8> {
    posts.into_iter().map(|post| post.id.as_bytes()[0]).collect()
}

fn shown(town: &Town) -> Vec<u8> {
    ids(history(&town.db, TOPIC, Range::default(), 99).unwrap())
}

fn reply(n: u8, to: u8) -> Post {
    Post { reply_to: Some(id(to)), ..text(n, "yes") }
}

#[test]
fn history_pages_both_ways() {
    let mut town = Town::with_topic(Visibility::Public);
    let first = town.write(TOPIC, BOB, (1..=5).map(|n| text(n, "a")));
    town.write(TOPIC, CARL, (6..=9).map(|n| text(n, "a")));
    town.write(FOREIGN, CARL, [text(10, "a")]);
    let page = |after, before, limit| ids(history(&town.db, TOPIC, Range { after, before }, limit).unwrap());
    assert_eq!(page(None, None, 3), [7, 8, 9]);
    assert_eq!(page(None, Some((first, 2)), 9), [1, 2]);
    assert_eq!(page(Some((first, 3)), None, 9), [5, 6, 7, 8, 9]);
    assert_eq!(page(Some((first, 1)), Some((first, 4)), 9), [3, 4]);
    assert_eq!(page(Some((u64::MAX, 9)), None, 9), [0; 0]);
    assert_eq!(ids(tail(&town.db, TOPIC, (first, 1), 2).unwrap()), [3, 4]);
    assert_eq!(ids(tail(&town.db, TOPIC, (0, 0), 1).unwrap()), [1]);
}

#[test]
fn a_post_comes_back_as_it_was_written() {
    let mut town = Town::with_topic(Visibility::Public);
    let post = Post { session: Some("s".into()), mentions: vec![ANN, CARL], ..reply(2, 1) };
    let at = town.write(TOPIC, BOB, [post]);
    let row = by_id(&town.db, TOPIC, &id(2)).unwrap().pop().unwrap();
    assert_eq!((row.room, row.at, row.member, row.sent_at), (TOPIC, (at, 0), BOB, 2));
    assert_eq!((row.text.as_str(), row.session.as_deref()), ("yes", Some("s")));
    assert_eq!((row.reply_to, row.mentions), (Some(id(1)), vec![ANN, CARL]));
    assert_eq!(row.device, DeviceId::from_bytes([2; 32]));
}

#[test]
fn a_thread_holds_answers_to_answers() {
    let mut town = Town::with_topic(Visibility::Public);
    town.write(TOPIC, BOB, [text(1, "q"), text(2, "other")]);
    town.write(TOPIC, CARL, [reply(3, 1), reply(4, 2), reply(5, 3), reply(6, 6)]);
    let read = |n, limit| thread(&town.db, TOPIC, &id(n), limit).unwrap();
    assert_eq!(ids(read(1, 9).posts), [1, 3, 5]);
    assert_eq!(ids(read(3, 9).posts), [3, 5]);
    assert_eq!(ids(read(1, 2).posts), [3, 5]);
    assert_eq!(ids(read(6, 9).posts), [6], "an answer to itself");
    assert_eq!(ids(read(9, 9).posts), [0; 0]);
}

#[test]
fn the_latest_word_on_a_thread_counts() {
    let mut town = Town::with_topic(Visibility::Public);
    let resolved = |resolved| ThreadResolved { id: id(1), resolved };
    let is_resolved = |town: &Town| thread(&town.db, TOPIC, &id(1), 9).unwrap().resolved;
    assert!(!is_resolved(&town));
    let early = town.skip();
    town.write(TOPIC, CARL, [resolved(true)]);
    town.late(TOPIC, BOB, early, [resolved(false)]);
    assert!(is_resolved(&town));
    town.write(TOPIC, BOB, [RoomRecord::from(role(CARL, TopicRole::Observer)), resolved(false).into()]);
    assert!(!town.says(TOPIC, CARL, resolved(true)));
    assert!(!is_resolved(&town));
}

#[test]
fn the_first_post_of_a_name_is_shown() {
    let mut town = Town::with_topic(Visibility::Public);
    let early = town.skip();
    assert!(town.says(TOPIC, BOB, text(1, "second")));
    assert!(!town.says(TOPIC, BOB, text(1, "third")));
    assert!(town.says(TOPIC, CARL, text(1, "another's")));
    assert!(town.says(GENERAL_ROOM, BOB, text(1, "elsewhere")));
    town.late(TOPIC, BOB, early, [text(1, "first")]);
    let texts: Vec<String> = by_id(&town.db, TOPIC, &id(1)).unwrap().into_iter().map(|post| post.text).collect();
    assert_eq!(texts, ["first", "another's"]);
    assert_eq!(town.ignored(TOPIC), 2);
}

#[test]
fn a_refused_post_does_not_take_its_name() {
    let mut town = Town::with_topic(Visibility::Private);
    assert!(!town.says(TOPIC, CARL, text(1, "too early")));
    town.write(TOPIC, BOB, [role(CARL, TopicRole::Member)]);
    assert!(town.says(TOPIC, CARL, text(1, "in time")));
    assert_eq!(by_id(&town.db, TOPIC, &id(1)).unwrap()[0].text, "in time");
}

#[test]
fn a_name_goes_to_the_first_post_that_turns_out_allowed() {
    let mut town = Town::with_topic(Visibility::Public);
    let [first, second] = [town.skip(), town.skip()];
    let early = town.write(TOPIC, CARL, [text(1, "a")]);
    town.write(TOPIC, BOB, [role(CARL, TopicRole::Member)]);
    let later = town.write(TOPIC, CARL, [text(1, "a")]);
    let shown = |town: &Town| -> Vec<u64> {
        by_id(&town.db, TOPIC, &id(1)).unwrap().into_iter().map(|post| post.at.0).collect()
    };
    assert_eq!(shown(&town), [early]);
    town.late(TOPIC, BOB, first, [role(CARL, TopicRole::Observer)]);
    assert_eq!(shown(&town), [later]);
    town.late(TOPIC, BOB, second, [role(CARL, TopicRole::Member)]);
    assert_eq!((shown(&town), town.ignored(TOPIC)), (vec![early], 1));
}

#[test]
fn posts_count_by_the_role_at_their_address() {
    let mut town = Town::with_topic(Visibility::Public);
    assert!(town.says(TOPIC, CARL, text(1, "none may write in public")));
    town.write(TOPIC, BOB, [role(CARL, TopicRole::Observer)]);
    assert!(!town.says(TOPIC, CARL, text(2, "an observer may not")));
    town.write(TOPIC, BOB, [role(CARL, TopicRole::Member)]);
    assert!(town.says(TOPIC, CARL, text(3, "a member may")));
    assert_eq!(shown(&town), [1, 3]);
}

#[test]
fn a_late_change_of_roles_judges_posts_again() {
    let mut town = Town::with_topic(Visibility::Public);
    let [first, second] = [town.skip(), town.skip()];
    town.write(TOPIC, CARL, [text(1, "a")]);
    town.write(TOPIC, DORA, [text(2, "a")]);
    town.late(TOPIC, BOB, second, [role(CARL, TopicRole::Observer)]);
    assert_eq!((shown(&town), town.ignored(TOPIC)), (vec![2], 1));
    assert_eq!(unread(&town.db, TOPIC, "main").unwrap().posts, 1);
    town.late(TOPIC, BOB, first, [role(CARL, TopicRole::Lead)]);
    assert_eq!((shown(&town), town.ignored(TOPIC)), (vec![2], 1), "an observer all the same");
    let mut town = Town::new();
    let early = town.skip();
    town.write(TOPIC, CARL, [text(1, "a")]);
    assert_eq!(shown(&town), [1]);
    town.late(TOPIC, BOB, early, [info("ops", Visibility::Private)]);
    assert_eq!(shown(&town), [0; 0]);
}

#[test]
fn general_takes_everyone_but_observers() {
    let mut town = Town::new();
    let general = |town: &Town| ids(history(&town.db, GENERAL_ROOM, Range::default(), 9).unwrap());
    assert!(town.says(GENERAL_ROOM, CARL, text(1, "a")));
    assert!(!town.says(GENERAL_ROOM, BOB, role(CARL, TopicRole::Observer)));
    assert!(!town.says(GENERAL_ROOM, admin(BOB), role(CARL, TopicRole::Lead)));
    assert!(!town.says(GENERAL_ROOM, admin(BOB), role(CARL, TopicRole::None)));
    assert!(town.says(GENERAL_ROOM, admin(BOB), role(CARL, TopicRole::Observer)));
    assert!(!town.says(GENERAL_ROOM, CARL, text(2, "a")));
    assert!(town.says(GENERAL_ROOM, admin(CARL), text(3, "an admin is no observer")));
    assert!(town.says(GENERAL_ROOM, admin(BOB), role(CARL, TopicRole::Member)));
    assert!(town.says(GENERAL_ROOM, CARL, text(4, "a")));
    assert_eq!(general(&town), [1, 3, 4]);
}

#[test]
fn what_is_unread_is_counted_for_each_session() {
    let mut town = Town::with_topic(Visibility::Public);
    let mut at = 0;
    for n in 1..=200u8 {
        let by = if n % 4 == 0 { ANN } else { BOB };
        let mentions = if n % 50 == 1 { vec![ANN] } else { vec![] };
        at = town.write(TOPIC, by, [Post { mentions, ..text(n, "a") }]);
        // Three chunks of addresses.
        town.next += 4;
    }
    let read = |session: &str| unread(&town.db, TOPIC, session).unwrap();
    assert_eq!(read("main"), Unread { posts: 150, mentions: 4 });
    assert_eq!(cursor(&town.db, TOPIC, "main").unwrap(), None);
    let nth = |n: u64| (at - 5 * (200 - n), 0);
    mark_read(&town.db, TOPIC, "main", nth(100)).unwrap();
    assert_eq!(read("main"), Unread { posts: 75, mentions: 2 });
    assert_eq!(read("other").posts, 150);
    mark_read(&town.db, TOPIC, "main", nth(50)).unwrap();
    assert_eq!(cursor(&town.db, TOPIC, "main").unwrap(), Some(nth(100)), "never back");
    for n in [101, 148, 151, 199] {
        mark_read(&town.db, TOPIC, "main", nth(n)).unwrap();
        assert_eq!(read("main").posts, 150 - (n - n / 4), "{n}");
    }
    mark_read(&town.db, TOPIC, "main", (u64::MAX, 0)).unwrap();
    assert_eq!(read("main"), Unread::default());
}

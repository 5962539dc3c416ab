use super::super::notification::{self, Subject, notifications};
use super::super::post;
use super::*;

fn subjects(town: &Town) -> Vec<(u64, Subject)> {
    let rows = notifications(&town.db, 1, false, 99).unwrap();
    rows.into_iter().map(|row| (row.at.0, row.subject)).collect()
}

fn mentioning(n: u8, member: MemberId) -> Post {
    Post { mentions: vec![member], ..text(n, "hey") }
}

fn reply(n: u8, to: u8) -> Post {
    Post { reply_to: Some(id(to)), ..text(n, "yes") }
}

#[test]
fn what_concerns_the_own_member_is_told() {
    let mut town = Town::with_topic(Visibility::Public);
    town.write(TOPIC, ANN, [text(1, "mine")]);
    town.write(TOPIC, ANN, [RoomRecord::from(mentioning(2, ANN)), reply(3, 1).into(), task(1, &[], Some(ANN)).into()]);
    town.write(TOPIC, BOB, [mentioning(4, CARL), reply(5, 9), text(6, "all")]);
    assert_eq!(subjects(&town), [], "nothing of this concerns Ann, or she did it herself");
    let mention = town.write(TOPIC, BOB, [mentioning(7, ANN)]);
    let answer = town.write(TOPIC, CARL, [reply(8, 1)]);
    let work = town.write(TOPIC, BOB, [task(9, &[], Some(ANN)), task(10, &[], Some(BOB))]);
    let place = town.write(TOPIC, BOB, [role(ANN, TopicRole::Member), role(CARL, TopicRole::Member)]);
    let post = |n| post::by_id(&town.db, TOPIC, &id(n)).unwrap().pop().unwrap();
    assert_eq!(
        subjects(&town),
        [
            (place, Subject::Membership { role: TopicRole::Member, by: BOB }),
            (work, Subject::Task { id: id(9), title: "task 9".into(), by: BOB }),
            (answer, Subject::Reply(post(8))),
            (mention, Subject::Mention(post(7))),
        ]
    );
    assert_eq!(notifications(&town.db, 2, false, 99).unwrap(), []);
}

#[test]
fn joining_oneself_and_being_put_out_is_no_news() {
    let mut town = Town::with_topic(Visibility::Public);
    assert!(town.says(TOPIC, ANN, role(ANN, TopicRole::Member)));
    assert!(town.says(TOPIC, BOB, role(ANN, TopicRole::Member)), "which she is");
    assert!(town.says(TOPIC, BOB, role(ANN, TopicRole::None)));
    assert_eq!(subjects(&town), []);
}

#[test]
fn what_was_read_stays_read_when_the_room_is_folded_anew() {
    let mut town = Town::with_topic(Visibility::Public);
    let early = town.skip();
    let work = town.write(TOPIC, BOB, [task(1, &[], Some(ANN))]);
    town.write(TOPIC, BOB, [mentioning(2, ANN)]);
    assert_eq!(notification::unread(&town.db, 1).unwrap(), 2);
    assert!(notification::mark_read(&town.db, 1, TOPIC, (work, 0), 5).unwrap());
    assert!(!notification::mark_read(&town.db, 1, TOPIC, (work, 0), 6).unwrap(), "once");
    assert!(!notification::mark_read(&town.db, 2, TOPIC, (work, 0), 5).unwrap(), "another mesh");
    town.late(TOPIC, BOB, early, [set("a", "1", None)]);
    assert_eq!(notification::unread(&town.db, 1).unwrap(), 1);
    let unread = notifications(&town.db, 1, true, 9).unwrap();
    assert!(matches!(unread[0].subject, Subject::Mention(_)));
    assert_eq!(notification::mark_all_read(&town.db, 1, unread[0].received_at, 7).unwrap(), 1);
    assert_eq!(notification::unread(&town.db, 1).unwrap(), 0);
    notification::sweep(&town.db, 8).unwrap();
    assert_eq!(subjects(&town).len(), 1, "the task's would come again");
}

#[test]
fn what_a_late_record_undoes_is_not_told_any_more() {
    let mut town = Town::with_topic(Visibility::Public);
    let early = town.skip();
    town.write(TOPIC, BOB, [task(1, &[], Some(ANN))]);
    town.write(TOPIC, CARL, [mentioning(2, ANN)]);
    assert_eq!(subjects(&town).len(), 2);
    town.late(TOPIC, BOB, early, [RoomRecord::from(task(1, &[], None)), role(CARL, TopicRole::Observer).into()]);
    assert_eq!(subjects(&town), []);
}

#[test]
fn an_own_post_that_comes_late_finds_its_answers() {
    let mut town = Town::with_topic(Visibility::Public);
    let early = town.skip();
    let answer = town.write(TOPIC, BOB, [reply(2, 1)]);
    town.write(TOPIC, ANN, [reply(3, 1)]);
    assert_eq!(subjects(&town), []);
    town.late(TOPIC, ANN, early, [text(1, "mine")]);
    let told: Vec<u64> = subjects(&town).into_iter().map(|(at, _)| at).collect();
    assert_eq!(told, [answer]);
}

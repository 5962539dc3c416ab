use super::super::topic::{News, TopicRow, Viewer, members, news, topics};
use super::super::unread::{Unread, mark_read};
use super::*;

const VIEWER: Viewer = Viewer { mesh: 1, id: MESH, own: OWN, is_admin: false };

fn announced(name: &str, log: LogId, purpose: Option<&str>) -> Topic {
    Topic { log, name: name.parse().unwrap(), purpose: purpose.map(Into::into) }
}

fn names(town: &Town) -> Vec<(String, bool)> {
    topics(&town.db, &VIEWER).unwrap().into_iter().map(|topic| (topic.name, topic.announced)).collect()
}

fn by_name(town: &Town, name: &str) -> Vec<TopicRow> {
    topics(&town.db, &VIEWER).unwrap().into_iter().filter(|topic| topic.name == name).collect()
}

fn one(town: &Town, name: &str) -> TopicRow {
    let found = by_name(town, name);
    assert_eq!(found.len(), 1, "{name}");
    found.into_iter().next().unwrap()
}

const fn log(n: u8) -> LogId {
    LogId::from_bytes([n; 16])
}

#[test]
fn general_is_always_there() {
    let town = Town::new();
    let general = one(&town, "general");
    assert_eq!((general.room, general.followed, general.private), (Some(GENERAL_ROOM), true, false));
    assert_eq!(general.role, TopicRole::Member);
    let as_admin = topics(&town.db, &Viewer { is_admin: true, ..VIEWER }).unwrap();
    assert_eq!(as_admin[0].role, TopicRole::Lead);
    let elsewhere = Viewer { mesh: 2, id: MeshId::from_bytes([6; 32]), ..VIEWER };
    assert_eq!(topics(&town.db, &elsewhere).unwrap()[0].room, None);
}

#[test]
fn the_first_to_take_a_name_or_a_log_has_it() {
    let mut town = Town::new();
    let early = town.skip();
    assert!(town.says(MESH_ROOM, BOB, announced("ops", log(20), Some("on call"))));
    assert!(!town.says(MESH_ROOM, CARL, announced("ops", log(21), None)), "the name is taken");
    assert!(!town.says(MESH_ROOM, CARL, announced("dev", log(20), None)), "the log is taken");
    assert!(!town.says(MESH_ROOM, CARL, announced("dev", LogId::of_general(&MESH), None)));
    assert!(!town.says(MESH_ROOM, CARL, announced("dev", LogId::of_mesh(&MESH), None)));
    let ops = one(&town, "ops");
    assert_eq!((ops.log, ops.room, ops.followed, ops.purpose.as_deref()), (log(20), None, false, Some("on call")));
    town.late(MESH_ROOM, DORA, early, [announced("ops", log(22), None)]);
    assert_eq!(one(&town, "ops").log, log(22));
    assert_eq!(one(&town, "dev").log, log(20), "which was refused for a log that is free now");
}

#[test]
fn a_topic_is_listed_by_what_the_mesh_and_itself_say() {
    let mut town = Town::with_topic(Visibility::Private);
    assert_eq!(names(&town), [("general".into(), true), ("ops".into(), false)]);
    let ops = one(&town, "ops");
    assert_eq!((ops.private, ops.role, ops.log), (true, TopicRole::None, TOPIC_LOG));
    town.write(MESH_ROOM, CARL, [announced("ops", log(30), None), announced("a", log(31), None)]);
    let expected = [("general", true), ("a", true), ("ops", true), ("ops", false)];
    assert_eq!(names(&town), expected.map(|(name, announced)| (name.to_string(), announced)));
    assert_eq!(by_name(&town, "ops").len(), 2, "no guess");
    let foreign = Viewer { mesh: 2, id: MeshId::from_bytes([6; 32]), ..VIEWER };
    assert_eq!(topics(&town.db, &foreign).unwrap().len(), 1, "another mesh");
}

#[test]
fn an_announced_topic_keeps_its_name_and_takes_the_purpose_of_its_info() {
    let mut town = Town::with_topic(Visibility::Public);
    town.write(MESH_ROOM, BOB, [announced("deploys", TOPIC_LOG, Some("old"))]);
    assert!(town.says(TOPIC, BOB, TopicInfo { purpose: Some("new".into()), ..info("other", Visibility::Public) }));
    let topic = one(&town, "deploys");
    assert_eq!((topic.purpose.as_deref(), topic.room, topic.announced), (Some("new"), Some(TOPIC), true));
    assert_eq!(by_name(&town, "other"), []);
}

#[test]
fn a_topic_shows_what_is_new() {
    let mut town = Town::with_topic(Visibility::Public);
    town.write(MESH_ROOM, BOB, [announced("ops", TOPIC_LOG, None)]);
    town.write(TOPIC, BOB, [role(ANN, TopicRole::Member)]);
    let at = town.write(TOPIC, BOB, [text(1, "a"), Post { mentions: vec![ANN], ..text(2, "b") }, text(3, "c")]);
    let ops = one(&town, "ops");
    assert_eq!((ops.role, ops.room), (TopicRole::Member, Some(TOPIC)));
    let before = news(&town.db, ops.room, "main").unwrap();
    assert_eq!((before.unread, before.last.unwrap().text.as_str()), (Unread { posts: 3, mentions: 1 }, "c"));
    mark_read(&town.db, TOPIC, "main", (at, 1)).unwrap();
    assert_eq!(news(&town.db, ops.room, "main").unwrap().unread, Unread { posts: 1, mentions: 0 });
    assert_eq!(news(&town.db, None, "main").unwrap(), News::default());
}

#[test]
fn whoever_describes_a_topic_first_leads_it() {
    let mut town = Town::with_topic(Visibility::Private);
    assert_eq!(members(&town.db, TOPIC).unwrap(), [(BOB, TopicRole::Lead)]);
    assert!(!town.says(TOPIC, CARL, info("mine", Visibility::Private)));
    assert!(!town.says(TOPIC, admin(CARL), info("mine", Visibility::Private)), "not even an admin");
    assert!(!town.says(TOPIC, BOB, info("ops", Visibility::Public)), "what is private stays so");
    assert!(town.says(TOPIC, BOB, info("ops2", Visibility::Private)));
    assert_eq!(one(&town, "ops2").log, TOPIC_LOG);
    let mut town = Town::with_topic(Visibility::Public);
    assert!(town.says(TOPIC, admin(CARL), info("ops2", Visibility::Public)));
    assert_eq!(members(&town.db, TOPIC).unwrap(), [(BOB, TopicRole::Lead)]);
}

#[test]
fn roles_are_given_by_leads() {
    let mut town = Town::with_topic(Visibility::Private);
    assert!(!town.says(TOPIC, CARL, role(CARL, TopicRole::Member)), "no one joins a private topic");
    assert!(!town.says(TOPIC, admin(CARL), role(CARL, TopicRole::Member)));
    assert!(town.says(TOPIC, BOB, role(CARL, TopicRole::Member)));
    assert!(!town.says(TOPIC, CARL, role(DORA, TopicRole::Member)));
    assert!(!town.says(TOPIC, CARL, role(CARL, TopicRole::Lead)));
    assert!(town.says(TOPIC, BOB, role(DORA, TopicRole::Observer)));
    assert_eq!(
        members(&town.db, TOPIC).unwrap(),
        [(BOB, TopicRole::Lead), (CARL, TopicRole::Member), (DORA, TopicRole::Observer)]
    );
    let mut town = Town::with_topic(Visibility::Public);
    assert!(town.says(TOPIC, CARL, role(CARL, TopicRole::Member)), "anybody joins a public one");
    assert!(town.says(TOPIC, admin(DORA), role(CARL, TopicRole::Lead)));
    let mut town = Town::new();
    assert!(!town.says(TOPIC, admin(BOB), role(CARL, TopicRole::Member)), "what has not been described");
}

#[test]
fn members_step_down_and_do_not_step_up() {
    let mut town = Town::with_topic(Visibility::Public);
    town.write(TOPIC, BOB, [role(CARL, TopicRole::Lead)]);
    assert!(town.says(TOPIC, CARL, role(CARL, TopicRole::Observer)));
    assert!(!town.says(TOPIC, CARL, role(CARL, TopicRole::Member)));
    assert!(town.says(TOPIC, CARL, role(CARL, TopicRole::None)));
    assert!(!town.says(TOPIC, CARL, role(CARL, TopicRole::Member)), "who left as an observer stays one");
    assert!(!town.says(TOPIC, CARL, text(1, "a")));
    assert!(town.says(TOPIC, BOB, role(CARL, TopicRole::None)), "until a lead says otherwise");
    assert!(town.says(TOPIC, CARL, text(1, "a")));
    assert!(town.says(TOPIC, CARL, role(CARL, TopicRole::Member)));
}

#[test]
fn the_last_lead_stays_while_others_are_in_the_topic() {
    let mut town = Town::with_topic(Visibility::Private);
    town.write(TOPIC, BOB, [role(CARL, TopicRole::Observer)]);
    assert!(!town.says(TOPIC, BOB, role(BOB, TopicRole::None)));
    assert!(!town.says(TOPIC, BOB, role(BOB, TopicRole::Member)));
    assert!(town.says(TOPIC, BOB, role(CARL, TopicRole::Lead)));
    assert!(town.says(TOPIC, BOB, role(BOB, TopicRole::Member)));
    assert!(!town.says(TOPIC, CARL, role(CARL, TopicRole::None)));
    assert!(town.says(TOPIC, BOB, role(BOB, TopicRole::None)));
    assert!(town.says(TOPIC, CARL, role(CARL, TopicRole::None)), "nobody else is left");
    assert_eq!(members(&town.db, TOPIC).unwrap(), []);
}

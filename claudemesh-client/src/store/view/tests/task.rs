use super::super::task::{TaskFilter, TaskRow, TaskStatus, task as one, tasks};
use super::*;

const EVERY: TaskFilter = TaskFilter { mesh: 1, room: None, status: None, assignee: None, claimant: None, limit: 99 };

fn status(town: &Town, n: u8) -> TaskStatus {
    one(&town.db, TOPIC, &id(n)).unwrap().unwrap().status
}

const fn claimed(n: u8) -> TaskClaimed {
    TaskClaimed { id: id(n), session: None }
}

const fn released(n: u8, offset: u64) -> TaskReleased {
    TaskReleased { id: id(n), fence: fence((offset, 0)) }
}

const fn completed(n: u8, offset: u64) -> TaskCompleted {
    TaskCompleted { id: id(n), fence: fence((offset, 0)), result: None }
}

#[test]
fn the_first_claim_wins_and_its_fence_completes() {
    let mut town = Town::with_topic(Visibility::Public);
    assert!(!town.says(TOPIC, BOB, claimed(1)), "no such task");
    town.write(TOPIC, BOB, [task(1, &[], None)]);
    assert!(!town.says(TOPIC, CARL, task(1, &[], None)), "the id is taken");
    let at = town.write(TOPIC, CARL, [TaskClaimed { id: id(1), session: Some("main".into()) }]);
    assert!(!town.says(TOPIC, DORA, claimed(1)));
    assert_eq!(status(&town, 1), TaskStatus::Claimed);
    assert!(!town.says(TOPIC, DORA, completed(1, at)), "another's claim");
    assert!(!town.says(TOPIC, CARL, completed(1, at + 1)), "no fence of it");
    assert!(town.says(TOPIC, CARL, TaskCompleted { result: Some("it is so".into()), ..completed(1, at) }));
    assert!(!town.says(TOPIC, CARL, completed(1, at)), "it is done");
    assert!(!town.says(TOPIC, CARL, claimed(1)));
    let row: TaskRow = one(&town.db, TOPIC, &id(1)).unwrap().unwrap();
    let claim = row.claim.unwrap();
    assert_eq!((claim.member, claim.session.as_deref(), claim.fence), (CARL, Some("main"), at * 64));
    assert_eq!((row.status, row.result.as_deref(), row.member), (TaskStatus::Done, Some("it is so"), BOB));
    assert_eq!((row.title.as_str(), row.completed_at.unwrap().0 > at), ("task 1", true));
}

#[test]
fn who_lost_a_claim_cannot_complete() {
    let mut town = Town::with_topic(Visibility::Public);
    town.write(TOPIC, BOB, [task(1, &[], None)]);
    let first = town.write(TOPIC, CARL, [claimed(1)]);
    assert!(!town.says(TOPIC, DORA, released(1, first)));
    assert!(town.says(TOPIC, BOB, released(1, first)), "a lead");
    assert_eq!(status(&town, 1), TaskStatus::Open);
    let second = town.write(TOPIC, CARL, [claimed(1)]);
    assert!(!town.says(TOPIC, CARL, completed(1, first)), "the old fence");
    assert!(!town.says(TOPIC, CARL, released(1, first)));
    assert!(town.says(TOPIC, CARL, released(1, second)), "the claimant");
    let third = town.write(TOPIC, CARL, [claimed(1)]);
    assert!(town.says(TOPIC, admin(DORA), released(1, third)), "an admin");
}

#[test]
fn a_task_waits_for_those_it_depends_on() {
    let mut town = Town::with_topic(Visibility::Public);
    town.write(TOPIC, BOB, [task(1, &[], None), task(2, &[1, 9], None)]);
    assert_eq!(status(&town, 2), TaskStatus::Blocked);
    let at = town.write(TOPIC, BOB, [claimed(1)]);
    assert!(!town.says(TOPIC, BOB, claimed(2)));
    town.write(TOPIC, BOB, [completed(1, at)]);
    assert_eq!(one(&town.db, TOPIC, &id(2)).unwrap().unwrap().waits_for, [id(9)], "not even made");
    let at = town.write(TOPIC, BOB, [task(9, &[], None)]) + 1;
    town.write(TOPIC, BOB, [claimed(9)]);
    town.write(TOPIC, BOB, [completed(9, at)]);
    assert_eq!(status(&town, 2), TaskStatus::Open);
    assert!(town.says(TOPIC, BOB, claimed(2)));
}

#[test]
fn an_assigned_task_is_its_assignees() {
    let mut town = Town::with_topic(Visibility::Public);
    town.write(TOPIC, BOB, [task(1, &[], Some(CARL))]);
    assert!(!town.says(TOPIC, BOB, claimed(1)));
    assert!(town.says(TOPIC, CARL, claimed(1)));
}

#[test]
fn filters_choose_and_meshes_stay_apart() {
    let mut town = Town::with_topic(Visibility::Public);
    town.write(TOPIC, BOB, [task(1, &[], Some(CARL)), task(2, &[1], None)]);
    town.write(MESH_ROOM, BOB, [task(3, &[], None)]);
    town.write(FOREIGN, BOB, [task(4, &[], None)]);
    town.write(TOPIC, CARL, [claimed(1)]);
    let found = |filter: TaskFilter| -> Vec<MessageId> {
        tasks(&town.db, &filter).unwrap().into_iter().map(|row| row.id).collect()
    };
    assert_eq!(found(EVERY), [id(3), id(1), id(2)]);
    assert_eq!(found(TaskFilter { room: Some(TOPIC), ..EVERY }), [id(1), id(2)]);
    assert_eq!(found(TaskFilter { mesh: 2, ..EVERY }), [id(4)]);
    assert_eq!(found(TaskFilter { room: Some(FOREIGN), ..EVERY }), []);
    assert_eq!(found(TaskFilter { status: Some(TaskStatus::Blocked), ..EVERY }), [id(2)]);
    assert_eq!(found(TaskFilter { status: Some(TaskStatus::Open), ..EVERY }), [id(3)]);
    assert_eq!(found(TaskFilter { assignee: Some(CARL), ..EVERY }), [id(1)]);
    assert_eq!(found(TaskFilter { claimant: Some(CARL), ..EVERY }), [id(1)]);
    assert_eq!(found(TaskFilter { claimant: Some(BOB), ..EVERY }), []);
    assert_eq!(found(TaskFilter { limit: 1, ..EVERY }), [id(3)]);
}

#[test]
fn a_late_claim_takes_the_task_from_who_seemed_to_have_it() {
    let mut town = Town::with_topic(Visibility::Public);
    town.write(TOPIC, BOB, [task(1, &[], None)]);
    let early = town.skip();
    let at = town.write(TOPIC, CARL, [claimed(1)]);
    town.write(TOPIC, CARL, [completed(1, at)]);
    assert_eq!(status(&town, 1), TaskStatus::Done);
    town.late(TOPIC, DORA, early, [claimed(1)]);
    let row = one(&town.db, TOPIC, &id(1)).unwrap().unwrap();
    assert_eq!((row.status, row.claim.unwrap().member), (TaskStatus::Claimed, DORA));
    assert_eq!(town.ignored(TOPIC), 2);
}

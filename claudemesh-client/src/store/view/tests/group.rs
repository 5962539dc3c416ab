use claudemesh_core::address::GroupPath;

use super::super::group::{groups, members};
use super::*;

fn change(path: &str, member: MemberId, joined: bool, role: Option<&str>) -> GroupMember {
    GroupMember { path: GroupPath::new(path).unwrap(), member, joined, role: role.map(Into::into) }
}

fn reached(town: &Town, path: &str) -> Vec<(MemberId, String)> {
    let path = GroupPath::new(path).unwrap();
    members(&town.db, MESH_ROOM, &path).unwrap().into_iter().map(|row| (row.member, row.path)).collect()
}

#[test]
fn a_group_reaches_what_lies_below() {
    let mut town = Town::new();
    for (path, member) in [("a", ANN), ("a/b", BOB), ("a/b/c", CARL), ("ab", DORA), ("a/b", ANN)] {
        assert!(town.says(MESH_ROOM, member, change(path, member, true, None)));
    }
    let at = |member, path: &str| (member, path.to_string());
    assert_eq!(reached(&town, "a"), [at(ANN, "a"), at(ANN, "a/b"), at(BOB, "a/b"), at(CARL, "a/b/c")]);
    assert_eq!(reached(&town, "a/b"), [at(ANN, "a/b"), at(BOB, "a/b"), at(CARL, "a/b/c")]);
    assert_eq!(reached(&town, "b"), []);
    let paths: Vec<String> = groups(&town.db, MESH_ROOM).unwrap().into_iter().map(|group| group.path).collect();
    assert_eq!(paths, ["a", "a/b", "a/b/c", "ab"]);
}

#[test]
fn members_label_themselves_and_admins_anybody() {
    let mut town = Town::new();
    assert!(!town.says(MESH_ROOM, BOB, change("a", ANN, true, None)));
    assert!(town.says(MESH_ROOM, admin(BOB), change("a", ANN, true, Some("lead"))));
    assert_eq!(groups(&town.db, MESH_ROOM).unwrap()[0].members, [(ANN, Some("lead".to_string()))]);
    assert!(town.says(MESH_ROOM, ANN, change("a", ANN, false, None)));
    assert_eq!(groups(&town.db, MESH_ROOM).unwrap(), []);
}

#[test]
fn the_latest_address_wins_however_late_it_comes() {
    let mut town = Town::new();
    let early = town.skip();
    town.write(MESH_ROOM, ANN, [change("a", ANN, true, Some("new"))]);
    town.late(MESH_ROOM, ANN, early, [change("a", ANN, false, None)]);
    assert_eq!(groups(&town.db, MESH_ROOM).unwrap()[0].members, [(ANN, Some("new".to_string()))]);
}

//! Tests of the views; the fixture writes entries as a reader would hand them over.

mod compact;
mod erasure;
mod group;
mod memory;
mod notification;
mod order;
mod post;
mod search;
mod state;
mod task;
mod topic;

use claudemesh_core::codec::Bytes;
use claudemesh_core::log::Record;
use claudemesh_core::log::directory::RecordAt;
use claudemesh_core::record::*;
use claudemesh_core::{DeviceId, LogId, MemberId, MeshId, MessageId, Millis};
use rusqlite::{Connection, params};

use super::*;

pub(super) const ANN: MemberId = MemberId::from_bytes([1; 32]);
pub(super) const BOB: MemberId = MemberId::from_bytes([2; 32]);
pub(super) const CARL: MemberId = MemberId::from_bytes([3; 32]);
pub(super) const DORA: MemberId = MemberId::from_bytes([4; 32]);
/// Whose home it is.
pub(super) const OWN: MemberId = ANN;

pub(super) const MESH_ROOM: i64 = 1;
pub(super) const GENERAL_ROOM: i64 = 2;
/// The log of a topic, and its row.
pub(super) const TOPIC_LOG: LogId = LogId::from_bytes([7; 16]);
pub(super) const TOPIC: i64 = 3;
/// A topic of another mesh.
pub(super) const FOREIGN: i64 = 9;

pub(super) const MESH: MeshId = MeshId::from_bytes([5; 32]);

/// A store with two meshes, and the rooms above.
pub(super) struct Town {
    pub(super) db: Connection,
    next: u64,
}

pub(super) fn lay_out(db: &Connection) {
    let mesh = |id: i64, mesh: MeshId| {
        db.execute(
            "INSERT INTO mesh (id, mesh, device_seed, label, name, broker_url, broker_key, insecure, embedded, state)
             VALUES (?1, ?2, x'', ?1, '', '', x'', 0, 0, '')",
            params![id, mesh.as_bytes()],
        )
        .unwrap();
    };
    let log = |room: i64, mesh: i64, id: LogId| {
        db.execute(
            "INSERT INTO log (n, mesh, id, followed, policy) VALUES (?1, ?2, ?3, ?1 <> 1, x'')",
            params![room, mesh, id.as_bytes()],
        )
        .unwrap();
    };
    mesh(1, MESH);
    mesh(2, MeshId::from_bytes([6; 32]));
    log(MESH_ROOM, 1, LogId::of_mesh(&MESH));
    log(GENERAL_ROOM, 1, LogId::of_general(&MESH));
    log(TOPIC, 1, TOPIC_LOG);
    log(FOREIGN, 2, LogId::from_bytes([8; 16]));
}

pub(super) const fn id(n: u8) -> MessageId {
    MessageId::from_bytes([n; 16])
}

pub(super) fn scope(room: i64) -> Scope {
    match room {
        MESH_ROOM => Scope::Mesh,
        GENERAL_ROOM => Scope::General,
        _ => Scope::Topic,
    }
}

/// Who writes: a member, who may be admin.
#[derive(Clone, Copy, Debug)]
pub(super) struct By(pub(super) MemberId, pub(super) bool);

impl From<MemberId> for By {
    fn from(member: MemberId) -> Self {
        Self(member, false)
    }
}

pub(super) const fn admin(member: MemberId) -> By {
    By(member, true)
}

/// An entry as it was handed over, to be handed over again.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) room: i64,
    pub(super) offset: u64,
    pub(super) by: By,
    pub(super) records: Vec<Record>,
}

impl Written {
    pub(super) fn entry(&self, late: bool) -> Entry<'_> {
        Entry {
            room: self.room,
            mesh: if self.room == FOREIGN { 2 } else { 1 },
            scope: scope(self.room),
            own: OWN,
            offset: self.offset,
            author: DeviceId::from_bytes([self.by.0.as_bytes()[0]; 32]),
            member: self.by.0,
            is_admin: self.by.1,
            now: 1000 + self.offset as i64,
            late,
            witnessed: true,
            raises: false,
            records: &self.records,
        }
    }
}

impl Town {
    pub(super) fn new() -> Self {
        let db = crate::store::schema::open(None).unwrap();
        lay_out(&db);
        Self { db, next: 1 }
    }

    /// A topic led by Bob, in which Ann, Carl and Dora are none.
    pub(super) fn with_topic(visibility: Visibility) -> Self {
        let mut town = Self::new();
        let at = town.write(TOPIC, BOB, [info("ops", visibility)]);
        assert_eq!((at, town.ignored(TOPIC)), (1, 0));
        town
    }

    /// Applies an entry after all others; says its offset.
    pub(super) fn write<R: Into<RoomRecord>>(
        &mut self,
        room: i64,
        by: impl Into<By>,
        records: impl IntoIterator<Item = R>,
    ) -> u64 {
        let records = records.into_iter().map(|record| record.into().encode().unwrap()).collect();
        let written = Written { room, offset: self.next, by: by.into(), records };
        self.next += 1;
        self.apply(&written, false);
        written.offset
    }

    /// As [`Town::write`]; says whether the one record was valid.
    pub(super) fn says(&mut self, room: i64, by: impl Into<By>, record: impl Into<RoomRecord>) -> bool {
        let before = self.ignored(room);
        self.write(room, by, [record.into()]);
        self.ignored(room) == before
    }

    /// Leaves an offset for an entry that comes late.
    pub(super) fn skip(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Applies an entry at a skipped offset.
    pub(super) fn late<R: Into<RoomRecord>>(
        &mut self,
        room: i64,
        by: impl Into<By>,
        offset: u64,
        records: impl IntoIterator<Item = R>,
    ) {
        let records = records.into_iter().map(|record| record.into().encode().unwrap()).collect();
        self.apply(&Written { room, offset, by: by.into(), records }, true);
    }

    pub(super) fn apply(&mut self, written: &Written, late: bool) {
        let tx = self.db.transaction().unwrap();
        apply(&tx, &written.entry(late)).unwrap();
        tx.commit().unwrap();
    }

    pub(super) fn ignored(&self, room: i64) -> u64 {
        ignored(&self.db, room).unwrap()
    }
}

pub(super) fn text(post: u8, text: &str) -> Post {
    Post {
        id: id(post),
        text: text.into(),
        sent_at: Millis(u64::from(post)),
        reply_to: None,
        session: None,
        mentions: vec![],
    }
}

pub(super) fn info(name: &str, visibility: Visibility) -> TopicInfo {
    TopicInfo { name: name.parse().unwrap(), visibility, purpose: None }
}

pub(super) const fn role(member: MemberId, role: TopicRole) -> TopicMember {
    TopicMember { member, role }
}

pub(super) fn set(key: &str, value: &str, expected: Option<RecordAt>) -> StateSet {
    StateSet { key: key.parse().unwrap(), value: value.as_bytes().into(), expected, expires: None }
}

pub(super) fn memory(n: u8, text: &str, tags: &[&str]) -> Memory {
    let tags = tags.iter().map(ToString::to_string).collect();
    Memory { id: id(n), text: text.into(), at: Millis(u64::from(n)), tags }
}

pub(super) fn task(n: u8, depends_on: &[u8], assignee: Option<MemberId>) -> Task {
    Task {
        id: id(n),
        title: format!("task {n}"),
        at: Millis(u64::from(n)),
        body: None,
        depends_on: depends_on.iter().copied().map(id).collect(),
        assignee,
    }
}

#[test]
fn keys_tell_room_and_address() {
    for room in [1, 2, (1 << 18) - 1] {
        for at in [(0, 0), (1, 0), (1, 63), (77, 5), (LAST_OFFSET, LAST_INDEX)] {
            assert_eq!((room_of(key(room, at)), address(key(room, at))), (room, at));
        }
        let (low, high) = span(room);
        assert_eq!((room_of(low), room_of(high)), (room, room));
        assert_eq!(high - low, (1 << ROOM_BITS) - 1);
        assert_eq!(key(room, (u64::MAX, u64::MAX)), high, "addresses from outside stay in their room");
        assert!(key(room, (5, u64::MAX)) < key(room, (6, 0)));
    }
}

#[test]
fn what_is_unknown_or_out_of_place_is_counted() {
    let mut town = Town::new();
    let mut count = |room, kind, data: &[u8]| {
        let record = Record { kind, data: Bytes(data.to_vec()) };
        let offset = town.skip();
        town.apply(&Written { room, offset, by: admin(BOB), records: vec![record] }, false);
        town.ignored(room)
    };
    assert_eq!(count(MESH_ROOM, 1, &[]), 0, "the directory's own");
    assert_eq!(count(MESH_ROOM, 999, &[0xa0]), 1);
    assert_eq!(count(TOPIC, 1, &[0xa0]), 1);
    assert_eq!(count(TOPIC, 16, &[0xa0]), 2);
    for (room, record) in [
        (MESH_ROOM, RoomRecord::from(text(1, "no topic"))),
        (MESH_ROOM, role(BOB, TopicRole::Member).into()),
        (MESH_ROOM, ThreadResolved { id: id(1), resolved: true }.into()),
        (GENERAL_ROOM, info("a", Visibility::Public).into()),
        (TOPIC, Topic { log: TOPIC_LOG, name: "a".parse().unwrap(), purpose: None }.into()),
    ] {
        assert!(!town.says(room, admin(BOB), record));
    }
}

#[test]
fn an_entry_is_taken_once() {
    let mut town = Town::with_topic(Visibility::Public);
    let records: Vec<RoomRecord> =
        vec![text(1, "a").into(), memory(2, "b", &[]).into(), task(3, &[], Some(ANN)).into()];
    let records = records.iter().map(|record| record.encode().unwrap()).collect();
    let written = Written { room: TOPIC, offset: town.skip(), by: BOB.into(), records };
    town.apply(&written, false);
    town.apply(&written, true);
    assert_eq!(town.ignored(TOPIC), 0);
    assert_eq!(super::unread::unread(&town.db, TOPIC, "main").unwrap().posts, 1);
}

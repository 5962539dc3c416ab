use claudemesh_core::codec::Bytes;
use claudemesh_core::hash::{Hash, Label, sha256};
use claudemesh_core::{DeviceId, LogId};

use super::fixture::{A, ALL, B, MESH, NOW, STRANGER, World};
use crate::store::testing::{LogKind, RosterKind, log_entry};
use crate::store::{LogAppend, LogAppended, LogItem, Page, Refusal, StoreError};

const LOG: LogId = LogId::from_bytes([3; 16]);

fn genesis() -> Hash {
    Label::new("log-chain").hash(&[LOG.as_bytes()])
}

fn entry(author: DeviceId, seq: u64, kind: LogKind, epoch: u64, bytes: &[u8]) -> LogAppend {
    let entry = log_entry(kind, epoch, bytes);
    let hash = sha256(&entry);
    LogAppend { mesh: MESH, log: LOG, author, seq, seen: (0, genesis()), hash, entry, expected_tail: None }
}

async fn append(world: &World, append: &LogAppend) -> Result<LogAppended, Refusal> {
    world.store.log_append(append.clone(), NOW).await.map_err(|error| match error {
        StoreError::Refused(refusal) => refusal,
        error => panic!("{error}"),
    })
}

pub(super) async fn entries_get_offsets_and_a_chain(world: World) {
    let (one, two) = (entry(A, 1, LogKind::Commit, 1, b""), entry(B, 1, LogKind::Records, 1, b"hi"));
    let first = append(&world, &one).await.unwrap();
    let second = append(&world, &two).await.unwrap();
    let chain = sha256(&[genesis(), one.hash].concat());
    assert_eq!((first.offset, first.chain, first.duplicate), (1, chain, false));
    assert_eq!((second.offset, second.chain), (2, sha256(&[chain, two.hash].concat())));
    assert!(second.commit > first.commit);

    let range = world.store.log_range(MESH, LOG, 1, ALL).await.unwrap();
    assert_eq!(range.entries, [LogItem::Entry(one.entry.clone()), LogItem::Entry(two.entry.clone())]);
    assert_eq!((range.before, range.tail), (Some(genesis()), 2));
    let range = world.store.log_range(MESH, LOG, 2, Page { items: 1, bytes: 0 }).await.unwrap();
    assert_eq!((range.entries, range.before), (vec![LogItem::Entry(two.entry)], Some(chain)));
    let range = world.store.log_range(MESH, LOG, 4, ALL).await.unwrap();
    assert_eq!((range.entries, range.before, range.tail), (Vec::new(), None, 2));
    let list = world.store.log_list(MESH).await.unwrap();
    assert_eq!((list.len(), list[0].log, list[0].tail, list[0].epoch), (1, LOG, 2, 1));
    assert_eq!(list[0].state, Bytes(1_u64.to_be_bytes().to_vec()));
}

pub(super) async fn the_same_entry_again_gets_the_same_answer(world: World) {
    let one = entry(A, 1, LogKind::Commit, 1, b"");
    let first = append(&world, &one).await.unwrap();
    append(&world, &entry(B, 1, LogKind::Commit, 2, b"")).await.unwrap();
    let again = append(&world, &one).await.unwrap();
    assert_eq!((again.offset, again.chain, again.duplicate), (first.offset, first.chain, true));
    let other = entry(A, 1, LogKind::Records, 2, b"other");
    assert_eq!(append(&world, &other).await, Err(Refusal::IdConflict));
}

pub(super) async fn the_tail_can_be_compared_and_swapped(world: World) {
    let mut one = entry(A, 1, LogKind::Commit, 1, b"");
    one.expected_tail = Some(1);
    assert_eq!(append(&world, &one).await, Err(Refusal::OffsetMoved));
    one.expected_tail = Some(0);
    append(&world, &one).await.unwrap();
    let mut two = entry(B, 1, LogKind::Records, 1, b"");
    two.expected_tail = Some(0);
    assert_eq!(append(&world, &two).await, Err(Refusal::OffsetMoved));
    // A retry of what won is answered before the comparison.
    assert!(append(&world, &one).await.unwrap().duplicate);
}

pub(super) async fn the_fold_judges_and_a_refused_first_entry_makes_no_log(world: World) {
    let early = entry(A, 1, LogKind::Records, 1, b"");
    assert_eq!(append(&world, &early).await, Err(Refusal::StaleEpoch));
    let mut numbered = entry(A, u64::MAX, LogKind::Commit, 1, b"");
    assert_eq!(append(&world, &numbered).await, Err(Refusal::Malformed));
    assert_eq!(world.store.log_list(MESH).await.unwrap(), []);
    let unknown = world.store.log_range(MESH, LOG, 1, ALL).await;
    assert_eq!(unknown, Err(StoreError::Refused(Refusal::UnknownLog)));
    numbered.seq = 1;
    append(&world, &numbered).await.unwrap();
    assert_eq!(append(&world, &entry(B, 1, LogKind::Commit, 1, b"")).await, Err(Refusal::EpochTaken));
    append(&world, &early).await.unwrap_err();
}

pub(super) async fn the_position_seen_must_lie_on_the_chain(world: World) {
    let first = append(&world, &entry(A, 1, LogKind::Commit, 1, b"")).await.unwrap();
    let mut next = entry(B, 1, LogKind::Records, 1, b"");
    for wrong in [(0, [0; 32]), (1, genesis()), (2, first.chain), (u64::MAX, first.chain)] {
        next.seen = wrong;
        assert_eq!(append(&world, &next).await, Err(Refusal::InvalidEntry));
    }
    next.seen = (1, first.chain);
    append(&world, &next).await.unwrap();
}

pub(super) async fn compaction_keeps_the_hashes(world: World) {
    let old = entry(A, 2, LogKind::Records, 1, b"old");
    append(&world, &entry(A, 1, LogKind::Commit, 1, b"")).await.unwrap();
    append(&world, &old).await.unwrap();
    let compaction = entry(A, 3, LogKind::Compaction, 1, &2_u64.to_be_bytes());
    let last = append(&world, &compaction).await.unwrap();
    let range = world.store.log_range(MESH, LOG, 2, ALL).await.unwrap();
    assert_eq!(range.entries[0], LogItem::Dropped(old.hash));
    assert_eq!(range.tail, last.offset);
    // Its author's retry is still known.
    assert!(append(&world, &old).await.unwrap().duplicate);
}

pub(super) async fn only_live_devices_write(mut world: World) {
    assert_eq!(append(&world, &entry(STRANGER, 1, LogKind::Commit, 1, b"")).await, Err(Refusal::NotAMember));
    append(&world, &entry(B, 1, LogKind::Commit, 1, b"")).await.unwrap();
    world.append(RosterKind::Remove, 4, &B).await.unwrap();
    assert_eq!(append(&world, &entry(B, 1, LogKind::Commit, 1, b"")).await, Err(Refusal::NotAMember));
}

use claudemesh_core::MeshId;
use claudemesh_core::codec::Bytes;

use super::fixture::{A, ACCEPTED, ALL, B, C, D, DAY, MESH, NOW, PREKEY, STRANGER, World, refused};
use crate::store::testing::{RosterKind, roster_entry};
use crate::store::{DeviceFacts, Page, Refusal, StoreError};

const OTHER: MeshId = MeshId::from_bytes([2; 32]);

fn refusal(refusal: Refusal) -> StoreError {
    StoreError::Refused(refusal)
}

pub(super) async fn entries_are_kept_in_order(world: World) {
    let range = world.store.roster_range(MESH, 0, ALL).await.unwrap();
    assert_eq!(range.entries.len(), 4);
    assert_eq!(range.entries[1], roster_entry(RosterKind::Add, 1, &B));
    assert_eq!(range.head, Some(world.head));
    let rest = world.store.roster_range(MESH, 2, Page { items: 1, bytes: 0 }).await.unwrap();
    assert_eq!(rest.entries, [roster_entry(RosterKind::Add, 2, &C)]);
    let none = world.store.roster_range(OTHER, 0, ALL).await.unwrap();
    assert_eq!((none.entries.len(), none.head), (0, None));
}

pub(super) async fn a_stale_head_and_a_second_genesis_are_refused(mut world: World) {
    let before = world.store.meta().await.unwrap();
    assert_eq!(world.append(RosterKind::Add, 3, &STRANGER).await, Err(refusal(Refusal::HeadMoved)));
    assert_eq!(world.append(RosterKind::Genesis, 0, &A).await, Err(refusal(Refusal::MeshExists)));
    assert_eq!(world.store.meta().await.unwrap(), before);
}

pub(super) async fn the_fold_decides(mut world: World) {
    assert_eq!(world.append(RosterKind::Expired, 4, &STRANGER).await, Err(refusal(Refusal::InviteExpired)));
    assert_eq!(world.append(RosterKind::Remove, 4, &STRANGER).await, Err(refusal(Refusal::InvalidEntry)));
    let entry = roster_entry(RosterKind::Add, 0, &A);
    let orphan = world.store.roster_append_if_head(OTHER, entry, NOW).await;
    assert_eq!(orphan.unwrap_err(), refusal(Refusal::InvalidEntry));
    assert_eq!(world.store.roster_range(OTHER, 0, ALL).await.unwrap().head, None);
}

pub(super) async fn a_member_has_a_daily_allowance(mut world: World) {
    for index in 4..32 {
        let kind = if index % 2 == 0 { RosterKind::Add } else { RosterKind::Remove };
        world.append(kind, index, &STRANGER).await.unwrap();
    }
    assert_eq!(world.append(RosterKind::Add, 32, &STRANGER).await, Err(refusal(Refusal::RateLimited)));
    // What is given back to a broker that lost it does not count, and neither do entries of the day before.
    let entry = roster_entry(RosterKind::Add, 32, &STRANGER);
    world.store.roster_restore_if_head(MESH, entry, NOW).await.unwrap();
    let entry = roster_entry(RosterKind::Remove, 33, &STRANGER);
    world.store.roster_append_if_head(MESH, entry, NOW.plus(DAY)).await.unwrap();
}

pub(super) async fn removal_drops_what_waits_and_keeps_the_rest(mut world: World) {
    let both = world.group(&[(B, 1), (C, 1)]);
    world.send(&both).await;
    let mut back = world.envelope(A, 1);
    back.sender = B;
    assert_eq!(world.send(&back).await, ACCEPTED);
    assert_eq!(world.append(RosterKind::Remove, 4, &B).await.unwrap(), [B]);

    assert_eq!(world.mail(B).await, []);
    assert_eq!(world.store.device_facts(MESH, B).await.unwrap(), DeviceFacts::default());
    assert_eq!(world.store.record_get(MESH, vec![A, B]).await.unwrap().len(), 1);
    assert_eq!(world.send(&world.envelope(B, 2)).await, refused(Refusal::UnknownRecipient));
    back.recipients[0].seq = 2;
    assert_eq!(world.send(&back).await, refused(Refusal::SenderRemoved));
    // What it sent stays, and so does the other recipient's copy of a shared body.
    assert_eq!(world.mail(A).await.len(), 1);
    assert_eq!(world.mail(C).await[0].envelope, both.envelope);
    // Its own receipt for what is gone changes nothing; a receipt for what it sent leaves no notice.
    assert!(world.ack(B, &[&both], false).await.is_empty());
    let mut receipt = super::fixture::receipt(A, &[&back], false);
    receipt.items[0].hash = back.hash;
    receipt.parts[0].0 = B;
    let acked = world.store.ack(vec![receipt], NOW).await.unwrap();
    assert_eq!((acked.removed[0].len(), acked.notices), (1, Vec::new()));
}

pub(super) async fn records_never_go_back(world: World) {
    world.put(&B, 5, &[PREKEY]).await.unwrap();
    assert_eq!(world.put(&B, 4, &[PREKEY]).await, Err(refusal(Refusal::StaleRecord)));
    world.put(&B, 5, &[PREKEY]).await.unwrap();
    let mut other =
        crate::store::RecordPut { mesh: MESH, device: B, counter: 5, record: Bytes(vec![9]), prekeys: Vec::new() };
    assert_eq!(world.store.record_put(other.clone(), NOW).await, Err(refusal(Refusal::StaleRecord)));
    other.counter = u64::MAX;
    assert_eq!(world.store.record_put(other.clone(), NOW).await, Err(refusal(Refusal::Malformed)));
    other.device = STRANGER;
    assert_eq!(world.store.record_put(other, NOW).await, Err(refusal(Refusal::NotAMember)));
    let records = world.store.record_get(MESH, vec![B, STRANGER, D, A]).await.unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].0[32..], 5_u64.to_be_bytes());
}

pub(super) async fn replaced_prekeys_stay_usable_for_a_while(world: World) {
    world.put(&B, 2, &[PREKEY + 1]).await.unwrap();
    let mut envelope = world.envelope(B, 1);
    assert_eq!(world.send(&envelope).await, ACCEPTED);
    envelope = world.envelope(B, 2);
    envelope.recipients[0].prekey = PREKEY + 1;
    assert_eq!(world.send(&envelope).await, ACCEPTED);
    let late = NOW.plus(9 * DAY);
    envelope = world.envelope(B, 3);
    envelope.expires = late.plus(1);
    assert_eq!(world.send_at(&envelope, late).await, refused(Refusal::NoPrekey));
}

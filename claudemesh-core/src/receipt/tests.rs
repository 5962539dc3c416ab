use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::codec::HashBytes;

const MESH: MeshId = MeshId::from_bytes([0xaa; 32]);
const HEAD: RosterHead = RosterHead { index: 3, hash: HashBytes([3; 32]) };

fn key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

fn sender(of: u8) -> DeviceId {
    DeviceId::from_bytes([of; 32])
}

/// Items of which number i is from sender `senders[i]`.
fn items(senders: &[u8]) -> Vec<ReceiptItem> {
    let item = |(index, of): (usize, &u8)| ReceiptItem {
        sender: sender(*of),
        id: MessageId::from_bytes([index as u8; 16]),
        attempt: 1 + index as u64,
        envelope: [*of ^ index as u8; 32],
        state: ReceiptState::from_codes(if index % 8 == 0 { 3 } else { 6 }, index as u64 % 8).unwrap(),
    };
    senders.iter().enumerate().map(item).collect()
}

fn sign(items: &[ReceiptItem]) -> Receipt {
    Receipt::sign(&key(), MESH, HEAD, items).unwrap()
}

fn verified(items: &[ReceiptItem]) -> VerifiedReceipt {
    Receipt::decode(&sign(items).encode()).unwrap().verify(&key().public(), &MESH).unwrap()
}

fn verify_part(bytes: &[u8]) -> Result<VerifiedPart, ReceiptError> {
    ReceiptPart::decode(bytes)?.verify(&key().public(), &MESH)
}

#[test]
fn each_sender_gets_its_part_and_it_verifies_alone() {
    for count in [1, 2, 3, 7, 64, MAX_ITEMS] {
        let senders: Vec<u8> = (0..count).map(|i| (i % 3) as u8).collect();
        let all = items(&senders);
        let receipt = verified(&all);
        assert_eq!((receipt.device(), receipt.head(), receipt.items()), (key().public().device_id(), HEAD, &all[..]));
        assert_eq!(receipt.senders().len(), count.min(3));
        for of in receipt.senders() {
            let part = receipt.part_for(&of).unwrap().encode();
            assert_eq!(ReceiptPart::decode(&part).unwrap().encode(), part);
            let part = verify_part(&part).unwrap();
            let mine: Vec<_> = all.iter().filter(|item| item.sender == of).copied().collect();
            assert_eq!((part.device, part.head, &part.items), (receipt.device(), HEAD, &mine));
            assert_eq!(part.items_of(&of).count(), mine.len());
            assert_eq!(part.items_of(&sender(99)).count(), 0);
        }
        assert!(receipt.part_for(&sender(99)).is_none());
    }
}

#[test]
fn a_part_with_all_items_has_no_paths() {
    let all = items(&[5; 9]);
    let bytes = verified(&all).part_for(&sender(5)).unwrap().encode();
    let mut part = ReceiptPart::decode(&bytes).unwrap();
    assert_eq!(verify_part(&bytes).unwrap().items, all);
    part = with_items(&part, |items| items[0].path = vec![[0; 32]]);
    assert_eq!(verify_part(&part.encode()), Err(ReceiptError::BadSignature));
}

/// The same signed body with other items.
fn with_items(part: &ReceiptPart, change: impl FnOnce(&mut Vec<part::PartItem>)) -> ReceiptPart {
    let mut items = part.items.clone();
    change(&mut items);
    ReceiptPart { items, ..part.clone() }
}

#[test]
fn only_1_to_256_items_are_signed() {
    assert_eq!(Receipt::sign(&key(), MESH, HEAD, &[]).unwrap_err(), ReceiptError::Malformed);
    let many = vec![items(&[1])[0]; MAX_ITEMS + 1];
    assert_eq!(Receipt::sign(&key(), MESH, HEAD, &many).unwrap_err(), ReceiptError::Malformed);
    let mut zero = items(&[1]);
    zero[0].attempt = 0;
    assert_eq!(Receipt::sign(&key(), MESH, HEAD, &zero).unwrap_err(), ReceiptError::Malformed);
}

#[test]
fn receipts_are_refused_under_other_keys_and_meshes() {
    let other = SigningKey::from_seed(&[2; 32]).public();
    let elsewhere = MeshId::from_bytes([0; 32]);
    let receipt = sign(&items(&[1, 2]));
    assert_eq!(receipt.unverified_device(), key().public().device_id());
    assert_eq!(receipt.clone().verify(&other, &MESH).unwrap_err(), ReceiptError::WrongDevice);
    assert_eq!(receipt.clone().verify(&key().public(), &elsewhere).unwrap_err(), ReceiptError::WrongMesh);
    let part = receipt.verify(&key().public(), &MESH).unwrap().part_for(&sender(1)).unwrap();
    assert_eq!(part.unverified_device(), key().public().device_id());
    assert_eq!(part.verify(&other, &MESH), Err(ReceiptError::WrongDevice));
    assert_eq!(part.verify(&key().public(), &elsewhere), Err(ReceiptError::WrongMesh));
}

#[test]
fn a_device_cannot_sign_in_anothers_name() {
    let mut receipt = sign(&items(&[1]));
    receipt.body.device = sender(9);
    receipt.wire.body = codec::encode(&receipt.body).into();
    receipt.wire.signature = key().sign(RECEIPT, &receipt.wire.body);
    assert_eq!(receipt.verify(&key().public(), &MESH).unwrap_err(), ReceiptError::WrongDevice);
}

#[test]
fn items_do_not_move_between_receipts() {
    let (one, two) = (sign(&items(&[1, 2])), sign(&items(&[2, 1])));
    let moved = Receipt {
        wire: Wire { items: two.wire.items.clone(), ..one.wire.clone() },
        body: one.body,
        items: two.items.clone(),
    };
    assert_eq!(moved.verify(&key().public(), &MESH).unwrap_err(), ReceiptError::BadSignature);
    let unsigned = Receipt { wire: Wire { signature: two.wire.signature, ..one.wire.clone() }, ..one.clone() };
    assert_eq!(unsigned.verify(&key().public(), &MESH).unwrap_err(), ReceiptError::BadSignature);

    let (one, two) = (verified(&items(&[1, 2, 1])), verified(&items(&[2, 1, 1])));
    let (mine, foreign) = (one.part_for(&sender(1)).unwrap(), two.part_for(&sender(1)).unwrap());
    let moved = with_items(&mine, |items| items[0] = foreign.items[0].clone());
    assert!(verify_part(&moved.encode()).is_err());
    let upgraded = with_items(&mine, |items| {
        items[1].item.state = ReceiptState::Delivered;
        items[1].bytes = codec::encode(&items[1].item).into();
    });
    assert_eq!(verify_part(&upgraded.encode()), Err(ReceiptError::BadSignature));
}

#[test]
fn an_item_counts_once_and_inside_the_receipt() {
    let part = verified(&items(&[1, 2, 1])).part_for(&sender(1)).unwrap();
    for change in [
        (|items: &mut Vec<part::PartItem>| items.push(items[1].clone())) as fn(&mut Vec<part::PartItem>),
        |items| items.reverse(),
        |items| items[1].index = 3,
        |items| items.clear(),
        |items| items[0].path = vec![[0; 32]; 9],
        |items| items[0].bytes = vec![0x80].into(),
        |items| items[0].bytes = vec![0; MAX_ITEM + 1].into(),
    ] {
        assert_eq!(verify_part(&with_items(&part, change).encode()), Err(ReceiptError::Malformed));
    }
    for change in [
        (|items: &mut Vec<part::PartItem>| items[0].index = 1) as fn(&mut Vec<part::PartItem>),
        |items| items[0].path.clear(),
        |items| items[0].path[0][0] ^= 1,
    ] {
        assert_eq!(verify_part(&with_items(&part, change).encode()), Err(ReceiptError::BadSignature));
    }
}

#[test]
fn bounds_and_outcomes_are_checked_on_reading() {
    let good = sign(&items(&[1, 2]));
    let spoil = |change: fn(&mut Receipt)| {
        let mut receipt = good.clone();
        change(&mut receipt);
        Receipt::decode(&receipt.encode()).unwrap_err()
    };
    for change in [
        (|r: &mut Receipt| r.wire.items.clear()) as fn(&mut Receipt),
        |r| r.wire.items.truncate(1),
        |r| r.wire.items = vec![r.wire.items[0].clone(); MAX_ITEMS + 1],
        |r| r.wire.items[0] = vec![0; MAX_ITEM + 1].into(),
        |r| r.wire.body = vec![0; MAX_BODY + 1].into(),
        |r| r.wire.body = codec::encode(&Body { count: 0, ..r.body }).into(),
        |r| r.wire.body = codec::encode(&Body { count: 257, ..r.body }).into(),
    ] {
        assert_eq!(spoil(change), ReceiptError::Malformed);
    }
    let item = codec::encode(&items(&[1])[0]);
    for (state, reason) in [(3, 1), (6, 0), (6, 8), (4, 0), (0, 0)] {
        let mut item = item.clone();
        let at = item.len() - 2;
        item[at..].copy_from_slice(&[state, reason]);
        assert!(codec::decode::<ReceiptItem>(&item).is_err(), "{state} {reason}");
    }
}

#[test]
fn refusals_name_their_reason() {
    assert_eq!(Reason::from(OpenError::Unreadable), Reason::Unreadable);
    assert_eq!(Reason::from(OpenError::Malformed), Reason::Malformed);
    assert_eq!(Reason::from(EnvelopeError::BadSignature), Reason::Malformed);
    for code in 1..=7 {
        assert_eq!(Reason::from_code(code).unwrap().code(), code);
    }
    assert!(Reason::from_code(0).is_none() && Reason::from_code(8).is_none());
}

proptest! {
    #[test]
    fn damaged_receipts_never_panic_and_never_verify(at in any::<prop::sample::Index>(), value in 1u8..) {
        let receipt = sign(&items(&[1, 2, 1]));
        let part = verified(&items(&[1, 2, 1])).part_for(&sender(1)).unwrap();
        let mut bytes = receipt.encode();
        let index = at.index(bytes.len());
        prop_assert!(Receipt::decode(&bytes[..index]).is_err());
        bytes[index] ^= value;
        prop_assert!(Receipt::decode(&bytes).and_then(|r| r.verify(&key().public(), &MESH)).is_err());
        let mut bytes = part.encode();
        let index = at.index(bytes.len());
        prop_assert!(ReceiptPart::decode(&bytes[..index]).is_err());
        bytes[index] ^= value;
        prop_assert!(verify_part(&bytes).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Receipt::decode(&bytes);
        let _ = ReceiptPart::decode(&bytes);
    }
}

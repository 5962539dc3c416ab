//! Vectors of receipts and their parts.

use claudemesh_core::codec;
use claudemesh_core::hash::{Hash, Label};
use claudemesh_core::merkle::Tree;
use claudemesh_core::receipt::{Receipt, ReceiptError, ReceiptItem, ReceiptPart, ReceiptState};
use claudemesh_core::{DeviceId, MeshId, MessageId, PublicKey, SigningKey};
use serde_json::{Value, json};

use super::{array, cbor, edit, head, head_json, hex, key, mesh, message_id, public, stored, unhex};

const LABEL: Label = Label::new("receipt");

fn sender(of: u8) -> DeviceId {
    key(0x30 + of).public().device_id()
}

/// Items of which number i is from sender `senders[i]`; outcomes take turns.
fn items(senders: &[u8]) -> Vec<ReceiptItem> {
    let item = |(index, of): (usize, &u8)| ReceiptItem {
        sender: sender(*of),
        id: MessageId::from_bytes([index as u8; 16]),
        attempt: 1 + (index as u64) * 1000,
        envelope: [0x80 ^ index as u8; 32],
        state: ReceiptState::from_codes(if index % 8 == 0 { 3 } else { 6 }, index as u64 % 8).unwrap(),
    };
    senders.iter().enumerate().map(item).collect()
}

fn item_json(item: &ReceiptItem) -> Value {
    let (state, reason) = item.state.codes();
    json!({
        "sender": item.sender.to_string(),
        "id": item.id.to_string(),
        "attempt": item.attempt,
        "envelope_hash": hex(item.envelope),
        "state": state,
        "reason": reason,
    })
}

fn root_of(items: &[Vec<u8>]) -> Hash {
    Tree::new(items.iter().map(|item| &item[..])).unwrap().root()
}

fn encoded(items: &[ReceiptItem]) -> Vec<Vec<u8>> {
    items.iter().map(codec::encode).collect()
}

fn case(name: &str, items: &[ReceiptItem]) -> Value {
    let signer = key(9);
    let receipt = Receipt::sign(&signer, mesh(), head(), items).unwrap();
    let bytes = receipt.encode();
    let verified = receipt.verify(&signer.public(), &mesh()).unwrap();
    let part = |of: DeviceId| {
        let indices: Vec<usize> = (0..items.len()).filter(|index| items[*index].sender == of).collect();
        let part = verified.part_for(&of).unwrap();
        json!({ "sender": of.to_string(), "indices": indices, "bytes": hex(part.encode()) })
    };
    json!({
        "name": name,
        "recipient_seed": hex(signer.seed()),
        "recipient_public": hex(signer.public().as_bytes()),
        "recipient": signer.public().device_id().to_string(),
        "mesh": mesh().to_string(),
        "head": head_json(&head()),
        "items": items.iter().map(item_json).collect::<Vec<_>>(),
        "root": hex(root_of(&encoded(items))),
        "parts": verified.senders().into_iter().map(part).collect::<Vec<_>>(),
        "bytes": hex(bytes),
    })
}

/// A receipt body written by hand.
fn body(mesh: &MeshId, device: &DeviceId, root: &Hash, count: u64) -> Vec<u8> {
    cbor(|e| {
        e.map(5).unwrap().u8(0).unwrap().bytes(mesh.as_bytes()).unwrap();
        e.u8(1).unwrap().bytes(device.as_bytes()).unwrap().u8(2).unwrap().encode(head()).unwrap();
        e.u8(3).unwrap().bytes(root).unwrap().u8(4).unwrap().u64(count).unwrap();
    })
}

/// A receipt of these parts, signed by `signer` under `label`.
fn receipt(signer: &SigningKey, label: Label, body: &[u8], items: &[Vec<u8>]) -> Vec<u8> {
    let signature = signer.sign(label, body);
    cbor(|e| {
        e.map(3).unwrap().u8(0).unwrap().bytes(body).unwrap();
        e.u8(1).unwrap().bytes(signature.as_bytes()).unwrap();
        e.u8(2).unwrap().array(items.len() as u64).unwrap();
        for item in items {
            e.bytes(item).unwrap();
        }
    })
}

/// A part of these items, (index, item, path).
fn part(body: &[u8], items: &[(u64, &[u8], Vec<Hash>)]) -> Vec<u8> {
    let signature = key(9).sign(LABEL, body);
    cbor(|e| {
        e.map(3).unwrap().u8(0).unwrap().bytes(body).unwrap();
        e.u8(1).unwrap().bytes(signature.as_bytes()).unwrap();
        e.u8(2).unwrap().array(items.len() as u64).unwrap();
        for (index, item, path) in items {
            e.array(3).unwrap().u64(*index).unwrap().bytes(item).unwrap().array(path.len() as u64).unwrap();
            for hash in path {
                e.bytes(hash).unwrap();
            }
        }
    })
}

type Named = (&'static str, Vec<u8>);

fn invalid_receipts() -> Vec<Named> {
    let (signer, device) = (key(9), key(9).public().device_id());
    let all = encoded(&items(&[0, 1, 0]));
    let good_body = body(&mesh(), &device, &root_of(&all), 3);
    let good = receipt(&signer, LABEL, &good_body, &all);
    let by_hand = |items: &[Vec<u8>]| {
        receipt(&signer, LABEL, &body(&mesh(), &device, &root_of(items), items.len() as u64), items)
    };
    let outcome = |state: u8, reason: u8| {
        let mut item = all[0].clone();
        let at = item.len() - 2;
        item[at..].copy_from_slice(&[state, reason]);
        by_hand(&[item])
    };
    let swapped = vec![all[1].clone(), all[0].clone(), all[2].clone()];
    let elsewhere = MeshId::from_bytes([0x12; 32]);
    let attempt_0 = ReceiptItem { attempt: 0, ..items(&[0])[0] };
    vec![
        ("empty", Vec::new()),
        ("cut short", edit(&good, |bytes| bytes.truncate(bytes.len() - 1))),
        ("byte after the end", edit(&good, |bytes| bytes.push(0))),
        ("no items", receipt(&signer, LABEL, &body(&mesh(), &device, &[0; 32], 0), &[])),
        ("257 items", by_hand(&vec![all[0].clone(); 257])),
        ("fewer items than counted", receipt(&signer, LABEL, &good_body, &all[..2])),
        ("delivered for a reason", outcome(3, 1)),
        ("refused for no reason", outcome(6, 0)),
        ("unknown reason", outcome(6, 8)),
        ("state of a claim", outcome(4, 0)),
        ("attempt 0", by_hand(&encoded(&[attempt_0]))),
        ("items in another order", receipt(&signer, LABEL, &good_body, &swapped)),
        ("items of another receipt", receipt(&signer, LABEL, &good_body, &encoded(&items(&[1, 1, 0])))),
        ("signature changed", {
            let at = good.windows(3).rposition(|window| window == [1, 0x58, 0x40]).unwrap();
            edit(&good, |bytes| bytes[at + 3] ^= 1)
        }),
        ("signed under the flush label", receipt(&signer, Label::new("flush"), &good_body, &all)),
        ("signed by another device", receipt(&key(8), LABEL, &good_body, &all)),
        ("names another device", { receipt(&signer, LABEL, &body(&mesh(), &sender(0), &root_of(&all), 3), &all) }),
        ("of another mesh", receipt(&signer, LABEL, &body(&elsewhere, &device, &root_of(&all), 3), &all)),
    ]
}

fn invalid_parts() -> Vec<Named> {
    let device = key(9).public().device_id();
    let all = encoded(&items(&[0, 1, 0]));
    let tree = Tree::new(all.iter().map(|item| &item[..])).unwrap();
    let path = |index: usize| tree.path(index).unwrap();
    let of = |mesh: &MeshId, device: &DeviceId| body(mesh, device, &tree.root(), 3);
    let good = of(&mesh(), &device);
    let entry = |index: usize| (index as u64, &all[index][..], path(index));
    let delivered = codec::encode(&ReceiptItem { state: ReceiptState::Delivered, ..items(&[0, 1, 0])[2] });
    vec![
        ("empty", Vec::new()),
        ("no items", part(&good, &[])),
        ("an item twice", part(&good, &[entry(0), entry(0)])),
        ("items not ascending", part(&good, &[entry(2), entry(0)])),
        ("index outside the receipt", part(&good, &[(3, &all[2], path(2))])),
        ("path of nine", part(&good, &[(0, &all[0], vec![[0; 32]; 9])])),
        ("path of another item", part(&good, &[(0, &all[0], path(1))])),
        ("index of another item", part(&good, &[(1, &all[0], path(0))])),
        ("no path", part(&good, &[(0, &all[0], Vec::new())])),
        ("refused item shown as delivered", part(&good, &[(2, &delivered, path(2))])),
        ("all items, with paths", part(&good, &[entry(0), entry(1), entry(2)])),
        ("names another device", part(&of(&mesh(), &sender(0)), &[entry(0)])),
        ("of another mesh", part(&of(&MeshId::from_bytes([0x12; 32]), &device), &[entry(0)])),
    ]
}

/// What the broker says to a receipt, the sender to a part.
fn judge(form: &str, bytes: &[u8], recipient: &PublicKey, mesh: &MeshId) -> Result<(), &'static str> {
    let result = match form {
        "receipt" => Receipt::decode(bytes).and_then(|receipt| receipt.verify(recipient, mesh)).map(|_| ()),
        "part" => ReceiptPart::decode(bytes).and_then(|part| part.verify(recipient, mesh)).map(|_| ()),
        other => panic!("no form {other}"),
    };
    result.map_err(|error| match error {
        ReceiptError::Malformed => "malformed",
        ReceiptError::WrongDevice => "wrong_device",
        ReceiptError::BadSignature => "bad_signature",
        ReceiptError::WrongMesh => "wrong_mesh",
        other => panic!("{other:?} has no name"),
    })
}

fn vectors() -> Value {
    let crowd: Vec<u8> = (0..21).map(|index| index % 3).collect();
    let valid = [
        case("one item", &items(&[0])),
        case("all of one sender", &items(&[1; 9])),
        case("two senders", &items(&[0, 1, 0])),
        case("three senders in turns", &items(&crowd)),
    ];
    let (recipient, mesh) = (key(9).public(), mesh());
    let forms = [("receipt", invalid_receipts()), ("part", invalid_parts())];
    let invalid: Vec<Value> = forms
        .into_iter()
        .flat_map(|(form, cases)| cases.into_iter().map(move |(name, bytes)| (form, name, bytes)))
        .map(|(form, name, bytes)| {
            let error = judge(form, &bytes, &recipient, &mesh).expect_err(name);
            let (public, mesh) = (hex(recipient.as_bytes()), mesh.to_string());
            json!({
                "name": name, "form": form, "recipient_public": public, "mesh": mesh, "bytes": hex(bytes), "error": error
            })
        })
        .collect();
    json!({
        "description": "Receipts (protocol section 6). valid: `bytes` is the receipt over `items` signed with \
                        `recipient_seed`; `parts` are what each sender gets of it, `indices` which items that are. invalid: \
                        verifying `bytes` as a receipt or a part (`form`) from the device with key `recipient_public` in \
                        `mesh` fails with `error`.",
        "valid": valid,
        "invalid": invalid,
    })
}

#[test]
fn receipts_match_their_vectors() {
    let vectors = stored("receipt.json", vectors());
    for case in vectors["valid"].as_array().unwrap() {
        let name = &case["name"];
        let recipient = public(&case["recipient_public"]);
        assert_eq!(SigningKey::from_seed(&array(&case["recipient_seed"])).public(), recipient, "{name}");
        let mesh = MeshId::from_bytes(array(&case["mesh"]));
        let receipt = Receipt::decode(&unhex(&case["bytes"])).unwrap().verify(&recipient, &mesh).unwrap();
        assert_eq!(receipt.device().to_string(), case["recipient"], "{name}");
        assert_eq!(head_json(&receipt.head()), case["head"], "{name}");
        let listed = case["items"].as_array().unwrap();
        assert_eq!(&receipt.items().iter().map(item_json).collect::<Vec<_>>(), listed, "{name}");
        assert_eq!(hex(root_of(&encoded(receipt.items()))), case["root"], "{name}");
        assert_eq!(receipt.items()[0].id, message_id(&listed[0]["id"]), "{name}");
        for expected in case["parts"].as_array().unwrap() {
            let of = DeviceId::from_bytes(array(&expected["sender"]));
            assert_eq!(hex(receipt.part_for(&of).unwrap().encode()), expected["bytes"], "{name}");
            let part = ReceiptPart::decode(&unhex(&expected["bytes"])).unwrap().verify(&recipient, &mesh).unwrap();
            let indices = expected["indices"].as_array().unwrap().iter().map(|index| index.as_u64().unwrap() as usize);
            let mine: Vec<Value> = indices.map(|index| listed[index].clone()).collect();
            assert_eq!(part.items.iter().map(item_json).collect::<Vec<_>>(), mine, "{name}");
        }
    }
    for case in vectors["invalid"].as_array().unwrap() {
        let mesh = MeshId::from_bytes(array(&case["mesh"]));
        let (form, recipient) = (case["form"].as_str().unwrap(), public(&case["recipient_public"]));
        let error = judge(form, &unhex(&case["bytes"]), &recipient, &mesh).unwrap_err();
        assert_eq!(error, case["error"], "{}", case["name"]);
    }
}

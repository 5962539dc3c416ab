//! The vectors of rosters, invites and safety numbers.
//!
//! Each file is made here from seeds and compared byte for byte with the stored one; `CLAUDEMESH_WRITE_VECTORS=1` writes it.
//! Then the stored file is replayed as any other implementation would: from its own inputs alone.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside test functions")]

#[path = "vectors_roster/chain.rs"]
mod chain;
#[path = "vectors_roster/invalid.rs"]
mod invalid;
#[path = "vectors_roster/invites.rs"]
mod invites;
#[path = "vectors_common/stored.rs"]
mod stored;

use std::fmt::Debug;

use chain::Chain;
use claudemesh_core::codec::Signed;
use claudemesh_core::hash::Label;
use claudemesh_core::roster::Entry;
use claudemesh_core::{InviteId, Roster, SigningKey};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use stored::stored;

const WEAK: [u8; 32] = [0; 32];
const SIGNATURE: Label = Label::new("roster-sig");

fn hex(bytes: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(bytes.as_ref())
}

fn unhex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    unhex(value).try_into().unwrap()
}

/// The variant's name in lower case with underscores.
fn code(error: impl Debug) -> String {
    let mut code = String::new();
    for letter in format!("{error:?}").chars() {
        if letter.is_uppercase() && !code.is_empty() {
            code.push('_');
        }
        code.extend(letter.to_lowercase());
    }
    code
}

fn invite_id(key: &SigningKey) -> InviteId {
    key.public().invite_id()
}

/// What a fold of the chain so far says.
fn fold(roster: &Roster) -> Value {
    let members: Vec<Value> = roster
        .members()
        .map(|member| {
            json!({
                "id": member.id.to_string(), "role": member.role as u8, "kind": member.kind as u8, "live": member.is_live(),
                "joined_at": member.joined_at, "removed_at": member.removed_at,
                "invite": member.invite.map(|id| id.to_string()),
            })
        })
        .collect();
    let devices: Vec<Value> = roster
        .devices()
        .map(|device| {
            json!({
                "id": device.id.to_string(), "key": hex(device.key.as_bytes()), "member": device.member.to_string(),
                "live": device.is_live(), "added_at": device.added_at, "removed_at": device.removed_at,
            })
        })
        .collect();
    let invites: Vec<Value> = roster
        .invites()
        .map(|invite| {
            json!({
                "id": invite.id.to_string(), "key": hex(invite.key.as_bytes()), "uses": invite.uses, "used": invite.used,
                "expires": invite.expires.0, "creator": invite.creator.to_string(),
                "member": invite.member.map(|id| id.to_string()), "closed_at": invite.closed_at,
                "joined": invite.joined.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })
        })
        .collect();
    let brokers: Vec<Value> = roster
        .brokers()
        .iter()
        .map(|broker| json!({ "key": hex(broker.key.as_bytes()), "addresses": broker.addresses.to_vec() }))
        .collect();
    let head = roster.head();
    json!({
        "entries": head.index + 1, "head": { "index": head.index, "hash": hex(head.hash.0) }, "closed": roster.is_closed(),
        "recovery": hex(roster.recovery_key().as_bytes()), "members": members, "devices": devices, "invites": invites,
        "brokers": brokers,
    })
}

fn swapped(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn roster() {
    let chain = Chain::every_kind();
    let description = "Rosters (protocol section 2). valid: a chain of entries, each signed by the key named `author` (Ed25519 \
        seeds in `keys`; invites, recovery and broker keys stand there too), with its entry hash, and `member`, the id that \
        the join statement in it gives; `folds` is what the first `entries` entries of the chain say. invalid: `bytes` is \
        refused after the first `prefix` entries of the chain; with prefix 0 it is refused as a genesis. The names of errors \
        tell why; where several rules are broken another may be named.";
    let vectors = stored(
        "roster.json",
        json!({ "description": description, "valid": [chain.json()], "invalid": invalid::cases(&chain) }),
    );

    let chain = &vectors["valid"][0];
    let entries: Vec<Vec<u8>> =
        chain["entries"].as_array().unwrap().iter().map(|entry| unhex(&entry["bytes"])).collect();
    let mut rosters = vec![Roster::genesis(&entries[0]).unwrap()];
    for entry in &entries[1..] {
        let mut roster = rosters.last().unwrap().clone();
        roster.apply(entry).unwrap();
        rosters.push(roster);
    }
    let last = rosters.last().unwrap();
    assert_eq!(last.mesh().to_string(), chain["mesh"]);
    let kinds: std::collections::BTreeSet<u64> =
        entries.iter().map(|entry| Entry::parse(entry).unwrap().body().kind).collect();
    assert_eq!(kinds, (0..=10).collect());
    for (index, entry) in chain["entries"].as_array().unwrap().iter().enumerate() {
        assert_eq!(last.hash_at(index as u64).map(hex).as_deref(), entry["hash"].as_str());
        let key = SigningKey::from_seed(&array(&chain["keys"][entry["author"].as_str().unwrap()]["seed"]));
        assert_eq!(key.public().device_id().to_string(), entry["author_id"]);
        let signed: Signed = claudemesh_core::codec::decode(&entries[index]).unwrap();
        assert_eq!(key.sign(SIGNATURE, &signed.body), signed.signature);
    }
    for stored in chain["folds"].as_array().unwrap() {
        let count = usize::try_from(stored["entries"].as_u64().unwrap()).unwrap();
        assert_eq!(&fold(&rosters[count - 1]), stored);
    }
    for case in vectors["invalid"].as_array().unwrap() {
        let bytes = unhex(&case["bytes"]);
        let error = match usize::try_from(case["prefix"].as_u64().unwrap()).unwrap() {
            0 => Roster::genesis(&bytes).err(),
            prefix => rosters[prefix - 1].check(&bytes).err(),
        };
        assert_eq!(error.map(code).as_deref(), case["error"].as_str(), "{}", case["name"]);
    }
}

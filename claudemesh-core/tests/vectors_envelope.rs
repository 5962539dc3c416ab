//! The vectors of envelopes and receipts.
//!
//! Each file is made here from seeds and compared byte for byte with the stored one; `CLAUDEMESH_WRITE_VECTORS=1` writes it.
//! Then the stored file is replayed as any other implementation would: from its own inputs alone.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside test functions")]

#[path = "vectors_envelope/envelopes.rs"]
mod envelopes;
#[path = "vectors_envelope/forged.rs"]
mod forged;
#[path = "vectors_envelope/receipts.rs"]
mod receipts;
#[path = "vectors_common/stored.rs"]
mod stored;

use claudemesh_core::codec::HashBytes;
use claudemesh_core::{MeshId, MessageId, PublicKey, RosterHead, SigningKey};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use stored::stored;

fn hex(bytes: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(bytes.as_ref())
}

fn unhex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    unhex(value).try_into().unwrap()
}

fn public(value: &Value) -> PublicKey {
    PublicKey::from_bytes(&array(value)).unwrap()
}

fn mesh() -> MeshId {
    MeshId::from_bytes([0x11; 32])
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn head() -> RosterHead {
    RosterHead { index: 300, hash: HashBytes([0x44; 32]) }
}

fn head_json(head: &RosterHead) -> Value {
    json!({ "index": head.index, "hash": hex(head.hash.0) })
}

fn message_id(value: &Value) -> MessageId {
    value.as_str().unwrap().parse().unwrap()
}

/// `good` after `change`.
fn edit(good: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = good.to_vec();
    change(&mut bytes);
    bytes
}

/// CBOR written by hand, for forms that the library does not write.
fn cbor(write: impl FnOnce(&mut minicbor::Encoder<Vec<u8>>)) -> Vec<u8> {
    let mut e = minicbor::Encoder::new(Vec::new());
    write(&mut e);
    e.into_writer()
}

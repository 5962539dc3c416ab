//! Sealing: drafts become submissions under one signature; wraps are reused within the protocol's rule.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::cache::Bounded;
use super::content::Content;
use super::parts::{Flush, Header, Lane, Record};
use super::submission::Submission;
use super::{BODY, COMMITMENT, FLUSH, MAX_FLUSH, MAX_RECIPIENTS, envelope_hash, header_hash, records_root, wrap_info};
use crate::codec::strict;
use crate::codec::{Bytes, HashBytes};
use crate::hash::{Hash, sha256};
use crate::head::RosterHead;
use crate::id::{DeviceId, MeshId};
use crate::key::{CannotOpen, PrekeyPublic, Secret32, SigningKey, WRAP_LEN};
use crate::merkle::Tree;
use crate::seal;
use crate::time::Millis;

/// How long one wrap serves.
const REUSE_MILLIS: u64 = 10 * 60 * 1000;
/// How many messages one wrap serves.
const REUSE_MESSAGES: u32 = 1000;
/// Pairs of devices whose wraps are kept.
const WRAPS: usize = 1024;

/// A device an envelope is sealed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The device.
    pub device: DeviceId,
    /// The id of its prekey.
    pub prekey_id: u32,
    /// Its prekey.
    pub prekey: PrekeyPublic,
    /// The lane to it.
    pub lane: Lane,
    /// The place in that lane, from 1.
    pub seq: u64,
}

/// A message before sealing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// What the broker will read.
    pub header: Header,
    /// The devices it goes to.
    pub recipients: Vec<Recipient>,
    /// What it says.
    pub content: Content,
}

/// Why nothing was sealed. Drafts are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// No drafts or too many for one flush.
    #[error("a flush takes 1 to 64 drafts")]
    FlushSize,
    /// The header names another sender than the key's device, or attempt 0.
    #[error("draft {0} has a header that does not fit")]
    Header(usize),
    /// No recipients, too many, one twice, or a seq of 0.
    #[error("draft {0} has recipients that do not fit")]
    Recipients(usize),
    /// The content is outside its bounds.
    #[error("draft {0} has a content outside its bounds")]
    Content(usize),
    /// The recipient's prekey can carry no secret.
    #[error("draft {draft}: prekey of {recipient} can carry no secret")]
    Prekey {
        /// The draft.
        draft: usize,
        /// The recipient.
        recipient: DeviceId,
    },
}

struct Wrapped {
    prekey_id: u32,
    prekey: PrekeyPublic,
    head: RosterHead,
    made: Millis,
    uses: u32,
    // Boxed: entries move inside the map, and a moved secret would leave a copy behind.
    key: Box<Secret32>,
    wrap: [u8; WRAP_LEN],
}

impl Wrapped {
    fn in_time(&self, now: Millis) -> bool {
        // A clock set back would stretch the ten minutes.
        self.made <= now && now.since(self.made) < REUSE_MILLIS
    }

    fn serves(&self, header: &Header, to: &Recipient, now: Millis) -> bool {
        self.in_time(now)
            && self.uses < REUSE_MESSAGES
            && self.prekey_id == to.prekey_id
            && self.prekey == to.prekey
            && self.head == header.head
    }
}

/// Content keys with their wraps, reused for single-recipient envelopes of one (mesh, sender, recipient, prekey) for ten
/// minutes or 1,000 messages, while the roster head stays. Holds at most 1,024 pairs; keys are wiped when they leave.
pub struct WrapCache(Bounded<(MeshId, DeviceId, DeviceId), Wrapped>);

impl WrapCache {
    /// An empty cache.
    #[must_use]
    pub const fn new() -> Self {
        Self(Bounded::new(WRAPS))
    }

    /// Number of pairs held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Wipes what is past its time. Worth calling now and then on an idle sender.
    pub fn sweep(&mut self, now: Millis) {
        self.0.retain(|_, wrapped| wrapped.in_time(now));
    }

    /// Wipes everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The key and wrap for a single-recipient envelope: the kept one while it may serve, else a new one.
    fn take(
        &mut self,
        header: &Header,
        to: &Recipient,
        now: Millis,
        rng: &mut impl CryptoRng,
    ) -> Result<(Secret32, [u8; WRAP_LEN]), CannotOpen> {
        let pair = (header.mesh, header.sender, to.device);
        if let Some(wrapped) = self.0.get_mut(&pair).filter(|wrapped| wrapped.serves(header, to, now)) {
            wrapped.uses += 1;
            return Ok(((*wrapped.key).clone(), wrapped.wrap));
        }
        let key = fresh_key(rng);
        let wrap = wrap(header, to, &key, rng)?;
        self.sweep(now);
        let wrapped = Wrapped {
            prekey_id: to.prekey_id,
            prekey: to.prekey,
            head: header.head,
            made: now,
            uses: 1,
            key: Box::new(key.clone()),
            wrap,
        };
        self.0.insert(pair, wrapped);
        Ok((key, wrap))
    }
}

impl Default for WrapCache {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WrapCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrapCache({})", self.len())
    }
}

fn fresh_key(rng: &mut impl CryptoRng) -> Secret32 {
    let mut key = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut *key);
    key
}

fn wrap(
    header: &Header,
    to: &Recipient,
    key: &Secret32,
    rng: &mut impl CryptoRng,
) -> Result<[u8; WRAP_LEN], CannotOpen> {
    to.prekey.wrap(&wrap_info(&header.mesh, &header.sender, &to.device, to.prekey_id), key, rng)
}

/// Seals 1 to 64 drafts of the device with `key` under one signature, in order.
///
/// Message ids must never be used twice with one attempt. Nothing is sealed when any draft is refused.
///
/// # Errors
/// [`SealError`] naming the first draft that cannot be sealed.
pub fn seal_flush(
    key: &SigningKey,
    drafts: &[Draft],
    wraps: &mut WrapCache,
    now: Millis,
    rng: &mut impl CryptoRng,
) -> Result<Vec<Submission>, SealError> {
    if !(1..=MAX_FLUSH).contains(&drafts.len()) {
        return Err(SealError::FlushSize);
    }
    let sender = key.public().device_id();
    for (index, draft) in drafts.iter().enumerate() {
        check(draft, &sender, index)?;
    }
    let mut sealed = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.iter().enumerate() {
        sealed.push(seal_draft(draft, index, wraps, now, rng)?);
    }
    let tree = Tree::new(sealed.iter().map(|sealed| &sealed.hash[..]))
        .unwrap_or_else(|| unreachable!("a flush has at least one envelope"));
    let signature = key.sign(FLUSH, &tree.root());
    let count = sealed.len() as u64;
    let finish = |(index, sealed): (usize, Sealed)| Submission {
        header: sealed.header,
        records: sealed.records,
        commitment: HashBytes(sealed.commitment),
        body: sealed.body,
        flush: Flush { signature, index: index as u64, count, path: tree.path(index).unwrap_or_default() },
    };
    Ok(sealed.into_iter().enumerate().map(finish).collect())
}

/// An envelope that waits for its signature.
struct Sealed {
    header: Bytes,
    records: Vec<Bytes>,
    commitment: Hash,
    body: Bytes,
    hash: Hash,
}

fn check(draft: &Draft, sender: &DeviceId, index: usize) -> Result<(), SealError> {
    if draft.header.sender != *sender || draft.header.attempt == 0 {
        return Err(SealError::Header(index));
    }
    let recipients = &draft.recipients;
    let numbered = recipients.iter().all(|to| to.seq > 0);
    let different = recipients.len() < 2
        || recipients.iter().map(|to| to.device).collect::<BTreeSet<_>>().len() == recipients.len();
    if !(1..=MAX_RECIPIENTS).contains(&recipients.len()) || !numbered || !different {
        return Err(SealError::Recipients(index));
    }
    draft.content.check().map_err(|_| SealError::Content(index))
}

fn seal_draft(
    draft: &Draft,
    index: usize,
    wraps: &mut WrapCache,
    now: Millis,
    rng: &mut impl CryptoRng,
) -> Result<Sealed, SealError> {
    let Draft { header, recipients, content } = draft;
    let weak = |to: &Recipient| SealError::Prekey { draft: index, recipient: to.device };
    let record = |to: &Recipient, wrap| {
        let record = Record { recipient: to.device, prekey_id: to.prekey_id, lane: to.lane, seq: to.seq, wrap };
        strict::encode_sized(&record, 136).into()
    };

    let (content_key, records) = match &recipients[..] {
        [only] => {
            let (content_key, wrap) = wraps.take(header, only, now, rng).map_err(|_| weak(only))?;
            (content_key, Vec::from([record(only, wrap)]))
        }
        many => {
            // Every recipient learns this key, so it must open nothing else.
            let content_key = fresh_key(rng);
            let mut records = Vec::with_capacity(many.len());
            for to in many {
                records.push(record(to, wrap(header, to, &content_key, rng).map_err(|_| weak(to))?));
            }
            (content_key, records)
        }
    };

    let header = strict::encode_sized(header, 208);
    let h = header_hash(&header);
    let commitment = *seal::derive(&*content_key, COMMITMENT, &[&h]);
    let body_key = seal::derive(&*content_key, BODY, &[&h]);
    let content = content.encode().map_err(|_| SealError::Content(index))?;
    let body = seal::seal(&body_key, &h, &Zeroizing::new(seal::pad(&content)), rng);
    let hash = envelope_hash(&h, &records_root(&records), &commitment, &sha256(&body));
    Ok(Sealed { header: header.into(), records, commitment, body: body.into(), hash })
}

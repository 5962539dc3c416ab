//! Prekeys: their public form, and the ring in which their owner keeps the private parts.
//!
//! A prekey lives by a fixed schedule: published for a day, kept another seven for mail that is under way, then erased for
//! good. What was sealed to it can never be opened again, not even by its owner.

use alloc::vec::Vec;

use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

use super::MAX_PREKEYS;
use crate::codec::{Malformed, cbor_exact_array};
use crate::key::{PrekeyPublic, PrekeySecret};
use crate::time::Seconds;

const DAY: u64 = 24 * 60 * 60;
/// How long a prekey is published.
const PUBLISHED: u64 = DAY;
/// How long after its creation the private part is erased.
const KEPT: u64 = 8 * DAY;
/// How far a sender lets an expiry lie behind its own clock.
const TOLERANCE: u64 = DAY;

/// The number of a prekey, unique within its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct PrekeyId(#[n(0)] pub u32);

/// A prekey as it is published: `[id, public, expires]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode)]
#[cbor(array)]
pub struct Prekey {
    /// Its number.
    #[n(0)]
    pub id: PrekeyId,
    /// The public key.
    #[n(1)]
    pub public: PrekeyPublic,
    /// When its owner meant to replace it.
    #[n(2)]
    pub expires: Seconds,
}
cbor_exact_array!(Prekey { id, public, expires });

impl Prekey {
    /// Whether a sender may seal to it at `now`: its expiry is not past by more than 24 hours.
    #[must_use]
    pub fn is_fresh(&self, now: Seconds) -> bool {
        now <= self.expires.plus(TOLERANCE)
    }
}

/// A prekey as its owner keeps it.
#[derive(Debug)]
pub struct PrekeyEntry {
    /// Its number.
    pub id: PrekeyId,
    /// The private part.
    pub secret: PrekeySecret,
    /// When it was made.
    pub created: Seconds,
    /// Until when it is published.
    pub expires: Seconds,
    /// When the private part is erased.
    pub erase_at: Seconds,
}

impl PrekeyEntry {
    /// The published form.
    #[must_use]
    pub fn public(&self) -> Prekey {
        Prekey { id: self.id, public: self.secret.public(), expires: self.expires }
    }
}

/// A device's own prekeys with their private parts.
///
/// The ring's time never goes back: it is the latest time the ring was ever told, so a clock that is set back keeps no
/// secret alive for longer. Numbers are never used twice, even after every prekey is gone.
#[derive(Debug)]
pub struct PrekeyRing {
    /// In the order they were made.
    entries: Vec<PrekeyEntry>,
    next_id: PrekeyId,
    time: Seconds,
}

impl Default for PrekeyRing {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredEntry {
    #[n(0)]
    id: PrekeyId,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    secret: [u8; 32],
    #[n(2)]
    created: Seconds,
    #[n(3)]
    expires: Seconds,
    #[n(4)]
    erase_at: Seconds,
}

impl Drop for StoredEntry {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredRing {
    #[n(0)]
    entries: Vec<StoredEntry>,
    #[n(1)]
    next_id: PrekeyId,
    #[n(2)]
    time: Seconds,
}

impl PrekeyRing {
    /// The ring as bytes for the store, private parts included.
    #[must_use]
    pub fn snapshot(&self) -> Zeroizing<Vec<u8>> {
        let entries = self.entries.iter().map(|entry| StoredEntry {
            id: entry.id,
            secret: *entry.secret.to_bytes(),
            created: entry.created,
            expires: entry.expires,
            erase_at: entry.erase_at,
        });
        let ring = StoredRing { entries: entries.collect(), next_id: self.next_id, time: self.time };
        Zeroizing::new(crate::codec::encode(&ring))
    }

    /// The ring of [`PrekeyRing::snapshot`].
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are no snapshot.
    pub fn restore(snapshot: &[u8]) -> Result<Self, Malformed> {
        let StoredRing { entries, next_id, time } = crate::codec::decode(snapshot)?;
        let entries = entries.iter().map(|entry| PrekeyEntry {
            id: entry.id,
            secret: PrekeySecret::from_bytes(entry.secret),
            created: entry.created,
            expires: entry.expires,
            erase_at: entry.erase_at,
        });
        Ok(Self::from_entries(entries.collect(), next_id, time))
    }
}

impl PrekeyRing {
    /// A ring without prekeys.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new(), next_id: PrekeyId(1), time: Seconds(0) }
    }

    /// The ring that was stored as these [`entries`](Self::entries), [`next_id`](Self::next_id) and [`time`](Self::time).
    #[must_use]
    pub fn from_entries(mut entries: Vec<PrekeyEntry>, next_id: PrekeyId, time: Seconds) -> Self {
        entries.sort_by_key(|entry| (entry.created, entry.id));
        // A store that lost the two scalars must lead neither to a used number nor to an earlier time.
        let after = entries.iter().map(|entry| PrekeyId(entry.id.0.saturating_add(1))).max();
        let created = entries.iter().map(|entry| entry.created).max();
        Self { next_id: next_id.max(after.unwrap_or(next_id)), time: time.max(created.unwrap_or(time)), entries }
    }

    /// The prekeys with their private parts, for the store.
    #[must_use]
    pub fn entries(&self) -> &[PrekeyEntry] {
        &self.entries
    }

    /// The number the next prekey gets, for the store.
    #[must_use]
    pub const fn next_id(&self) -> PrekeyId {
        self.next_id
    }

    /// The latest time the ring was told, for the store.
    #[must_use]
    pub const fn time(&self) -> Seconds {
        self.time
    }

    /// Takes back a time that was never right: a clock that stood ahead has told the ring of days to come. Call it only
    /// with a clock that the broker's confirms. What is left of a secret's life stays what it was, so none lives longer
    /// for it; the prekeys are replaced at the next [`PrekeyRing::rotate`].
    pub fn set_right(&mut self, now: Seconds) {
        if self.time <= now.plus(TOLERANCE) {
            return;
        }
        for entry in &mut self.entries {
            entry.created = entry.created.min(Seconds(now.0.saturating_sub(PUBLISHED)));
            entry.expires = entry.expires.min(now);
            entry.erase_at = now.plus(entry.erase_at.0.saturating_sub(self.time.0));
        }
        self.time = now;
    }

    /// Makes a new prekey when there is none or the newest is a day old; `true` when it did. The caller stores it, then
    /// publishes a record with it.
    pub fn rotate(&mut self, now: Seconds, rng: &mut impl CryptoRng) -> bool {
        let now = self.advance(now);
        if self.entries.last().is_some_and(|newest| now < newest.created.plus(PUBLISHED)) {
            return false;
        }
        self.entries.push(PrekeyEntry {
            id: self.next_id,
            secret: PrekeySecret::generate(rng),
            created: now,
            expires: now.plus(PUBLISHED),
            erase_at: now.plus(KEPT),
        });
        // One a day: the numbers last for ten million years.
        self.next_id = PrekeyId(self.next_id.0.wrapping_add(1));
        true
    }

    /// Erases the private parts whose time has come and says which; the caller erases them from its store.
    pub fn erase(&mut self, now: Seconds) -> Vec<PrekeyId> {
        let now = self.advance(now);
        let mut erased = Vec::new();
        self.entries.retain(|entry| {
            let keep = now < entry.erase_at;
            if !keep {
                erased.push(entry.id);
            }
            keep
        });
        erased
    }

    /// The private part of a prekey; `None` when it was never made or is erased.
    #[must_use]
    pub fn secret(&self, id: PrekeyId) -> Option<&PrekeySecret> {
        self.entries.iter().find(|entry| entry.id == id && self.time < entry.erase_at).map(|entry| &entry.secret)
    }

    /// The prekeys to publish: those not expired, and the newest in any case. Empty before the first rotation.
    #[must_use]
    pub fn public(&self) -> Vec<Prekey> {
        let newest = self.entries.len().saturating_sub(1);
        let published = self.entries.iter().enumerate();
        let published = published.filter(|(i, entry)| *i == newest || self.time < entry.expires);
        published.rev().take(MAX_PREKEYS).map(|(_, entry)| entry.public()).collect()
    }

    fn advance(&mut self, now: Seconds) -> Seconds {
        self.time = self.time.max(now);
        self.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededRng;

    const START: Seconds = Seconds(1_700_000_000);

    fn ring_at(days: &[u64]) -> PrekeyRing {
        let mut ring = PrekeyRing::new();
        for day in days {
            assert!(ring.rotate(START.plus(day * DAY), &mut SeededRng::new(*day)));
        }
        ring
    }

    #[test]
    fn a_prekey_is_made_once_a_day() {
        let mut ring = ring_at(&[0]);
        let mut rng = SeededRng::new(9);
        assert!(!ring.rotate(START.plus(DAY - 1), &mut rng));
        assert!(ring.rotate(START.plus(DAY), &mut rng));
        assert_eq!(ring.entries().iter().map(|entry| entry.id.0).collect::<Vec<_>>(), [1, 2]);
        let published = ring.public();
        assert_eq!(published.len(), 1, "the expired one is not published");
        assert_eq!((published[0].id, published[0].expires), (PrekeyId(2), START.plus(2 * DAY)));
        assert_eq!(published[0].public, ring.secret(PrekeyId(2)).unwrap().public());
    }

    #[test]
    fn private_parts_are_erased_after_eight_days() {
        let mut ring = ring_at(&[0, 1]);
        assert!(ring.erase(START.plus(8 * DAY - 1)).is_empty());
        assert!(ring.secret(PrekeyId(1)).is_some());
        assert_eq!(ring.erase(START.plus(8 * DAY)), [PrekeyId(1)]);
        assert!(ring.secret(PrekeyId(1)).is_none() && ring.secret(PrekeyId(2)).is_some());
    }

    #[test]
    fn a_clock_set_back_gives_nothing_more_time() {
        let mut ring = ring_at(&[0]);
        assert!(ring.erase(START.plus(7 * DAY)).is_empty());
        assert!(ring.rotate(START, &mut SeededRng::new(1)), "the ring's own time asks for a new one");
        assert_eq!(ring.entries()[1].created, START.plus(7 * DAY));
        ring.erase(START.plus(8 * DAY));
        assert!(ring.secret(PrekeyId(1)).is_none());
        assert_eq!(ring.time(), START.plus(8 * DAY));
    }

    #[test]
    fn a_clock_that_stood_ahead_is_set_right_and_gives_nothing_more_time() {
        const YEAR: u64 = 365 * DAY;
        let mut ring = ring_at(&[0]);
        let mut rng = SeededRng::new(9);
        assert!(ring.rotate(START.plus(YEAR), &mut rng));
        ring.erase(START.plus(YEAR + 3 * DAY));
        assert!(ring.secret(PrekeyId(1)).is_none(), "by the wrong clock its time had come");
        ring.set_right(START.plus(DAY));
        assert!(ring.rotate(START.plus(DAY), &mut rng), "the next prekey is not a year away");
        assert_eq!(ring.public()[0].expires, START.plus(2 * DAY));
        // Five of its eight days were left.
        assert!(ring.erase(START.plus(6 * DAY - 1)).is_empty());
        assert_eq!(ring.erase(START.plus(6 * DAY)), [PrekeyId(2)]);
    }

    #[test]
    fn a_day_of_difference_is_no_reason_to_set_a_ring_right() {
        let mut ring = ring_at(&[1]);
        ring.set_right(START);
        assert_eq!(ring.time(), START.plus(DAY));
    }

    #[test]
    fn a_secret_whose_time_has_come_is_not_given_out_before_it_is_erased() {
        let mut ring = ring_at(&[0]);
        ring.rotate(START.plus(9 * DAY), &mut SeededRng::new(1));
        assert!(ring.secret(PrekeyId(1)).is_none());
    }

    #[test]
    fn numbers_are_not_used_again_after_everything_is_erased() {
        let mut ring = ring_at(&[0, 1]);
        assert_eq!(ring.erase(START.plus(30 * DAY)).len(), 2);
        assert!(ring.public().is_empty());
        let mut ring = PrekeyRing::from_entries(Vec::new(), ring.next_id(), ring.time());
        assert!(ring.rotate(START, &mut SeededRng::new(1)));
        assert_eq!(ring.entries()[0].id, PrekeyId(3));
        assert_eq!(ring.entries()[0].created, START.plus(30 * DAY));
    }

    #[test]
    fn a_stored_ring_comes_back_whole() {
        let ring = ring_at(&[0, 1]);
        let copy = |entry: &PrekeyEntry| PrekeyEntry {
            id: entry.id,
            secret: PrekeySecret::from_bytes(*entry.secret.to_bytes()),
            created: entry.created,
            expires: entry.expires,
            erase_at: entry.erase_at,
        };
        let entries: Vec<_> = ring.entries().iter().rev().map(copy).collect();
        let again = PrekeyRing::from_entries(entries, ring.next_id(), ring.time());
        assert_eq!(again.public(), ring.public());
        assert_eq!((again.next_id(), again.time()), (PrekeyId(3), START.plus(DAY)));
        let poor = PrekeyRing::from_entries(ring.entries().iter().map(copy).collect(), PrekeyId(1), Seconds(0));
        assert_eq!((poor.next_id(), poor.time()), (PrekeyId(3), START.plus(DAY)));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let text = alloc::format!("{:?}", ring_at(&[0]));
        assert!(text.contains("PrekeySecret(..)"), "{text}");
    }

    #[test]
    fn senders_tolerate_a_day() {
        let prekey = ring_at(&[0]).public()[0];
        assert!(prekey.is_fresh(START) && prekey.is_fresh(START.plus(2 * DAY)));
        assert!(!prekey.is_fresh(START.plus(2 * DAY + 1)));
        assert!(Prekey { expires: Seconds(u64::MAX), ..prekey }.is_fresh(Seconds(u64::MAX)));
    }
}

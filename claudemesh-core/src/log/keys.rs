//! The epoch secrets a client holds, and how it learns them: from its own wraps, from history links backwards, from
//! re-wraps. No secret is taken that does not match its epoch's commitment.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::borrow::Borrow;

use minicbor::{
    Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};
use zeroize::Zeroizing;

use super::records::{open_link, wrap_info};
use super::{BadCommitReason, Commit, HistoryLink, Rewrap, SealedSecret, WrapRecord, epoch_commitment};
use crate::codec::{self, HashBytes, Malformed};
use crate::hash::constant_time_eq;
use crate::id::{DeviceId, LogId, MeshId};
use crate::key::{CannotOpen, PrekeySecret, Secret32};

/// How many secrets of own commits are kept until the log shows which one it took.
const MAX_OFFERED: usize = 8;
/// How many links are kept for an epoch whose secret is still missing. One is right; the others are some member's dirt.
const MAX_LINKS: usize = 8;

/// What became of the wraps of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WrapOutcome {
    /// These epochs became readable, oldest first; empty when they were readable before.
    Learned(Vec<u64>),
    /// There is no wrap for this device, or its prekey is erased: ask for a re-wrap.
    NoWrap,
    /// The own wrap is unusable: report it and commit the next epoch.
    Bad(BadCommitReason),
}

/// The secrets of one log's epochs. Wiped on drop.
#[derive(Encode, Decode)]
#[cbor(map)]
pub struct LogKeys {
    #[n(0)]
    mesh: MeshId,
    #[n(1)]
    log: LogId,
    #[n(2)]
    device: DeviceId,
    /// Of every epoch that was committed.
    #[n(3)]
    commitments: BTreeMap<u64, HashBytes>,
    #[n(4)]
    secrets: BTreeMap<u64, Held>,
    /// By the epoch that opens them, while its secret is missing.
    #[n(5)]
    links: BTreeMap<u64, Vec<SealedSecret>>,
    /// Epochs below this are erased by policy and stay so. Number 6 is retired.
    #[n(7)]
    erased_below: u64,
    /// The secrets of own commits that are not in the log yet, the oldest first. An earlier one may have got there unseen.
    #[n(8)]
    #[cbor(default)]
    offered: Vec<Offered>,
}

impl core::fmt::Debug for LogKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "LogKeys({:?}, {} of {} epochs)", self.log, self.secrets.len(), self.commitments.len())
    }
}

/// Boxed, so that moving it leaves no copy behind.
struct Held(Box<Secret32>);

impl<C> Encode<C> for Held {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.bytes(&self.0[..])?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Held {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        let mut held = Self(Box::new(Zeroizing::new([0; 32])));
        let bytes = d.bytes()?;
        if bytes.len() != held.0.len() {
            return Err(DecodeError::message("wrong length"));
        }
        held.0.copy_from_slice(bytes);
        Ok(held)
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Offered {
    #[n(0)]
    epoch: u64,
    #[n(1)]
    secret: Held,
}

impl LogKeys {
    /// No keys yet, for `device` in this log.
    #[must_use]
    pub const fn new(mesh: MeshId, log: LogId, device: DeviceId) -> Self {
        Self {
            mesh,
            log,
            device,
            commitments: BTreeMap::new(),
            secrets: BTreeMap::new(),
            links: BTreeMap::new(),
            erased_below: 0,
            offered: Vec::new(),
        }
    }

    /// The device the keys are for.
    #[must_use]
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// The secret of `epoch`, when held.
    #[must_use]
    pub fn secret(&self, epoch: u64) -> Option<&Secret32> {
        self.secrets.get(&epoch).map(|held| &*held.0)
    }

    /// The last committed epoch and its secret, when held.
    #[must_use]
    pub fn current(&self) -> Option<(u64, &Secret32)> {
        let (&epoch, _) = self.commitments.last_key_value()?;
        Some((epoch, self.secret(epoch)?))
    }

    /// The committed epochs whose secret is missing, oldest first; those erased by policy are not missed.
    pub fn missing(&self) -> impl Iterator<Item = u64> + '_ {
        self.commitments
            .range(self.erased_below..)
            .map(|(&epoch, _)| epoch)
            .filter(|epoch| self.secret(*epoch).is_none())
    }

    /// Takes a secret from elsewhere: of an own commit before it is in the log, or from another own device. Returns the
    /// epochs that became readable; the secret of an epoch not committed yet is kept aside, with a few others.
    ///
    /// # Errors
    /// [`CannotOpen`] when the secret is not the one committed to.
    pub fn insert(&mut self, epoch: u64, secret: &[u8; 32]) -> Result<Vec<u64>, CannotOpen> {
        let held = Held(Box::new(Zeroizing::new(*secret)));
        if !self.commitments.contains_key(&epoch) {
            if self.offered.len() >= MAX_OFFERED {
                self.offered.remove(0);
            }
            self.offered.push(Offered { epoch, secret: held });
            return Ok(Vec::new());
        }
        if !self.matches(epoch, secret) {
            return Err(CannotOpen);
        }
        Ok(self.absorb(epoch, held))
    }

    /// Learns from a commit of epoch `epoch` by `author`, which was checked to follow the log.
    pub fn learn_commit<S: Borrow<PrekeySecret>>(
        &mut self,
        author: &DeviceId,
        epoch: u64,
        commit: &Commit,
        prekeys: impl Fn(u32) -> Option<S>,
    ) -> WrapOutcome {
        self.commitments.insert(epoch, commit.commitment);
        if let Some(link) = commit.link {
            self.links.entry(epoch).or_default().push(link);
        }
        let (past, rest) = core::mem::take(&mut self.offered).into_iter().partition(|offered| offered.epoch <= epoch);
        self.offered = rest;
        let past: Vec<Offered> = past;
        let own = past.into_iter().find(|offered| offered.epoch == epoch && self.matches(epoch, &offered.secret.0));
        if let Some(own) = own {
            return WrapOutcome::Learned(self.absorb(epoch, own.secret));
        }
        self.open_wrap(author, epoch, &commit.wraps, prekeys)
    }

    /// Learns from a re-wrap by `author`.
    pub fn learn_rewrap<S: Borrow<PrekeySecret>>(
        &mut self,
        author: &DeviceId,
        rewrap: &Rewrap,
        prekeys: impl Fn(u32) -> Option<S>,
    ) -> WrapOutcome {
        self.open_wrap(author, rewrap.epoch, &rewrap.wraps, prekeys)
    }

    /// Learns from a history link; returns the epochs that became readable, oldest first.
    pub fn learn_link(&mut self, link: &HistoryLink) -> Vec<u64> {
        let Some(before) = link.epoch.checked_sub(1) else { return Vec::new() };
        if self.secrets.contains_key(&before) {
            return Vec::new();
        }
        let Some(secret) = self.secret(link.epoch) else {
            let links = self.links.entry(link.epoch).or_default();
            if links.len() < MAX_LINKS {
                links.push(link.sealed);
            }
            return Vec::new();
        };
        match open_link(&self.log, link.epoch, secret, &link.sealed) {
            Ok(secret) if self.matches(before, &secret) => self.absorb(before, Held(Box::new(secret))),
            _ => Vec::new(),
        }
    }

    /// Whether both secrets that a link joins are held, and it does join them.
    #[must_use]
    pub fn confirms(&self, link: &HistoryLink) -> bool {
        let opened = self.secret(link.epoch).map(|secret| open_link(&self.log, link.epoch, secret, &link.sealed));
        matches!(opened, Some(Ok(secret)) if self.matches(link.epoch - 1, &secret))
    }

    /// Erases the secrets of all epochs below `epoch`, as logs without history demand; they are not taken again.
    pub fn erase_below(&mut self, epoch: u64) {
        self.erased_below = self.erased_below.max(epoch);
        self.secrets = self.secrets.split_off(&self.erased_below);
        self.links.retain(|&opens, _| opens > self.erased_below);
    }

    fn open_wrap<S: Borrow<PrekeySecret>>(
        &mut self,
        author: &DeviceId,
        epoch: u64,
        wraps: &[WrapRecord],
        prekeys: impl Fn(u32) -> Option<S>,
    ) -> WrapOutcome {
        let own = wraps.iter().find(|wrap| wrap.device == self.device);
        let Some((wrap, prekey)) = own.and_then(|wrap| Some((wrap, prekeys(wrap.prekey)?))) else {
            return WrapOutcome::NoWrap;
        };
        let info = wrap_info(&self.mesh, &self.log, epoch, author, &self.device, wrap.prekey);
        match prekey.borrow().unwrap_secret(&info, &wrap.wrap) {
            Ok(secret) if self.matches(epoch, &secret) => {
                WrapOutcome::Learned(self.absorb(epoch, Held(Box::new(secret))))
            }
            Ok(_) => WrapOutcome::Bad(BadCommitReason::Commitment),
            Err(CannotOpen) => WrapOutcome::Bad(BadCommitReason::CannotOpen),
        }
    }

    /// Compares in constant time.
    fn matches(&self, epoch: u64, secret: &[u8; 32]) -> bool {
        let commitment = epoch_commitment(&self.log, epoch, secret);
        self.commitments.get(&epoch).is_some_and(|expected| constant_time_eq(&expected.0, &commitment))
    }

    /// Keeps a verified secret and follows the links it opens, as far back as they go.
    fn absorb(&mut self, mut epoch: u64, secret: Held) -> Vec<u64> {
        let mut learned = Vec::new();
        let mut next = Some(secret);
        while let Some(secret) = next.take() {
            if epoch < self.erased_below || self.secrets.contains_key(&epoch) {
                break;
            }
            let links = self.links.remove(&epoch).unwrap_or_default();
            if let Some(before) = epoch.checked_sub(1) {
                next = links
                    .iter()
                    .filter_map(|link| open_link(&self.log, epoch, &secret.0, link).ok())
                    .find(|opened| self.matches(before, opened))
                    .map(|opened| Held(Box::new(opened)));
            }
            self.secrets.insert(epoch, secret);
            learned.insert(0, epoch);
            epoch = epoch.saturating_sub(1);
        }
        learned
    }

    /// Everything, for a store that keeps secrets well.
    #[must_use]
    pub fn snapshot(&self) -> Zeroizing<Vec<u8>> {
        encode_secret(self)
    }

    /// Restores a [`snapshot`](Self::snapshot).
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are none.
    pub fn restore(snapshot: &[u8]) -> Result<Self, Malformed> {
        codec::decode_own(snapshot)
    }
}

/// Encodes into a buffer of the right size from the start: one that grows leaves copies of secrets behind.
pub(super) fn encode_secret<T: Encode<()>>(value: &T) -> Zeroizing<Vec<u8>> {
    let mut size = Measure(0);
    let Ok(()) = minicbor::encode(value, &mut size) else { unreachable!("measuring cannot fail") };
    let mut out = Zeroizing::new(Vec::with_capacity(size.0));
    let Ok(()) = minicbor::encode(value, &mut *out) else { unreachable!("encoding into memory cannot fail") };
    out
}

struct Measure(usize);

impl Write for Measure {
    type Error = core::convert::Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0 += bytes.len();
        Ok(())
    }
}

//! Making entries. What is made here passes [`check_append`](super::check_append) when the [`Writer`] is up to date.

use alloc::vec::Vec;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::records::{seal_link, seal_records, wrap_info};
use super::{
    BadCommit, BadCommitReason, Commit, Compaction, EntryKind, HistoryLink, HistoryPolicy, LogBody, LogEntry, LogError,
    MAX_RECORDS, MAX_WRAPS, Position, Record, Rewrap, WrapRecord, epoch_commitment,
};
use crate::codec::{self, Bytes, HashBytes, List, Malformed};
use crate::head::RosterHead;
use crate::id::{DeviceId, LogId, MeshId};
use crate::key::{PrekeyPublic, Secret32, SigningKey};

/// An entry cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Nothing to write: no records, recipients or offsets.
    #[error("nothing to write")]
    Empty,
    /// More items than one entry takes.
    #[error("more items than one entry takes")]
    TooMany,
    /// The entry would exceed [`MAX_ENTRY_BYTES`](super::MAX_ENTRY_BYTES).
    #[error("entry would be too large")]
    TooLarge,
    /// There is no such epoch: epochs count from 1, and the first has none before it.
    #[error("no such epoch")]
    NoSuchEpoch,
}

impl From<LogError> for BuildError {
    fn from(_: LogError) -> Self {
        // Entries built here are well-formed, so signing refuses them for their size alone.
        Self::TooLarge
    }
}

impl From<Malformed> for BuildError {
    fn from(_: Malformed) -> Self {
        Self::TooMany
    }
}

/// Who writes, and what it knows while it does.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// The device's key.
    pub key: &'a SigningKey,
    /// The mesh.
    pub mesh: MeshId,
    /// The log.
    pub log: LogId,
    /// The device's next per-log seq.
    pub seq: u64,
    /// The last position the device has verified.
    pub seen: Position,
    /// The roster head the device knows.
    pub head: RosterHead,
}

impl Writer<'_> {
    fn body(&self, kind: EntryKind, epoch: u64, payload: Vec<u8>) -> LogBody {
        LogBody {
            mesh: self.mesh,
            log: self.log,
            author: self.key.public().device_id(),
            kind,
            epoch,
            seq: self.seq,
            seen: self.seen,
            head: self.head,
            payload: Bytes(payload),
        }
    }

    fn sign(&self, kind: EntryKind, epoch: u64, payload: Vec<u8>) -> Result<LogEntry, BuildError> {
        Ok(LogEntry::sign(self.key, &self.body(kind, epoch, payload))?)
    }

    /// Wraps `secret` to each recipient whose prekey can carry it, and names the others.
    fn wrap_all(
        &self,
        epoch: u64,
        secret: &[u8; 32],
        recipients: &[Recipient],
        rng: &mut impl CryptoRng,
    ) -> Result<(List<WrapRecord, MAX_WRAPS>, Vec<DeviceId>), BuildError> {
        let author = self.key.public().device_id();
        let (mut wraps, mut omitted) = (Vec::new(), Vec::new());
        for &Recipient { device, prekey, key } in recipients {
            let info = wrap_info(&self.mesh, &self.log, epoch, &author, &device, prekey);
            match key.wrap(&info, secret, rng) {
                Ok(wrap) => wraps.push(WrapRecord { device, prekey, wrap }),
                Err(_) => omitted.push(device),
            }
        }
        if wraps.is_empty() { Err(BuildError::Empty) } else { Ok((List::from_vec(wraps)?, omitted)) }
    }
}

/// A device a secret is wrapped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The device.
    pub device: DeviceId,
    /// The id of its prekey.
    pub prekey: u32,
    /// The prekey.
    pub key: PrekeyPublic,
}

/// What a commit is to say.
#[derive(Clone, Copy, Debug)]
pub struct CommitPlan<'a> {
    /// The new epoch.
    pub epoch: u64,
    /// What the log opens to newcomers.
    pub history: HistoryPolicy,
    /// The secret of the epoch before, when held; used with [`HistoryPolicy::All`] only.
    pub before: Option<&'a Secret32>,
    /// The devices of a private log, the writer among them.
    pub audience: Option<&'a [DeviceId]>,
    /// Live devices, inside the audience, with their prekeys; the writer among them.
    pub recipients: &'a [Recipient],
}

/// A commit that was made but is not in the log yet.
#[derive(Debug)]
pub struct NewCommit {
    /// The entry.
    pub entry: LogEntry,
    /// The new epoch's secret, for [`LogKeys::insert`](super::LogKeys::insert).
    pub secret: Secret32,
    /// Recipients whose published prekey can carry no secret.
    pub omitted: Vec<DeviceId>,
}

/// Makes a commit with a fresh secret.
///
/// # Errors
/// [`BuildError`].
pub fn build_commit(
    writer: &Writer<'_>,
    plan: &CommitPlan<'_>,
    rng: &mut impl CryptoRng,
) -> Result<NewCommit, BuildError> {
    if plan.epoch == 0 {
        return Err(BuildError::NoSuchEpoch);
    }
    let mut secret = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut *secret);
    let (wraps, omitted) = writer.wrap_all(plan.epoch, &secret, plan.recipients, rng)?;
    let before = plan.before.filter(|_| plan.history == HistoryPolicy::All && plan.epoch > 1);
    let commit = Commit {
        head: writer.head,
        commitment: HashBytes(epoch_commitment(&writer.log, plan.epoch, &secret)),
        wraps,
        history: plan.history,
        link: before.map(|before| seal_link(&writer.log, plan.epoch, &secret, before, rng)),
        audience: plan.audience.map(|audience| List::from_vec(audience.to_vec())).transpose()?,
    };
    if commit.audience.as_ref().is_some_and(|audience| audience.is_empty()) {
        return Err(BuildError::Empty);
    }
    let entry = writer.sign(EntryKind::Commit, plan.epoch, codec::encode(&commit))?;
    Ok(NewCommit { entry, secret, omitted })
}

/// Seals 1 to [`MAX_RECORDS`] records under the secret of `epoch`, the current one.
///
/// # Errors
/// [`BuildError`].
pub fn build_records(
    writer: &Writer<'_>,
    epoch: u64,
    secret: &Secret32,
    records: &[Record],
    rng: &mut impl CryptoRng,
) -> Result<LogEntry, BuildError> {
    match records.len() {
        0 => return Err(BuildError::Empty),
        1..=MAX_RECORDS => {}
        _ => return Err(BuildError::TooMany),
    }
    let mut body = writer.body(EntryKind::Records, epoch, Vec::new());
    body.payload = Bytes(seal_records(&body, secret, records, rng));
    Ok(LogEntry::sign(writer.key, &body)?)
}

/// Makes a history link: the secret `before` of epoch `opens − 1`, under `secret` of `opens`. `epoch` is the current one.
///
/// # Errors
/// [`BuildError`].
pub fn build_history_link(
    writer: &Writer<'_>,
    epoch: u64,
    opens: u64,
    secret: &Secret32,
    before: &Secret32,
    rng: &mut impl CryptoRng,
) -> Result<LogEntry, BuildError> {
    if opens < 2 {
        return Err(BuildError::NoSuchEpoch);
    }
    let link = HistoryLink { epoch: opens, sealed: seal_link(&writer.log, opens, secret, before, rng) };
    writer.sign(EntryKind::HistoryLink, epoch, codec::encode(&link))
}

/// Wraps `secret` of epoch `wrapped` to more devices; those whose prekey can carry no secret are left out. `epoch` is the
/// current one.
///
/// # Errors
/// [`BuildError`].
pub fn build_rewrap(
    writer: &Writer<'_>,
    epoch: u64,
    wrapped: u64,
    secret: &Secret32,
    recipients: &[Recipient],
    rng: &mut impl CryptoRng,
) -> Result<LogEntry, BuildError> {
    let (wraps, _) = writer.wrap_all(wrapped, secret, recipients, rng)?;
    writer.sign(EntryKind::Rewrap, epoch, codec::encode(&Rewrap { epoch: wrapped, wraps }))
}

/// Reports that the commit of epoch `bad` could not be used. `epoch` is the current one.
///
/// # Errors
/// [`BuildError`].
pub fn build_bad_commit(
    writer: &Writer<'_>,
    epoch: u64,
    bad: u64,
    reason: BadCommitReason,
) -> Result<LogEntry, BuildError> {
    writer.sign(EntryKind::BadCommit, epoch, codec::encode(&BadCommit { epoch: bad, reason }))
}

/// Names the records entries to drop, in any order. `epoch` is the current one.
///
/// # Errors
/// [`BuildError`].
pub fn build_compaction(writer: &Writer<'_>, epoch: u64, offsets: &[u64]) -> Result<LogEntry, BuildError> {
    let mut offsets = offsets.to_vec();
    offsets.sort_unstable();
    offsets.dedup();
    if offsets.is_empty() {
        return Err(BuildError::Empty);
    }
    let compaction = Compaction { offsets: List::from_vec(offsets)? };
    writer.sign(EntryKind::Compaction, epoch, codec::encode(&compaction))
}

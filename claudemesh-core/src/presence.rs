//! Presence: what a device says it is doing, signed by the device and sealed to its mesh.
//!
//! Owns the presence bytes and the rule that drops old ones. Whether a device is online is the broker's word and no part of
//! this.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::codec::{Bytes, List, Signed, cbor_fixed_bytes, decode, encode};
use crate::hash::Label;
use crate::head::RosterHead;
use crate::id::{DeviceId, MeshId};
use crate::key::{PublicKey, Secret32, SigningKey};
use crate::seal;

/// The most bytes a presence has.
pub const MAX_PRESENCE_BYTES: usize = 8 * 1024;

/// The most bytes a summary has.
pub const MAX_SUMMARY_BYTES: usize = 280;

/// The most sessions a status lists.
pub const MAX_SESSIONS: usize = 64;

/// How many past boots of a device are remembered.
const MAX_PAST_BOOTS: usize = 16;

const PRESENCE: Label = Label::new("presence");
const PRESENCE_KEY: Label = Label::new("presence-key");

/// A presence cannot be made or is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PresenceError {
    /// Larger than [`MAX_PRESENCE_BYTES`].
    #[error("the presence is too large")]
    TooLarge,
    /// A summary is longer than [`MAX_SUMMARY_BYTES`].
    #[error("a summary is too long")]
    SummaryTooLong,
    /// More than [`MAX_SESSIONS`] sessions.
    #[error("too many sessions")]
    TooManySessions,
    /// Not the bytes of a presence.
    #[error("the presence is malformed")]
    Malformed,
    /// The signature is not the device's.
    #[error("the presence's signature does not verify")]
    BadSignature,
    /// The presence belongs to another mesh.
    #[error("the presence belongs to another mesh")]
    WrongMesh,
    /// The presence names another device.
    #[error("the presence names another device")]
    WrongDevice,
    /// The status cannot be opened with this secret.
    #[error("the presence cannot be opened")]
    CannotOpen,
}

/// One run of a device's program: random, new at every start.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BootId([u8; 16]);
cbor_fixed_bytes!(BootId, 16);

impl BootId {
    /// A fresh id.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The id's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BootId({})", data_encoding::HEXLOWER.encode(&self.0[..4]))
    }
}

/// What a device or session is up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
#[non_exhaustive]
pub enum Activity {
    /// Nothing is going on.
    #[default]
    #[n(0)]
    Idle,
    /// At work.
    #[n(1)]
    Working,
    /// Waiting for someone.
    #[n(2)]
    Blocked,
    /// Not to be disturbed.
    #[n(3)]
    DoNotDisturb,
}

impl Activity {
    /// The activity's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Working => "working",
            Self::Blocked => "blocked",
            Self::DoNotDisturb => "dnd",
        }
    }
}

/// What a device tells its mesh about itself.
///
/// The texts are another member's: whoever shows them takes care of what they can do to a terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// What the device is up to.
    pub activity: Activity,
    /// One line about it, at most [`MAX_SUMMARY_BYTES`].
    pub summary: Option<String>,
    /// Its sessions, at most [`MAX_SESSIONS`].
    pub sessions: Vec<SessionInfo>,
}

/// One session of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SessionInfo {
    /// Its id.
    #[n(0)]
    pub id: String,
    /// Its display name.
    #[n(1)]
    pub name: Option<String>,
    /// The folder it works in.
    #[n(2)]
    pub cwd: Option<String>,
    /// What it is up to.
    #[n(3)]
    pub activity: Activity,
    /// One line about it, at most [`MAX_SUMMARY_BYTES`].
    #[n(4)]
    pub summary: Option<String>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct StatusBody {
    #[n(0)]
    activity: Activity,
    #[n(1)]
    summary: Option<String>,
    #[n(2)]
    sessions: List<SessionInfo, MAX_SESSIONS>,
}

impl Status {
    /// The status as it is sealed and stored.
    ///
    /// # Errors
    /// [`PresenceError`] when a bound is broken.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, PresenceError> {
        self.check()?;
        let sessions = List::from_vec(self.sessions.clone()).map_err(|_| PresenceError::TooManySessions)?;
        let body = StatusBody { activity: self.activity, summary: self.summary.clone(), sessions };
        Ok(Zeroizing::new(encode(&body)))
    }

    /// The status of [`Status::to_bytes`].
    ///
    /// # Errors
    /// [`PresenceError`] when the bytes are no status.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PresenceError> {
        let StatusBody { activity, summary, sessions } = decode(bytes).map_err(|_| PresenceError::Malformed)?;
        let status = Self { activity, summary, sessions: sessions.into_vec() };
        status.check()?;
        Ok(status)
    }

    fn check(&self) -> Result<(), PresenceError> {
        let mut summaries = self.sessions.iter().map(|session| &session.summary).chain([&self.summary]);
        let fits = summaries.all(|text| text.as_ref().is_none_or(|text| text.len() <= MAX_SUMMARY_BYTES));
        if fits { Ok(()) } else { Err(PresenceError::SummaryTooLong) }
    }
}

/// Where in its mesh's and its own history a device makes a presence.
#[derive(Clone, Copy, Debug)]
pub struct PresenceContext {
    /// The mesh.
    pub mesh: MeshId,
    /// This run of the device's program.
    pub boot: BootId,
    /// Grows with every presence of this run.
    pub counter: u64,
    /// The roster head the device knows.
    pub head: RosterHead,
    /// The epoch of the mesh's own log whose secret seals the status.
    pub epoch: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct Body {
    #[n(0)]
    mesh: MeshId,
    #[n(1)]
    device: DeviceId,
    #[n(2)]
    boot: BootId,
    #[n(3)]
    counter: u64,
    #[n(4)]
    head: RosterHead,
    #[n(5)]
    epoch: u64,
    #[n(6)]
    sealed: Bytes,
}

/// A verified presence with its status still under seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence(Body);

impl Presence {
    /// Seals `status` under the secret of `context.epoch` and signs it.
    ///
    /// # Errors
    /// [`PresenceError`] when the status is over a limit.
    pub fn sign(
        key: &SigningKey,
        context: &PresenceContext,
        epoch_secret: &[u8; 32],
        status: &Status,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, PresenceError> {
        let PresenceContext { mesh, boot, counter, head, epoch } = *context;
        let device = key.public().device_id();
        let padded = seal::pad(&status.to_bytes()?);
        let sealed = seal::seal(&sealing_key(epoch_secret, &device), &bound(&boot, counter), &padded, rng).into();
        let body = Bytes(encode(&Body { mesh, device, boot, counter, head, epoch, sealed }));
        let signature = key.sign(PRESENCE, &body);
        let bytes = encode(&Signed { body, signature });
        if bytes.len() <= MAX_PRESENCE_BYTES { Ok(bytes) } else { Err(PresenceError::TooLarge) }
    }

    /// Admits a presence of the device with this key.
    ///
    /// # Errors
    /// [`PresenceError`] when the bytes are not a presence of this device in this mesh.
    pub fn verify(bytes: &[u8], mesh: &MeshId, key: &PublicKey) -> Result<Self, PresenceError> {
        if bytes.len() > MAX_PRESENCE_BYTES {
            return Err(PresenceError::TooLarge);
        }
        let signed: Signed = decode(bytes).map_err(|_| PresenceError::Malformed)?;
        key.verify(PRESENCE, &signed.body, &signed.signature).map_err(|_| PresenceError::BadSignature)?;
        let body: Body = decode(&signed.body).map_err(|_| PresenceError::Malformed)?;
        if body.mesh != *mesh {
            return Err(PresenceError::WrongMesh);
        }
        if body.device != key.device_id() {
            return Err(PresenceError::WrongDevice);
        }
        Ok(Self(body))
    }

    /// Opens the status with the secret of [`epoch`](Self::epoch).
    ///
    /// # Errors
    /// [`PresenceError::CannotOpen`] with another secret; [`PresenceError::Malformed`] or
    /// [`PresenceError::SummaryTooLong`] when what was sealed is no status.
    pub fn open(&self, epoch_secret: &[u8; 32]) -> Result<Status, PresenceError> {
        let key = sealing_key(epoch_secret, &self.0.device);
        let padded = seal::open(&key, &bound(&self.0.boot, self.0.counter), &self.0.sealed)
            .map_err(|_| PresenceError::CannotOpen)?;
        Status::from_bytes(seal::unpad(&padded).map_err(|_| PresenceError::CannotOpen)?)
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.0.device
    }

    /// The run of the device's program.
    #[must_use]
    pub fn boot(&self) -> BootId {
        self.0.boot
    }

    /// The counter within the run.
    #[must_use]
    pub fn counter(&self) -> u64 {
        self.0.counter
    }

    /// The roster head the device knew.
    #[must_use]
    pub fn head(&self) -> RosterHead {
        self.0.head
    }

    /// The epoch of the mesh's own log whose secret opens the status.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.0.epoch
    }
}

fn sealing_key(epoch_secret: &[u8; 32], device: &DeviceId) -> Secret32 {
    seal::derive(epoch_secret, PRESENCE_KEY, &[device.as_bytes()])
}

fn bound(boot: &BootId, counter: u64) -> Vec<u8> {
    [&boot.0[..], &counter.to_be_bytes()].concat()
}

/// Drops the old presences of one device: within a boot only higher counters pass, and a boot that was followed by another
/// does not come back.
#[derive(Clone, Debug, Default)]
pub struct PresenceCounter {
    latest: Option<(BootId, u64)>,
    /// The latest of the boots that were followed by another. Bounded: a device that starts more often than it is
    /// listened to costs no memory.
    past: VecDeque<BootId>,
}

impl PresenceCounter {
    /// A counter that saw nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { latest: None, past: VecDeque::new() }
    }

    /// Whether `presence` is newer than all before; if so, it is the newest from now on.
    pub fn accept(&mut self, presence: &Presence) -> bool {
        let (boot, counter) = (presence.boot(), presence.counter());
        if let Some((latest, highest)) = self.latest {
            let old = if latest == boot { counter <= highest } else { self.past.contains(&boot) };
            if old {
                return false;
            }
            if latest != boot {
                self.past.push_back(latest);
                if self.past.len() > MAX_PAST_BOOTS {
                    self.past.pop_front();
                }
            }
        }
        self.latest = Some((boot, counter));
        true
    }
}

#[cfg(test)]
mod tests;

//! The rules a store asks before it writes.
//!
//! Roster and log rules belong to core; the store only knows that a chain has a state which accepts or refuses the next
//! entry. It keeps one such state per roster and log in memory, so that the check runs in the transaction of the write.

use claudemesh_core::codec::Bytes;
use claudemesh_core::hash::Hash;
use claudemesh_core::{DeviceId, LogId, MemberId, MeshId, Millis, RosterHead};

use super::Refusal;

/// Makes the states of rosters and logs.
pub trait Folds: Send + 'static {
    /// State of one roster.
    type Roster: RosterFold;
    /// State of one log.
    type Log: LogFold<Self::Roster>;

    /// The state of `mesh` before its genesis.
    fn roster(&self, mesh: &MeshId) -> Self::Roster;

    /// The state of `log` before its first entry.
    fn log(&self, mesh: &MeshId, log: &LogId) -> Self::Log;
}

/// What an appended roster entry did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterEffect {
    /// The head with this entry.
    pub head: RosterHead,
    /// Devices that were live before the entry and are not any more.
    pub removed: Vec<DeviceId>,
}

/// The state of one roster.
pub trait RosterFold: Send + 'static {
    /// The member whose daily allowance an entry counts against. `None` when a new member joins or the entry is
    /// unreadable.
    fn author_member(&self, entry: &[u8]) -> Option<MemberId>;

    /// Checks `entry` as the next one and applies it. On a refusal the state is unchanged.
    ///
    /// # Errors
    /// The code the entry is refused with: `head_moved`, `invalid_entry`, `invite_expired`, `mesh_closed`, `mesh_exists`.
    fn append(&mut self, entry: &[u8], now: Millis) -> Result<RosterEffect, Refusal>;

    /// Applies an entry that an earlier run accepted and stored.
    ///
    /// # Errors
    /// Any refusal is reported as damage of the store.
    fn replay(&mut self, entry: &[u8]) -> Result<(), Refusal>;

    /// The head; `None` before the genesis.
    fn head(&self) -> Option<RosterHead>;

    /// Hash of entry `index`.
    fn hash_at(&self, index: u64) -> Option<Hash>;

    /// Whether the device may act now.
    fn is_live(&self, device: &DeviceId) -> bool;

    /// Whether the mesh has been closed.
    fn is_closed(&self) -> bool;
}

/// Where and when a log entry would be appended.
#[derive(Debug)]
pub struct LogContext<'a, R> {
    /// The roster at this moment.
    pub roster: &'a R,
    /// Author of the entry, live at this moment.
    pub author: DeviceId,
    /// The offset the entry gets.
    pub offset: u64,
    /// The broker's time.
    pub now: Millis,
}

/// The state of one log.
pub trait LogFold<R>: Send + 'static {
    /// Checks `entry` as the next one and applies it. On a refusal the state is unchanged.
    /// The result lists offsets whose entries the log no longer needs.
    ///
    /// # Errors
    /// The code the entry is refused with.
    fn append(&mut self, context: &LogContext<'_, R>, entry: &[u8]) -> Result<Vec<u64>, Refusal>;

    /// Applies an entry that an earlier run accepted and stored; of a dropped entry only its hash is left.
    ///
    /// # Errors
    /// Any refusal is reported as damage of the store.
    fn replay(&mut self, offset: u64, hash: &Hash, entry: Option<&[u8]>) -> Result<(), Refusal>;

    /// Whether the log is open to a device of the mesh. To those it is not open to, nothing is said of what stands in it.
    fn admits(&self, _device: &DeviceId) -> bool {
        true
    }

    /// The current epoch.
    fn epoch(&self) -> u64;

    /// The whole state as bytes. The store hands it to [`LogFold::restore`] in a later run instead of replaying the log,
    /// and to readers of the log list, which find in it who may read.
    fn save(&self) -> Bytes;

    /// Takes the state from [`LogFold::save`]; `false` when the bytes are of another version and the log must be replayed.
    fn restore(&mut self, saved: &[u8]) -> bool;
}

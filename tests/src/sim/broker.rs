//! A broker as the simulation drives it.

mod hostile;
mod model;

use claudemesh_core::codec::Bytes;
use claudemesh_core::{DeviceId, LogId, MessageId, Millis, PublicKey, Roster};

use super::dice::Dice;
pub use hostile::{HostileBroker, Trick};
pub use model::{Disk, ModelBroker};

/// Names a connection at the broker.
pub type ConnId = u64;

/// What comes out of a broker for one connection.
#[derive(Debug)]
pub enum Out {
    /// A frame.
    Frame(Vec<u8>),
    /// The broker closed the connection.
    Closed,
}

/// What the simulation needs of a broker. Whatever it answers becomes visible with [`SimBroker::commit`] only; a crash before
/// that loses it.
pub trait SimBroker: std::fmt::Debug {
    /// The broker's key.
    fn key(&self) -> PublicKey;
    /// A connection opens.
    fn open(&mut self, now: Millis) -> ConnId;
    /// A frame arrives.
    fn receive(&mut self, conn: ConnId, bytes: &[u8], now: Millis);
    /// A connection is gone.
    fn close(&mut self, conn: ConnId, now: Millis);
    /// Time passes.
    fn tick(&mut self, now: Millis);
    /// Makes everything durable and gives what may now be seen.
    fn commit(&mut self, now: Millis) -> Vec<(ConnId, Out)>;
    /// The process dies: connections and everything not committed are gone.
    fn crash(&mut self);
    /// The power fails: gone is also what was committed and not synced, except perhaps for the oldest of it.
    fn fail_power(&mut self, dice: &mut Dice);
    /// The disk is replaced by a copy of earlier, made with [`SimBroker::backup`].
    fn roll_back(&mut self, same_store: bool) {
        let _ = same_store;
        self.crash();
    }
    /// Keeps a copy of the disk for [`SimBroker::roll_back`].
    fn backup(&mut self) {}
    /// Refuses mail with a passing fault while set.
    fn set_unavailable(&mut self, unavailable: bool) {
        let _ = unavailable;
    }
    /// Whether the broker ever committed this message for this recipient.
    fn accepted(&self, sender: &DeviceId, recipient: &DeviceId, id: &MessageId) -> bool;
    /// The roster that is durable.
    fn roster(&self) -> Option<Roster>;
    /// How many messages wait for a device.
    fn waiting(&self, device: &DeviceId, now: Millis) -> usize;
    /// The entries of a log, from offset 1.
    fn log(&self, log: &LogId) -> Vec<Bytes>;
    /// Does its worst, when it is one that does.
    fn mislead(&mut self, trick: Trick) {
        let _ = trick;
    }
    /// The disk, of the reference broker.
    fn disk(&self) -> Option<&Disk> {
        None
    }
}

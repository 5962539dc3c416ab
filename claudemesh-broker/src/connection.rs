//! What the engine and the driver of one connection share: the queue of outgoing frames and the signals around it.
//!
//! The driver is a socket task, or a test without sockets. It takes frames out of the [`Outbox`], hands incoming ones to
//! [`Engine::receive`](crate::Engine::receive), and calls [`Engine::pump`](crate::Engine::pump) when there is work: pushes
//! are read from the store only as fast as the reader takes them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Pushes wait while more bytes than this are queued.
const FULL: usize = 512 * 1024;
/// Pushes that waited go on below this.
const LOW: usize = 256 * 1024;
/// A peer that sends requests without reading answers is cut off here.
const OVERFLOW: usize = 8 * 1024 * 1024;

/// Names a connection for as long as the engine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(crate) u64);

impl ConnectionId {
    /// The number, as it stands in the welcome.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl std::fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// An open connection as its driver holds it.
#[derive(Clone, Debug)]
pub struct Conn {
    /// Its id.
    pub id: ConnectionId,
    /// Its outgoing frames.
    pub outbox: Outbox,
}

/// The outgoing frames of one connection. A cheap handle: the engine holds another.
#[derive(Clone, Debug, Default)]
pub struct Outbox(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    frames: Notify,
    work: Notify,
    room: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
    work: bool,
    /// Pushes wait for room.
    waiting: bool,
    ended: bool,
}

impl Outbox {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next frame to write, if there is one now.
    #[must_use]
    pub fn try_next(&self) -> Option<Vec<u8>> {
        let mut queue = self.queue();
        let frame = queue.frames.pop_front()?;
        let before = queue.bytes;
        queue.bytes -= frame.len();
        if queue.waiting && queue.bytes <= LOW {
            queue.waiting = false;
            queue.work = true;
            self.0.work.notify_one();
        }
        if before > FULL && queue.bytes <= FULL {
            self.0.room.notify_one();
        }
        Some(frame)
    }

    /// The next frame to write; `None` when the connection has ended and everything is written. One task at a time.
    pub async fn next(&self) -> Option<Vec<u8>> {
        loop {
            if let Some(frame) = self.try_next() {
                return Some(frame);
            }
            if self.has_ended() {
                return None;
            }
            self.0.frames.notified().await;
        }
    }

    /// Whether [`Engine::pump`](crate::Engine::pump) is to be called; asking takes the signal back.
    #[must_use]
    pub fn take_work(&self) -> bool {
        std::mem::take(&mut self.queue().work)
    }

    /// Waits until [`Engine::pump`](crate::Engine::pump) is to be called; `false` when the connection has ended. One task
    /// at a time.
    pub async fn work(&self) -> bool {
        loop {
            if self.has_ended() {
                return false;
            }
            if self.take_work() {
                return true;
            }
            self.0.work.notified().await;
        }
    }

    /// Waits until the peer has read enough for another request of its to be taken. One task at a time.
    pub async fn room(&self) {
        while self.queue().bytes > FULL && !self.has_ended() {
            self.0.room.notified().await;
        }
    }

    /// Whether nothing more will be queued.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.queue().ended
    }

    /// Whether every queued frame was taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue().frames.is_empty()
    }

    /// Queues a frame; `false` when the peer lets far too many pile up.
    pub(crate) fn push(&self, frame: Vec<u8>) -> bool {
        let mut queue = self.queue();
        if queue.ended {
            return true;
        }
        queue.bytes += frame.len();
        queue.frames.push_back(frame);
        self.0.frames.notify_one();
        queue.bytes <= OVERFLOW
    }

    /// Whether a push may be queued. If not, the pump is called again once there is room.
    pub(crate) fn has_room(&self) -> bool {
        let mut queue = self.queue();
        let room = queue.bytes < FULL;
        queue.waiting |= !room;
        room
    }

    /// Asks the driver to call the pump.
    pub(crate) fn wake(&self) {
        self.queue().work = true;
        self.0.work.notify_one();
    }

    /// Nothing follows what is queued.
    pub(crate) fn end(&self) {
        self.queue().ended = true;
        self.0.frames.notify_one();
        self.0.work.notify_one();
        self.0.room.notify_one();
    }

    /// Drops what is queued, for a peer that does not read.
    pub(crate) fn clear(&self) {
        let mut queue = self.queue();
        queue.frames.clear();
        queue.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_outbox_asks_for_work_once_it_is_low() {
        let outbox = Outbox::default();
        assert!(outbox.has_room());
        for _ in 0..3 {
            assert!(outbox.push(vec![0; 200 * 1024]));
        }
        assert!(!outbox.has_room() && !outbox.take_work());
        assert!(outbox.try_next().is_some() && !outbox.take_work());
        assert!(outbox.try_next().is_some() && outbox.take_work() && !outbox.take_work());
    }

    #[test]
    fn a_peer_that_never_reads_is_noticed() {
        let outbox = Outbox::default();
        assert!((0..8).all(|_| outbox.push(vec![0; 1024 * 1024])));
        assert!(!outbox.push(vec![0; 1024 * 1024]));
    }

    #[test]
    fn what_was_queued_before_the_end_is_still_taken() {
        let outbox = Outbox::default();
        outbox.push(vec![1]);
        outbox.end();
        outbox.push(vec![2]);
        assert!(outbox.has_ended() && !outbox.is_empty());
        assert_eq!(outbox.try_next(), Some(vec![1]));
        assert_eq!(outbox.try_next(), None);
    }
}

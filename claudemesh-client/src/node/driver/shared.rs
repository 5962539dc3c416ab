//! What a driver tells whoever looks, without being asked.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use claudemesh_core::LogId;
use claudemesh_core::session::{Fault, Session};
use tokio::sync::{broadcast, watch};

/// What others see of a driver without asking it.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Counts commits that a reader of inbox, events or states may want to see.
    pub(crate) committed: watch::Sender<u64>,
    /// Whether the session is in step with its broker.
    pub(crate) ready: watch::Sender<bool>,
    /// Whether what waited at the broker when this process connected has arrived.
    pub(crate) caught_up: watch::Sender<bool>,
    /// Counts commits after which another member may be in a topic, or in an epoch.
    pub(crate) members: watch::Sender<u64>,
    /// Devices whose presence changed.
    pub(crate) presence: broadcast::Sender<claudemesh_core::DeviceId>,
    clock_skew: AtomicBool,
    removed: AtomicBool,
    closed: AtomicBool,
    arrangement: AtomicU64,
    /// Whether entries of the mesh's own log wait for a secret.
    incomplete: AtomicBool,
    /// Logs that the broker says are not open to this device.
    shut: Mutex<BTreeSet<LogId>>,
    last_error: Mutex<Option<String>>,
    warnings: Mutex<Vec<&'static str>>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            committed: watch::Sender::new(0),
            ready: watch::Sender::new(false),
            caught_up: watch::Sender::new(false),
            members: watch::Sender::new(0),
            presence: broadcast::Sender::new(1024),
            clock_skew: AtomicBool::new(false),
            removed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            arrangement: AtomicU64::new(0),
            incomplete: AtomicBool::new(false),
            shut: Mutex::default(),
            last_error: Mutex::default(),
            warnings: Mutex::default(),
        }
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Faults that came from peers' or the broker's bytes, counted once each.
    pub(crate) fn warnings(&self) -> Vec<&'static str> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the own clock and the broker's are far apart.
    pub(crate) fn has_clock_skew(&self) -> bool {
        self.clock_skew.load(Ordering::Relaxed)
    }

    /// What ended the membership, if something did.
    pub(crate) fn end(&self) -> Option<Fault> {
        if self.removed.load(Ordering::Relaxed) {
            Some(Fault::Removed)
        } else {
            self.closed.load(Ordering::Relaxed).then_some(Fault::MeshClosed)
        }
    }

    pub(super) fn note_faults(&self, session: &Session) {
        for (flag, noted) in
            [(&self.clock_skew, Fault::ClockSkew), (&self.removed, Fault::Removed), (&self.closed, Fault::MeshClosed)]
        {
            flag.store(session.faults().any(|fault| fault == noted), Ordering::Relaxed);
        }
    }

    /// Whether older parts of what the whole mesh shares cannot be read here yet.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.incomplete.load(Ordering::Relaxed)
    }

    pub(super) fn note_gaps(&self, session: &Session) {
        let gaps = session.log_gaps(&LogId::of_mesh(&session.mesh()));
        self.incomplete.store(gaps.sealed, Ordering::Relaxed);
        let mut known = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        if !session.shut_out().eq(known.iter().copied()) {
            *known = session.shut_out().collect();
            self.rearranged();
        }
    }

    /// Counts commits that may have altered who is who, what can be read, which topics there are or what the own member may
    /// do in them.
    pub(crate) fn arrangement(&self) -> u64 {
        self.arrangement.load(Ordering::Acquire)
    }

    pub(super) fn rearranged(&self) {
        self.arrangement.fetch_add(1, Ordering::Release);
    }

    pub(super) fn set_error(&self, error: Option<String>) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    pub(super) fn warn(&self, what: &'static str) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if !warnings.contains(&what) {
            warnings.push(what);
        }
    }
}

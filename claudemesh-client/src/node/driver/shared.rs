//! What a driver tells whoever looks, without being asked.

use std::sync::atomic::{AtomicBool, Ordering};
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
    /// Devices whose presence changed.
    pub(crate) presence: broadcast::Sender<claudemesh_core::DeviceId>,
    clock_skew: AtomicBool,
    /// Whether entries of the mesh's own log wait for a secret.
    incomplete: AtomicBool,
    last_error: Mutex<Option<String>>,
    warnings: Mutex<Vec<&'static str>>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            committed: watch::Sender::new(0),
            ready: watch::Sender::new(false),
            caught_up: watch::Sender::new(false),
            presence: broadcast::Sender::new(1024),
            clock_skew: AtomicBool::new(false),
            incomplete: AtomicBool::new(false),
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

    /// Whether older parts of what the whole mesh shares cannot be read here yet.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.incomplete.load(Ordering::Relaxed)
    }

    pub(super) fn note_gaps(&self, session: &Session) {
        let gaps = session.log_gaps(&LogId::of_mesh(&session.mesh()));
        self.incomplete.store(gaps.sealed, Ordering::Relaxed);
    }

    pub(super) fn note_clock(&self, session: &Session) {
        self.clock_skew.store(session.faults().any(|fault| fault == Fault::ClockSkew), Ordering::Relaxed);
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

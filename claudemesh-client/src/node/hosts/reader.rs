//! Whether somebody reads the mail that is for no session in particular.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a reader that went away is expected back: a program that restarts loses nothing to another session.
const GRACE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct State {
    now: usize,
    last: Option<Instant>,
}

/// Those who read as `main`.
#[derive(Clone, Debug, Default)]
pub(super) struct Readers(Arc<Mutex<State>>);

impl Readers {
    /// Whether there is one, or was a moment ago.
    pub(super) fn is_read(&self) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.now > 0 || state.last.is_some_and(|last| last.elapsed() < GRACE)
    }

    /// Somebody reads, until this is dropped.
    pub(super) fn begin(&self) -> Reading {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).now += 1;
        Reading(self.clone())
    }
}

/// Somebody who reads.
#[derive(Debug)]
pub(in crate::node) struct Reading(Readers);

impl Drop for Reading {
    fn drop(&mut self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.now -= 1;
        state.last = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reader_is_expected_back_for_a_while() {
        let readers = Readers::default();
        assert!(!readers.is_read());
        let reading = readers.begin();
        tokio::time::advance(GRACE * 2).await;
        assert!(readers.is_read());
        drop(reading);
        assert!(readers.is_read());
        tokio::time::advance(GRACE).await;
        assert!(!readers.is_read());
    }
}

//! A store that cannot be written. It is said in the log once: clients try again for as long as it lasts, and a line for each
//! of their attempts would fill what is left of the disk.

use std::time::{Duration, Instant};

use super::StoreError;

/// How often at most the operator is told.
const PAUSE: Duration = Duration::from_secs(60);
/// A write that succeeds so soon after one that failed proves little: it may have needed less room.
const CALM: Duration = Duration::from_secs(5);

/// The last failure, and what the operator was told.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    failed: Option<Failed>,
    told: Option<Instant>,
    /// Whether what was told last is that it fails.
    open: bool,
}

#[derive(Debug)]
struct Failed {
    error: StoreError,
    at: Instant,
    /// Whether a later write has succeeded.
    over: bool,
}

/// What there is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Fails,
    Works,
}

impl Trouble {
    /// Takes the end of a transaction: whether it wrote anything, or why it failed.
    pub(super) fn note(&mut self, fate: &Result<bool, StoreError>, now: Instant) {
        match (fate, &mut self.failed) {
            (Err(error), failed) => *failed = Some(Failed { error: error.clone(), at: now, over: false }),
            (Ok(true), Some(failed)) => failed.over = true,
            _ => {}
        }
        match (self.news(fate, now), fate) {
            (Some(News::Fails), Err(error)) => {
                tracing::warn!(%error, "the store cannot be written: nothing is lost, but nothing new is taken until it can");
            }
            (Some(_), _) => tracing::info!("the store can be written again"),
            (None, Err(error)) => tracing::debug!(%error, "a transaction failed"),
            (None, Ok(_)) => {}
        }
    }

    /// Why the store cannot be written, as far as is known.
    pub(super) fn reason(&self, now: Instant) -> Option<&StoreError> {
        let failed = self.failed.as_ref()?;
        (!failed.over || now.duration_since(failed.at) < CALM).then_some(&failed.error)
    }

    /// Whether only another write can tell that the trouble is over.
    pub(super) fn needs_proof(&self) -> bool {
        self.failed.as_ref().is_some_and(|failed| !failed.over)
    }

    fn news(&mut self, fate: &Result<bool, StoreError>, now: Instant) -> Option<News> {
        match fate {
            Err(_) if !self.open && self.told.is_none_or(|told| now.duration_since(told) >= PAUSE) => {
                (self.told, self.open) = (Some(now), true);
                Some(News::Fails)
            }
            // Reading needs no room: only what was written shows that there is some.
            Ok(true) if std::mem::take(&mut self.open) => Some(News::Works),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_and_its_end_are_told_once() {
        let mut trouble = Trouble::default();
        let start = Instant::now();
        let mut at = |seconds: u64, fate| trouble.news(&fate, start + Duration::from_secs(seconds));
        let full = || Err(StoreError::DiskFull);
        assert_eq!(at(0, Ok(true)), None);
        assert_eq!(at(1, full()), Some(News::Fails));
        assert_eq!(at(2, full()), None);
        assert_eq!(at(3, Ok(false)), None, "reading says nothing");
        assert_eq!(at(500, full()), None, "it is still the same failure");
        assert_eq!(at(501, Ok(true)), Some(News::Works));
        assert_eq!(at(502, Ok(true)), None);
    }

    #[test]
    fn a_failure_is_over_when_a_write_succeeds_and_a_while_has_passed() {
        let mut trouble = Trouble::default();
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(trouble.reason(at(0)), None);
        trouble.note(&Err(StoreError::DiskFull), at(0));
        trouble.note(&Ok(false), at(1));
        assert_eq!((trouble.reason(at(100)), trouble.needs_proof()), (Some(&StoreError::DiskFull), true));
        trouble.note(&Ok(true), at(101));
        assert_eq!((trouble.reason(at(101)), trouble.needs_proof()), (None, false));
        trouble.note(&Err(StoreError::DiskFull), at(102));
        trouble.note(&Ok(true), at(103));
        assert_eq!((trouble.reason(at(104)), trouble.needs_proof()), (Some(&StoreError::DiskFull), false));
        assert_eq!(trouble.reason(at(107)), None);
    }

    #[test]
    fn a_disk_that_takes_the_small_and_not_the_large_does_not_flood_the_log() {
        let mut trouble = Trouble::default();
        let start = Instant::now();
        let told = (0..600).filter_map(|second| {
            let now = start + Duration::from_secs(second);
            let fate = if second % 2 == 0 { Err(StoreError::DiskFull) } else { Ok(true) };
            trouble.news(&fate, now)
        });
        assert_eq!(told.count(), 20, "a pair a minute");
    }
}

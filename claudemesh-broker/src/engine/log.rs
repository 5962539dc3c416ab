//! Logs: appended, read, followed. Private ones are served to the devices their secret was wrapped to.

use std::sync::Arc;

use claudemesh_core::codec::{HashBytes, List};
use claudemesh_core::log::{Chain, LogEntry};
use claudemesh_core::wire::{self, ErrorCode};
use claudemesh_core::{DeviceId, LogId};

use super::session::LogCursor;
use super::{Answer, Call, Inner};
use crate::folds::Readers;
use crate::routing::Refused;
use crate::store::{LogAppend, LogItem, LogRange, Page, Refusal, StoreError};

/// Entries of one answer.
const MAX_ENTRIES: u64 = 1024;
/// Logs of one list.
const MAX_LOGS: usize = 4096;

impl Inner {
    pub(super) fn log_append(self: &Arc<Self>, call: Call, body: wire::LogAppend) -> Answer {
        let entry = match LogEntry::parse(body.entry) {
            Ok(entry) => entry,
            Err(error) => {
                return self
                    .answer_now(&call, Err(Refused::new(ErrorCode::from_wire(error.code()), "not a log entry")));
            }
        };
        let log = entry.body().log;
        if entry.body().mesh != call.mesh || entry.body().author != call.device {
            return self
                .answer_now(&call, Err(Refused::new(ErrorCode::Forbidden, "an entry of another device or mesh")));
        }
        let append = LogAppend {
            mesh: call.mesh,
            log,
            author: call.device,
            seq: entry.body().seq,
            seen: (entry.body().seen.offset, entry.body().seen.hash.0),
            hash: *entry.hash(),
            entry: entry.into_bytes().into(),
            expected_tail: body.expected,
        };
        let pushed = append.entry.clone();
        let appended = self.store.log_append(append, call.now);
        let inner = self.clone();
        self.answer(call, async move {
            let appended = appended.await?;
            let mut state = inner.state();
            state.committed(appended.commit);
            if !appended.duplicate {
                state.log_grew(call.mesh, wire::LogPush { log, offset: appended.offset, entry: pushed }, call.now);
            }
            let (offset, chain, commits) = (appended.offset, HashBytes(appended.chain), appended.commit);
            Ok(wire::LogAppended { offset, chain, commits }.into())
        })
    }

    pub(super) fn log_range(self: &Arc<Self>, call: Call, body: wire::LogRange) -> Answer {
        let wire::LogRange { log, from, limit, hash } = body;
        if from == 0 {
            return self.answer_now(&call, Err(Refused::new(ErrorCode::Malformed, "offsets start at 1")));
        }
        let range = self.store.log_range(call.mesh, log, from, Page::of(limit.clamp(1, MAX_ENTRIES) as usize));
        self.answer(call, async move {
            let range = range.await?;
            check_reader(&range, &call.device, &hash)?;
            let entries = List::from_vec(range.entries.into_iter().map(served).collect())
                .map_err(|_| Refused::new(ErrorCode::Internal, "more entries than asked for"))?;
            Ok(wire::LogEntries { log, from, entries, tail: range.tail }.into())
        })
    }

    pub(super) fn log_follow(self: &Arc<Self>, call: Call, body: wire::LogFollow) -> Answer {
        let wire::LogFollow { log, from, hash } = body;
        if from == 0 {
            return self.answer_now(&call, Err(Refused::new(ErrorCode::Malformed, "offsets start at 1")));
        }
        let range = self.store.log_range(call.mesh, log, from, Page { items: 1, bytes: 0 });
        let inner = self.clone();
        Answer::later(async move {
            let checked = match range.await {
                Ok(range) => check_reader(&range, &call.device, &hash),
                // A log can be waited for; who may read it is seen when it begins.
                Err(StoreError::Refused(Refusal::UnknownLog))
                    if from == 1 && hash.0 == Chain::new(log).tail().hash.0 =>
                {
                    Ok(())
                }
                Err(error) => Err(error.into()),
            };
            inner.follow(&call, log, from, checked);
        })
    }

    /// Answers, then begins to push: in this order, so in one go.
    fn follow(&self, call: &Call, log: LogId, from: u64, checked: Result<(), Refused>) {
        let mut state = self.state();
        let Some(session) = state.session(call.id) else { return };
        let many = session.feeds.logs.len() >= self.config.max_follows && !session.feeds.logs.contains_key(&log);
        let checked = if many { Err(Refused::new(ErrorCode::TooLarge, "too many logs followed")) } else { checked };
        let follows = checked.is_ok();
        if follows {
            session.feeds.logs.insert(log, LogCursor { at: from, more: true, open: false });
        }
        state.reply(call.id, call.request, checked.map(|()| wire::Done {}.into()), call.now);
        if !follows {
            return;
        }
        if let Some(mesh) = state.meshes.get_mut(&call.mesh) {
            mesh.followers.entry(log).or_default().insert(call.id);
        }
        if let Some(connection) = state.connections.get(&call.id) {
            connection.outbox.wake();
        }
    }

    pub(super) fn log_list(self: &Arc<Self>, call: Call) -> Answer {
        let logs = self.store.log_list(call.mesh);
        self.answer(call, async move {
            let logs = logs.await?.into_iter().filter(|log| Readers::of(&log.state).admit(&call.device));
            let tails = logs.take(MAX_LOGS).map(|log| wire::LogTail { log: log.log, tail: log.tail, epoch: log.epoch });
            let logs = List::from_vec(tails.collect()).map_err(|_| Refused::new(ErrorCode::Internal, ""))?;
            Ok(wire::Logs { logs }.into())
        })
    }
}

/// Whether the device may read, and its chain is the broker's.
fn check_reader(range: &LogRange, device: &DeviceId, hash: &HashBytes) -> Result<(), Refused> {
    if !Readers::of(&range.state).admit(device) {
        return Err(Refused::new(ErrorCode::Forbidden, "a private log"));
    }
    if range.before == Some(hash.0) {
        Ok(())
    } else {
        Err(Refused::new(ErrorCode::BrokerRolledBack, "the log has another history here"))
    }
}

/// An entry on the wire: whole, or its hash alone.
pub(super) fn served(item: LogItem) -> claudemesh_core::codec::Bytes {
    match item {
        LogItem::Entry(bytes) => bytes,
        LogItem::Dropped(hash) => hash[..].into(),
    }
}

//! Looks over a device's shoulder while a broker lies to it: nothing is taken from a log that does not follow what was taken
//! before, and the first entry that comes from another chain is reported.

use std::collections::{BTreeMap, BTreeSet};

use claudemesh_core::LogId;
use claudemesh_core::codec::HashBytes;
use claudemesh_core::hash::Hash;
use claudemesh_core::log::{Chain, LogEntry, LogReader, Position, Served};
use claudemesh_core::session::{Action, Change, Fault, LogSnapshot, Session, Snapshot};
use claudemesh_core::wire::{Body, Frame, LogPush};

/// What a device has taken from its logs.
#[derive(Debug, Default)]
pub struct Watch {
    /// Chain hashes from offset 1.
    chains: BTreeMap<LogId, Vec<Hash>>,
    /// Hashes of entries taken since somebody asked.
    pub taken: Vec<Hash>,
    /// Logs in which the device found a fork, and has not forgotten it.
    pub forked: BTreeSet<LogId>,
}

/// An entry that is about to be handed over, and the log's tail before.
#[derive(Debug)]
pub struct Offered {
    push: LogPush,
    tail: u64,
}

impl Watch {
    /// The device starts from its store.
    pub fn begin(&mut self, snapshot: &Snapshot) {
        let chain = |log: &LogSnapshot| log.links.iter().map(|link| link.chain).collect();
        self.chains = snapshot.logs.iter().map(|(id, log)| (*id, chain(log))).collect();
        self.forked.clear();
        for (log, kept) in &snapshot.logs {
            self.note_fork(*log, kept.reader.as_ref().map_or(&[], |reader| &reader[..]));
        }
    }

    /// The device has stored what its reader of a log knows.
    pub fn note_fork(&mut self, log: LogId, reader: &[u8]) {
        if LogReader::restore(reader).is_ok_and(|reader| reader.fork().is_some()) {
            self.forked.insert(log);
        }
    }

    /// Whether a frame serves an entry of a log that the device follows.
    #[must_use]
    pub fn before(session: &Session, bytes: &[u8]) -> Option<Offered> {
        let Ok(Frame { body: Body::LogPush(push), .. }) = Frame::decode(bytes) else { return None };
        let open = session.logs().any(|log| log == push.log) && session.is_ready();
        let tail = session.log_size(&push.log)?.0;
        open.then_some(Offered { push, tail })
    }

    /// What became of it.
    ///
    /// # Errors
    /// What the device did wrong.
    pub fn after(&mut self, served: &Offered, session: &Session, actions: &[Action]) -> Result<(), String> {
        let Offered { push, tail } = served;
        let (log, offset) = (push.log, push.offset);
        let entry = LogEntry::parse(push.entry.clone());
        let hash = match (Served::from_wire(&push.entry), &entry) {
            (Served::Hash(hash), _) => Some(hash),
            (_, Ok(entry)) => Some(*entry.hash()),
            _ => None,
        };
        let crosses = entry.as_ref().is_ok_and(|entry| self.crosses(log, entry.body().seen));
        let mut took = false;
        for action in actions {
            let Action::Persist(Change::LogEntry { log: in_log, offset: at, link, .. }) = action else { continue };
            let chain = self.chains.entry(log).or_default();
            let before = chain.last().copied().unwrap_or_else(|| Chain::new(log).tail().hash.0);
            let before = Position { offset: chain.len() as u64, hash: HashBytes(before) };
            let next = hash.map(|hash| Chain::at(log, before).next(&hash));
            if *in_log != log || *at != offset || next != Some(Position { offset, hash: HashBytes(link.chain) }) {
                return Err(format!("took something else than offset {offset} of {log}"));
            }
            if crosses {
                return Err(format!("took offset {offset} of {log}, whose author saw another chain"));
            }
            chain.push(link.chain);
            self.taken.extend(hash);
            took = true;
        }
        // Before the roster has caught up nothing is judged.
        let judged = entry.is_ok_and(|entry| entry.body().head.index <= session.roster().head().index);
        let silent = || !session.faults().any(|fault| fault == Fault::LogFork);
        if offset == tail + 1 && crosses && judged && !took && silent() {
            return Err(format!("offset {offset} of {log} is of another chain, and that is not reported"));
        }
        Ok(())
    }

    /// Whether a position is not on the chain here.
    fn crosses(&self, log: LogId, seen: Position) -> bool {
        let ours = match seen.offset {
            0 => Some(Chain::new(log).tail().hash.0),
            offset => self.chains.get(&log).and_then(|chain| chain.get(usize::try_from(offset).ok()? - 1)).copied(),
        };
        ours != Some(seen.hash.0)
    }
}

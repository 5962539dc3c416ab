//! Logs: append in order, read in order, drop what a compaction names.

use claudemesh_core::codec::Bytes;
use claudemesh_core::hash::{Hash, sha256};
use claudemesh_core::log::Chain;
use claudemesh_core::{LogId, MeshId, Millis};
use rusqlite::{OptionalExtension, params};

use super::{Fill, Logic, Num, Res, SPAN, int, key};
use crate::store::{
    Folds, LogAppend, LogAppended, LogContext, LogFold, LogInfo, LogItem, LogRange, Page, Refusal, RosterFold,
    StoreError,
};

/// Logs of one mesh; a list of them fits a frame.
const MAX_LOGS: i64 = 4096;

pub(super) struct CachedLog<L> {
    n: Num,
    tail: u64,
    chain: Hash,
    fold: L,
}

fn genesis(log: &LogId) -> Hash {
    Chain::new(*log).tail().hash.0
}

impl<F: Folds> Logic<F> {
    fn load_log(&mut self, mesh: &MeshId, log: &LogId) -> Res<Option<Num>> {
        let n_mesh = self.mesh(mesh)?;
        if let Some(cached) = self.cache.logs.get(&(*mesh, *log)) {
            return Ok(Some(cached.n));
        }
        let row: Option<(Num, i64, Hash, Vec<u8>)> = self
            .db
            .prepare_cached("SELECT n, tail, chain, state FROM logs WHERE mesh = ?1 AND id = ?2")?
            .query_row(params![n_mesh, log.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .optional()?;
        let Some((n, tail, chain, state)) = row else { return Ok(None) };
        let mut fold = self.folds.log(mesh, log);
        if !fold.restore(&state) {
            fold = self.folds.log(mesh, log);
            let mut sql = self
                .db
                .prepare_cached("SELECT hash, entry FROM log_entries WHERE key BETWEEN ?1 AND ?2 ORDER BY key")?;
            let mut rows = sql.query([n * SPAN, n * SPAN + SPAN - 1])?;
            let mut offset = 0;
            while let Some(row) = rows.next()? {
                offset += 1;
                let entry: Option<Vec<u8>> = row.get(1)?;
                fold.replay(offset, &row.get::<_, Hash>(0)?, entry.as_deref())
                    .map_err(|_| StoreError::Corrupt("a stored log entry is not valid".into()))?;
            }
        }
        let cached = CachedLog { n, tail: tail.unsigned_abs(), chain, fold };
        self.cache.logs.insert((*mesh, *log), cached);
        Ok(Some(n))
    }

    fn hashes(&self, log: Num, offset: u64) -> Res<Option<(Hash, Hash)>> {
        Ok(self
            .db
            .prepare_cached("SELECT hash, chain FROM log_entries WHERE key = ?1")?
            .query_row([key(log, offset)?], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?)
    }

    pub(in crate::store) fn log_append(&mut self, append: &LogAppend, now: Millis) -> Res<LogAppended> {
        let n_mesh = self.mesh(&append.mesh)?;
        if !self.roster(&append.mesh)?.is_live(&append.author) {
            return Err(Refusal::NotAMember.into());
        }
        int(append.seq)?;
        let author = self.device(n_mesh, &append.author)?;
        let known = self.load_log(&append.mesh, &append.log)?;
        if let Some(log) = known
            && let Some(offset) = self
                .db
                .prepare_cached("SELECT pos FROM log_seqs WHERE author = ?1 AND log = ?2 AND seq = ?3")?
                .query_row(params![author, log, int(append.seq)?], |row| row.get::<_, i64>(0))
                .optional()?
        {
            let offset = offset.unsigned_abs();
            let (hash, chain) =
                self.hashes(log, offset)?.ok_or_else(|| StoreError::Corrupt("a log entry is missing".into()))?;
            let commit = self.commit + u64::from(self.wrote);
            return if hash == append.hash {
                Ok(LogAppended { offset, chain, duplicate: true, commit })
            } else {
                Err(Refusal::IdConflict.into())
            };
        }
        let at = (append.mesh, append.log);
        if self.cache.logs.get(&at).is_some_and(|log| !log.fold.admits(&append.author)) {
            return Err(Refusal::Forbidden.into());
        }
        let (tail, chain) = self.cache.logs.get(&at).map_or((0, genesis(&append.log)), |log| (log.tail, log.chain));
        if append.expected_tail.is_some_and(|expected| expected != tail) {
            return Err(Refusal::OffsetMoved.into());
        }
        self.check_seen(append, known, tail)?;
        if known.is_none() {
            let logs: i64 = self
                .db
                .prepare_cached("SELECT COUNT(*) FROM logs WHERE mesh = ?1")?
                .query_row([n_mesh], |row| row.get(0))?;
            if logs >= MAX_LOGS {
                return Err(Refusal::TooLarge.into());
            }
        }
        let offset = tail + 1;
        let mut fresh = known.is_none().then(|| self.folds.log(&append.mesh, &append.log));
        let dropped = {
            let cache = &mut self.cache;
            let Some((_, roster)) = cache.meshes.get(&append.mesh) else { return Err(Refusal::UnknownMesh.into()) };
            let fold = match (&mut fresh, cache.logs.get_mut(&at)) {
                (Some(fold), _) => fold,
                (None, Some(log)) => &mut log.fold,
                (None, None) => return Err(Refusal::UnknownLog.into()),
            };
            fold.append(&LogContext { roster, author: append.author, offset, now }, &append.entry)?
        };
        let commit = self.next_commit();
        let chain = sha256(&[chain, append.hash].concat());
        let n = self.advance(append, n_mesh, known, fresh, (offset, chain))?;
        self.db
            .prepare_cached("INSERT INTO log_entries (key, hash, chain, entry) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![key(n, offset)?, append.hash, chain, &append.entry.0])?;
        self.db
            .prepare_cached("INSERT INTO log_seqs (author, log, seq, pos) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![author, n, int(append.seq)?, int(offset)?])?;
        for offset in dropped {
            self.db.prepare_cached("UPDATE log_entries SET entry = NULL WHERE key = ?1")?.execute([key(n, offset)?])?;
        }
        Ok(LogAppended { offset, chain, duplicate: false, commit })
    }

    /// The position the author names must lie on this chain.
    fn check_seen(&self, append: &LogAppend, log: Option<Num>, tail: u64) -> Res<()> {
        let (offset, hash) = append.seen;
        let own = match (offset, log) {
            (0, _) => Some(genesis(&append.log)),
            (_, Some(log)) if offset <= tail => self.hashes(log, offset)?.map(|(_, chain)| chain),
            _ => None,
        };
        if own == Some(hash) { Ok(()) } else { Err(Refusal::InvalidEntry.into()) }
    }

    fn advance(
        &mut self,
        append: &LogAppend,
        mesh: Num,
        known: Option<Num>,
        fresh: Option<F::Log>,
        (tail, chain): (u64, Hash),
    ) -> Res<Num> {
        let at = (append.mesh, append.log);
        if let (None, Some(fold)) = (known, fresh) {
            self.db
                .prepare_cached(
                    "INSERT INTO logs (mesh, id, tail, chain, epoch, state) VALUES (?1, ?2, 0, ?3, 0, x'')",
                )?
                .execute(params![mesh, append.log.as_bytes(), chain])?;
            let n = self.db.last_insert_rowid();
            self.cache.logs.insert(at, CachedLog { n, tail, chain, fold });
        }
        let Some(log) = self.cache.logs.get_mut(&at) else { return Err(Refusal::UnknownLog.into()) };
        (log.tail, log.chain) = (tail, chain);
        self.cache.changed.logs.insert(at);
        Ok(log.n)
    }

    /// Writes down the state of a log as it is in memory.
    pub(super) fn save_log(&mut self, at: (MeshId, LogId)) -> Res<()> {
        let Some(log) = self.cache.logs.get(&at) else { return Ok(()) };
        self.db
            .prepare_cached("UPDATE logs SET tail = ?2, chain = ?3, epoch = ?4, state = ?5 WHERE n = ?1")?
            .execute(params![log.n, log.tail as i64, log.chain, log.fold.epoch() as i64, log.fold.save().0])?;
        Ok(())
    }

    pub(in crate::store) fn log_range(&mut self, mesh: &MeshId, log: &LogId, from: u64, page: Page) -> Res<LogRange> {
        let n = self.load_log(mesh, log)?.ok_or(StoreError::Refused(Refusal::UnknownLog))?;
        let Some(cached) = self.cache.logs.get(&(*mesh, *log)) else { return Err(Refusal::UnknownLog.into()) };
        let (tail, state) = (cached.tail, cached.fold.save());
        let from = from.max(1);
        let before = if from == 1 { Some(genesis(log)) } else { self.hashes(n, from - 1)?.map(|(_, chain)| chain) };
        let mut fill = Fill::new(page);
        let mut entries = Vec::new();
        let mut sql = self
            .db
            .prepare_cached("SELECT hash, entry FROM log_entries WHERE key BETWEEN ?1 AND ?2 ORDER BY key LIMIT ?3")?;
        let limit = i64::try_from(page.items).unwrap_or(i64::MAX);
        let mut rows = sql.query(params![key(n, from)?, n * SPAN + SPAN - 1, limit])?;
        while let Some(row) = rows.next()? {
            let entry: Option<Vec<u8>> = row.get(1)?;
            if !fill.takes(entry.as_ref().map_or(32, Vec::len)) {
                break;
            }
            entries.push(match entry {
                Some(entry) => LogItem::Entry(Bytes(entry)),
                None => LogItem::Dropped(row.get(0)?),
            });
        }
        Ok(LogRange { entries, before, tail, state })
    }

    pub(in crate::store) fn log_list(&mut self, mesh: &MeshId) -> Res<Vec<LogInfo>> {
        let n = self.mesh(mesh)?;
        self.save_changed()?;
        let mut sql = self.db.prepare_cached("SELECT id, tail, epoch, state FROM logs WHERE mesh = ?1 ORDER BY n")?;
        let rows = sql.query_map([n], |row| {
            Ok(LogInfo {
                log: LogId::from_bytes(row.get(0)?),
                tail: row.get::<_, i64>(1)?.unsigned_abs(),
                epoch: row.get::<_, i64>(2)?.unsigned_abs(),
                state: Bytes(row.get(3)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

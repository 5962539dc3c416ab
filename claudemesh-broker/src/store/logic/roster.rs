//! Rosters and device records.

use claudemesh_core::codec::Bytes;
use claudemesh_core::{DeviceId, MeshId, Millis};
use rusqlite::{OptionalExtension, params};

use super::{Fill, Logic, Num, Res, SPAN, int, key};
use crate::store::types::DAY;
use crate::store::{DeviceFacts, Folds, Page, RecordPut, Refusal, RosterAppended, RosterFold, RosterRange, StoreError};

/// How long after its expiry mail may still be sealed to a prekey: its private part lives a week longer, and senders'
/// clocks may be a day off.
const PREKEY_GRACE: u64 = 8 * DAY;
/// Prekeys remembered per device.
const MAX_PREKEYS: usize = 64;

impl<F: Folds> Logic<F> {
    pub(in crate::store) fn roster_append(
        &mut self,
        mesh: &MeshId,
        entry: &Bytes,
        counts: bool,
        now: Millis,
    ) -> Res<RosterAppended> {
        int(now.0)?;
        let known = self.load_mesh(mesh)?;
        let mut fresh = known.is_none().then(|| self.folds.roster(mesh));
        let fold = match &fresh {
            Some(fold) => fold,
            None => self.roster(mesh)?,
        };
        let member = if counts { fold.author_member(entry) } else { None };
        if let (Some(n), Some(member)) = (known, member) {
            let since = now.0.saturating_sub(DAY) as i64;
            let recent: i64 = self
                .db
                .prepare_cached("SELECT COUNT(*) FROM roster WHERE key BETWEEN ?1 AND ?2 AND member = ?3 AND at > ?4")?
                .query_row(params![n * SPAN, n * SPAN + SPAN - 1, member.as_bytes(), since], |row| row.get(0))?;
            if recent.unsigned_abs() >= self.limits.roster_appends as u64 {
                return Err(Refusal::RateLimited.into());
            }
        }
        let effect = match &mut fresh {
            Some(fold) => fold.append(entry, now)?,
            None => {
                let cached = self.cache.meshes.get_mut(mesh);
                cached.ok_or(StoreError::Refused(Refusal::UnknownMesh))?.1.append(entry, now)?
            }
        };
        let commit = self.next_commit();
        let n = match (known, fresh) {
            (Some(n), _) => n,
            (None, Some(fold)) => {
                self.db.prepare_cached("INSERT INTO meshes (id) VALUES (?1)")?.execute([mesh.as_bytes()])?;
                let n = self.db.last_insert_rowid();
                self.cache.meshes.insert(*mesh, (n, fold));
                n
            }
            (None, None) => return Err(Refusal::UnknownMesh.into()),
        };
        self.db
            .prepare_cached("INSERT INTO roster (key, hash, at, member, entry) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                key(n, effect.head.index)?,
                effect.head.hash.0,
                int(now.0)?,
                member.as_ref().map(|member| member.as_bytes()),
                &entry.0
            ])?;
        for device in &effect.removed {
            if let Some(device) = self.find_device(n, device)? {
                self.forget_device(device)?;
            }
        }
        Ok(RosterAppended { head: effect.head, removed: effect.removed, commit })
    }

    /// Removes everything kept for a device but its row and the ids it used, and marks it removed.
    fn forget_device(&mut self, device: Num) -> Res<()> {
        self.release_bodies(device)?;
        let (from, to) = (device * SPAN, device * SPAN + SPAN - 1);
        for sql in ["DELETE FROM mail WHERE key BETWEEN ?1 AND ?2", "DELETE FROM notices WHERE key BETWEEN ?1 AND ?2"] {
            self.db.prepare_cached(sql)?.execute([from, to])?;
        }
        for sql in [
            "DELETE FROM scheduled WHERE recipient = ?1",
            "DELETE FROM records WHERE device = ?1",
            "DELETE FROM proofs WHERE device = ?1",
            "DELETE FROM runs WHERE sender = ?1 OR recipient = ?1",
            "DELETE FROM refused WHERE sender = ?1 OR recipient = ?1",
            "DELETE FROM log_seqs WHERE author = ?1",
        ] {
            self.db.prepare_cached(sql)?.execute([device])?;
        }
        let cache = &mut self.cache;
        cache.mailboxes.remove(&device);
        cache.prekeys.remove(&device);
        cache.changed.proofs.remove(&device);
        cache.runs.retain(|(sender, recipient, _), _| *sender != device && *recipient != device);
        cache.held.retain(|(sender, recipient, _), _| *sender != device && *recipient != device);
        let row = self.changed(device)?;
        row.removed = true;
        row.mail_rows = 0;
        row.min_expires = None;
        Ok(())
    }

    pub(in crate::store) fn roster_range(&mut self, mesh: &MeshId, from: u64, page: Page) -> Res<RosterRange> {
        let Some(n) = self.load_mesh(mesh)? else { return Ok(RosterRange { entries: Vec::new(), head: None }) };
        let mut fill = Fill::new(page);
        let mut entries = Vec::new();
        let mut sql = self.db.prepare_cached("SELECT entry FROM roster WHERE key BETWEEN ?1 AND ?2 ORDER BY key")?;
        let mut rows = sql.query(params![key(n, from)?, n * SPAN + SPAN - 1])?;
        while let Some(row) = rows.next()? {
            let entry: Vec<u8> = row.get(0)?;
            if !fill.takes(entry.len()) {
                break;
            }
            entries.push(Bytes(entry));
        }
        Ok(RosterRange { entries, head: self.roster(mesh)?.head() })
    }

    pub(in crate::store) fn record_put(&mut self, put: &RecordPut, now: Millis) -> Res<()> {
        let mesh = self.mesh(&put.mesh)?;
        if !self.roster(&put.mesh)?.is_live(&put.device) {
            return Err(Refusal::NotAMember.into());
        }
        int(put.counter)?;
        let device = self.device(mesh, &put.device)?;
        let stored: Option<(i64, Vec<u8>)> = self
            .db
            .prepare_cached("SELECT counter, record FROM records WHERE device = ?1")?
            .query_row([device], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match stored {
            Some((_, record)) if record == put.record.0 => return Ok(()),
            Some((counter, _)) if counter.unsigned_abs() >= put.counter => return Err(Refusal::StaleRecord.into()),
            _ => {}
        }
        let mut prekeys: Vec<(u32, u64)> = put
            .prekeys
            .iter()
            .map(|(id, expires)| (*id, expires.saturating_mul(1000).saturating_add(PREKEY_GRACE)))
            .collect();
        for kept in self.prekeys(device)?.clone() {
            if kept.1 > now.0 && !prekeys.iter().any(|(id, _)| *id == kept.0) {
                prekeys.push(kept);
            }
        }
        prekeys.truncate(MAX_PREKEYS);
        let packed: Vec<u8> =
            prekeys.iter().flat_map(|(id, until)| id.to_be_bytes().into_iter().chain(until.to_be_bytes())).collect();
        self.next_commit();
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO records (device, counter, prekeys, record) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![device, int(put.counter)?, packed, &put.record.0])?;
        self.cache.prekeys.insert(device, prekeys);
        Ok(())
    }

    /// Prekeys of a device that mail may be sealed to, with the end of their use.
    pub(super) fn prekeys(&mut self, device: Num) -> Res<&Vec<(u32, u64)>> {
        if !self.cache.prekeys.contains_key(&device) {
            let packed: Option<Vec<u8>> = self
                .db
                .prepare_cached("SELECT prekeys FROM records WHERE device = ?1")?
                .query_row([device], |row| row.get(0))
                .optional()?;
            let unpack = |chunk: &[u8]| {
                let (id, until) = chunk.split_first_chunk::<4>()?;
                Some((u32::from_be_bytes(*id), u64::from_be_bytes(until.try_into().ok()?)))
            };
            let prekeys = packed.unwrap_or_default().chunks_exact(12).filter_map(unpack).collect();
            self.cache.prekeys.insert(device, prekeys);
        }
        Ok(self.cache.prekeys.entry(device).or_default())
    }

    pub(in crate::store) fn record_get(&mut self, mesh: &MeshId, devices: &[DeviceId]) -> Res<Vec<Bytes>> {
        let mesh = self.mesh(mesh)?;
        let mut records = Vec::new();
        for id in devices {
            if let Some(device) = self.find_device(mesh, id)? {
                records.extend(self.record_of(device)?);
            }
        }
        Ok(records)
    }

    fn record_of(&mut self, device: Num) -> Res<Option<Bytes>> {
        let record: Option<Vec<u8>> = self
            .db
            .prepare_cached("SELECT record FROM records WHERE device = ?1")?
            .query_row([device], |row| row.get(0))
            .optional()?;
        Ok(record.map(Bytes))
    }

    pub(in crate::store) fn device_facts(&mut self, mesh: &MeshId, id: &DeviceId) -> Res<DeviceFacts> {
        let Some(mesh) = self.load_mesh(mesh)? else { return Ok(DeviceFacts::default()) };
        let Some(device) = self.find_device(mesh, id)? else { return Ok(DeviceFacts::default()) };
        let proof = match self.cache.changed.proofs.get(&device) {
            Some(proof) => Some(proof.clone()),
            None => self
                .db
                .prepare_cached("SELECT proof FROM proofs WHERE device = ?1")?
                .query_row([device], |row| row.get::<_, Vec<u8>>(0))
                .optional()?
                .map(Bytes),
        };
        Ok(DeviceFacts { record: self.record_of(device)?, proof })
    }
}

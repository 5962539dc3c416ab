//! New epochs: for whom they are, and when this device makes one.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::one::Log;
use crate::id::{DeviceId, LogId, MemberId};
use crate::log::{CommitPlan, HistoryPolicy, LogEntry, Recipient, build_commit};
use crate::session::{Change, Context, Session};
use crate::time::Millis;

impl Session {
    /// Whether a private log is to have an epoch without those who left it, now and by this device.
    pub(super) fn is_turn_to_narrow<R: CryptoRng>(&mut self, id: LogId, writes: bool, cx: &mut Context<'_, R>) -> bool {
        let Some(log) = self.logs.logs.get(&id) else { return false };
        let left = |device: DeviceId| {
            let device = self.roster.device(&device).filter(|device| device.is_live());
            device.is_some_and(|device| log.leavers.contains(&device.member))
        };
        let reads = !log.leavers.is_empty() && log.reader.tip().audience().is_some_and(|mut all| all.any(left));
        let turn = (reads && log.leads && log.link.narrows_at.is_none()).then(|| self.turn(cx));
        let Some(log) = self.logs.logs.get_mut(&id) else { return false };
        log.link.narrows_at = log.link.narrows_at.or(turn).filter(|_| reads);
        reads && (writes || log.link.narrows_at.is_some_and(|at| cx.now >= at))
    }

    /// The live devices a private log is for, this one among them; none when it is for the whole mesh.
    pub(super) fn audience_devices(&self, log: &Log) -> Option<BTreeSet<DeviceId>> {
        let members: BTreeSet<MemberId> = match (&log.policy.audience, log.reader.tip().audience()) {
            (Some(members), _) => members.clone(),
            (None, Some(devices)) => {
                devices.filter_map(|device| self.roster.device(&device).map(|device| device.member)).collect()
            }
            (None, None) => return None,
        };
        let live = self.roster.live_devices().filter(|device| members.contains(&device.member));
        let live = live.filter(|device| !log.leavers.contains(&device.member));
        Some(live.map(|device| device.id).chain([self.device]).collect())
    }

    /// The current commit is for whom this device wanted it: there is nothing more to change.
    pub(super) fn settle_audience<R>(&mut self, id: LogId, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.logs.get(&id) else { return };
        if log.policy.audience.is_none() || log.reader.tip().audience().is_none() || self.audience_differs(log) {
            return;
        }
        let Some(log) = self.logs.logs.get_mut(&id) else { return };
        log.policy.audience = None;
        cx.persist(Change::LogOpened { log: id, policy: log.policy.clone() });
    }

    /// Whether a private log is to be for others than it is.
    pub(super) fn audience_differs(&self, log: &Log) -> bool {
        let Some(audience) = log.reader.tip().audience() else { return false };
        let gone = |device: &DeviceId| self.roster.device(device).is_none_or(|device| !device.is_live());
        let now: BTreeSet<DeviceId> = audience.filter(|device| !gone(device)).collect();
        log.policy.audience.is_some() && self.audience_devices(log).is_some_and(|wanted| wanted != now)
    }

    pub(super) fn wrap_recipient(&self, device: &DeviceId, now: Millis) -> Option<Recipient> {
        let (prekey, key) = self.fresh_prekey(device, now)?;
        Some(Recipient { device: *device, prekey, key })
    }

    /// The next epoch, wrapped to every live device that may read and has a fresh prekey; the others commit or ask when
    /// they come.
    pub(super) fn commit<R: CryptoRng>(&mut self, id: LogId, cx: &mut Context<'_, R>) -> Option<LogEntry> {
        let audience = self.audience_devices(self.logs.logs.get(&id)?);
        let may_read = |device: &DeviceId| audience.as_ref().is_none_or(|audience| audience.contains(device));
        let live = self.roster.live_devices().map(|device| device.id);
        let others: BTreeSet<DeviceId> = live.filter(|device| *device != self.device && may_read(device)).collect();
        let unknown: BTreeSet<DeviceId> = others
            .iter()
            .filter(|id| self.fresh_prekey(id, cx.now).is_none() && !self.was_asked(id))
            .copied()
            .collect();
        if !unknown.is_empty() {
            self.ask_records(&unknown, cx);
            return None;
        }
        let own = self.prekeys.public().into_iter().max_by_key(|prekey| (prekey.expires, prekey.id))?;
        let mut recipients = vec![Recipient { device: self.device, prekey: own.id.0, key: own.public }];
        recipients.extend(others.iter().filter_map(|device| self.wrap_recipient(device, cx.now)));
        let log = self.logs.logs.get(&id)?;
        let epoch = log.reader.tip().epoch() + 1;
        let before = log.reader.keys().secret(epoch - 1).cloned();
        let audience: Option<Vec<DeviceId>> = audience.map(|devices| devices.into_iter().collect());
        let plan = CommitPlan {
            epoch,
            history: if id == self.logs.own { HistoryPolicy::All } else { log.policy.history },
            before: before.as_ref(),
            audience: audience.as_deref(),
            recipients: &recipients,
        };
        let commit = build_commit(&self.log_writer(log), &plan, cx.rng).ok()?;
        let log = self.logs.logs.get_mut(&id)?;
        let _ = log.reader.keys_mut().insert(epoch, &commit.secret);
        log.changed = true;
        Some(commit.entry)
    }
}

//! Which sessions run on this device. A session is found again by its socket, its process, or the host's id of its
//! conversation; its name stays while its host lives, whatever conversation that is in.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::guard::Guard;
use super::{Process, name};
use crate::api::{Activity, HostEvent, HostRef, Route, StatusSource};

/// How long a host that said it works is believed without another word, milliseconds.
const FRESH: i64 = 30 * 60 * 1000;
/// How long a session without hooks counts as working after it asked for something.
const AFTER_CALL: i64 = 60 * 1000;
/// How long it is remembered that a session has ended.
const REMEMBERED: i64 = 30 * 24 * 3600 * 1000;
/// Ended sessions remembered at most.
const MOST_ENDED: usize = 256;

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) host: HostRef,
    process: Option<Process>,
    pub(crate) route: Route,
    /// The mesh it is in; none when in all of the home.
    pub(crate) mesh: Option<String>,
    pub(crate) since: i64,
    pub(crate) ended: Option<i64>,
    pub(crate) summary: Option<String>,
    manual: Option<Activity>,
    pub(crate) unguarded: bool,
    /// When the host last confirmed a message.
    pub(crate) confirmed: Option<i64>,
    /// Whether the host's hooks have been heard in this process.
    pub(crate) hooked: bool,
    #[serde(skip)]
    hook: Option<(Activity, i64)>,
    #[serde(skip)]
    called: i64,
    /// When it last did something.
    #[serde(skip)]
    pub(crate) active: i64,
    /// What it was told.
    #[serde(skip)]
    pub(crate) guard: Guard,
    /// The notice that the last answer to a hook held; the next hook confirms it.
    #[serde(skip)]
    pub(crate) handed: Option<String>,
}

impl Entry {
    pub(crate) const fn is_live(&self) -> bool {
        self.ended.is_none()
    }

    /// What it is doing, and how that is known. A host's word counts more than what was set by hand, and that more than what
    /// is likely; but whoever wants no interruption says so by hand.
    pub(crate) fn status(&self, device: Activity, now: i64) -> (Activity, StatusSource) {
        let manual = self.manual.or(Some(device).filter(|status| *status != Activity::Idle));
        if self.manual == Some(Activity::Dnd) || device == Activity::Dnd {
            return (Activity::Dnd, StatusSource::Manual);
        }
        if let Some((status, at)) = self.hook
            && (status == Activity::Idle || now - at < FRESH)
        {
            return (status, StatusSource::Hook);
        }
        if let Some(manual) = manual {
            return (manual, StatusSource::Manual);
        }
        let busy = !self.hooked && now - self.called < AFTER_CALL;
        (if busy { Activity::Working } else { Activity::Idle }, StatusSource::Guess)
    }

    pub(crate) fn set_manual(&mut self, status: Activity) {
        // Idle is what it is when nobody says anything.
        self.manual = Some(status).filter(|status| *status != Activity::Idle);
    }

    /// It asked for something.
    pub(crate) fn call(&mut self, now: i64) {
        self.called = now;
    }
}

/// The sessions of this device.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    entries: Vec<Entry>,
}

impl Registry {
    /// Those that a store kept.
    pub(crate) fn load(entries: Vec<Entry>) -> Self {
        let mut registry = Self { entries };
        for entry in &mut registry.entries {
            entry.active = entry.since;
        }
        registry
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Live sessions, the most recently active first.
    pub(crate) fn live(&self) -> Vec<&Entry> {
        let mut live: Vec<&Entry> = self.entries.iter().filter(|entry| entry.is_live()).collect();
        live.sort_by_key(|entry| (Reverse(entry.active), Reverse(entry.since)));
        live
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.name == name)
    }

    /// The live session that a host speaks of.
    pub(crate) fn find(&self, host: &HostRef, process: Option<Process>) -> Option<&Entry> {
        let live = || self.entries.iter().filter(|entry| entry.is_live());
        let by_socket = host.socket.as_ref().and_then(|_| live().find(|entry| entry.host.socket == host.socket));
        let by_process = || process.and_then(|process| live().find(|entry| entry.process == Some(process)));
        // A conversation is not its host: another process may have taken it up.
        let of_it = |entry: &&Entry| entry.process.is_none() || process.is_none();
        let by_id = || host.id.as_ref().and_then(|_| live().filter(of_it).find(|entry| entry.host.id == host.id));
        by_socket.or_else(by_process).or_else(by_id)
    }

    /// Finds the session of a host, or makes one; its name. Says under which other name it was known before.
    pub(crate) fn register(&mut self, wish: Wish<'_>, now: i64) -> (String, Option<String>) {
        let Wish { host, process, name, mesh, route } = wish;
        let known = self.find(&host, process).map(|entry| entry.name.clone());
        let (current, is_new) = match known.or_else(|| self.revive(&host, now)) {
            Some(known) => (known, false),
            None => {
                let wished = name::wished(name, host.cwd.as_deref());
                (name::free(&wished, |name| self.is_taken(name)), true)
            }
        };
        if is_new {
            // An ended session of that name makes room.
            self.entries.retain(|entry| entry.name != current);
            self.entries.push(Entry {
                name: current.clone(),
                host: HostRef::default(),
                process: None,
                route: Route::default(),
                mesh: None,
                since: now,
                ended: None,
                summary: None,
                manual: None,
                unguarded: false,
                confirmed: None,
                hooked: false,
                hook: None,
                called: 0,
                active: now,
                guard: Guard::default(),
                handed: None,
            });
        }
        // Whoever learns of a session first may not know what it is to be called.
        let wished = name.filter(|_| !is_new).map(|name| name::wished(Some(name), None));
        let renamed = wished.filter(|wished| *wished != current && !self.is_taken(wished));
        if let Some(name) = &renamed {
            self.entries.retain(|entry| entry.name != *name);
        }
        if let Some(entry) = self.get_mut(&current) {
            merge(&mut entry.host, host);
            entry.process = process.or(entry.process);
            entry.route = route.unwrap_or(entry.route);
            entry.mesh = mesh.map(str::to_owned).or(entry.mesh.take());
            if let Some(name) = &renamed {
                name.clone_into(&mut entry.name);
            }
        }
        match renamed {
            Some(name) => (name, Some(current)),
            None => (current, None),
        }
    }

    /// An ended session whose conversation goes on, in another process.
    fn revive(&mut self, host: &HostRef, now: i64) -> Option<String> {
        host.id.as_ref()?;
        let entry = self.entries.iter_mut().find(|entry| !entry.is_live() && entry.host.id == host.id)?;
        (entry.ended, entry.since, entry.active) = (None, now, now);
        (entry.process, entry.hook, entry.hooked, entry.unguarded) = (None, None, false, false);
        entry.host.socket = None;
        Some(entry.name.clone())
    }

    fn is_taken(&self, name: &str) -> bool {
        name == crate::DEFAULT_SESSION || self.get(name).is_some_and(Entry::is_live)
    }

    /// Takes what a host says of a session. True when the session has ended by it.
    pub(crate) fn event(&mut self, name: &str, host: HostRef, event: HostEvent, now: i64) -> bool {
        let Some(entry) = self.get_mut(name) else { return false };
        merge(&mut entry.host, host);
        entry.hooked = true;
        let status = match event {
            HostEvent::SessionStart | HostEvent::Idle | HostEvent::Stop => Activity::Idle,
            HostEvent::Prompt | HostEvent::Tool => Activity::Working,
            HostEvent::Permission => Activity::Blocked,
            HostEvent::SessionEnd => {
                entry.ended = Some(now);
                return true;
            }
        };
        // A conversation that was made shorter in the middle of a turn begins anew, and the turn goes on.
        let goes_on = event == HostEvent::SessionStart && entry.hook.is_some();
        if !goes_on {
            entry.hook = Some((status, now));
        }
        // Not with every tool: peers are told of each change of the order.
        if matches!(event, HostEvent::Prompt | HostEvent::SessionStart) {
            entry.active = now;
        }
        false
    }

    /// Ends sessions whose process is gone; their names.
    pub(crate) fn sweep(&mut self, now: i64, is_alive: impl Fn(&Process) -> bool) -> Vec<String> {
        let mut ended = Vec::new();
        for entry in self.entries.iter_mut().filter(|entry| entry.is_live()) {
            if entry.process.as_ref().is_some_and(|process| !is_alive(process)) {
                entry.ended = Some(now);
                ended.push(entry.name.clone());
            }
        }
        ended
    }

    /// Forgets sessions that ended long ago; their names.
    pub(crate) fn forget(&mut self, now: i64) -> Vec<String> {
        let mut ended: Vec<(i64, String)> =
            self.entries.iter().filter_map(|entry| entry.ended.map(|at| (at, entry.name.clone()))).collect();
        ended.sort_by_key(|(at, _)| Reverse(*at));
        let old = |(index, (at, _)): &(usize, (i64, String))| *index >= MOST_ENDED || now - at > REMEMBERED;
        let old: Vec<String> = ended.into_iter().enumerate().filter(old).map(|(_, (_, name))| name).collect();
        self.entries.retain(|entry| !old.contains(&entry.name));
        old
    }
}

/// What is known of a session that registers.
#[derive(Clone, Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) host: HostRef,
    pub(crate) process: Option<Process>,
    pub(crate) name: Option<&'a str>,
    pub(crate) mesh: Option<&'a str>,
    pub(crate) route: Option<Route>,
}

/// What is said anew counts; what is not said stays.
fn merge(known: &mut HostRef, said: HostRef) {
    let HostRef { host, id, pid, socket, cwd } = said;
    if !host.is_empty() {
        known.host = host;
    }
    known.id = id.or(known.id.take());
    known.pid = pid.or(known.pid);
    known.socket = socket.or(known.socket.take());
    known.cwd = known.cwd.take().or(cwd);
}

#[cfg(test)]
mod tests;

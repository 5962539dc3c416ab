//! Sessions on the far end: registered by the real rules, and given what came for them. Nothing is handed over by itself.

use std::time::Duration;

use futures_util::FutureExt;

use super::{Fake, NOW, State};
use crate::api;
use crate::error::Error;
use crate::service::{Call, MeshSelector, Sessions};
use crate::sessions::Entry;
use crate::sessions::registry::Wish;

impl State {
    fn describe(&self, entry: &Entry) -> api::HostSession {
        let unread = self.meshes.iter().flat_map(|mesh| &mesh.inbox);
        let unread = unread.filter(|message| message.session == entry.name && !message.read).count() as u64;
        let (status, source) = entry.status(api::Activity::Idle, entry.since);
        api::HostSession {
            name: entry.name.clone(),
            host: entry.host.clone(),
            live: entry.is_live(),
            status,
            source,
            summary: entry.summary.clone(),
            route: entry.route,
            lead: self.sessions.live().first().is_some_and(|lead| lead.name == entry.name),
            unread,
            posted: 0,
            since: NOW.into(),
            confirmed_at: None,
            paused: Vec::new(),
        }
    }

    fn register(&mut self, request: &api::SessionRegister) -> String {
        let api::SessionRegister { host, name, route } = request;
        let wish = Wish { host: host.clone(), process: None, name: name.as_deref(), mesh: None, route: *route };
        self.counter += 1;
        self.sessions.register(wish, self.counter as i64).0
    }
}

impl Sessions for Fake {
    fn session_register<'a>(
        &'a self,
        _mesh: MeshSelector<'a>,
        request: api::SessionRegister,
    ) -> Call<'a, api::HostSession> {
        self.reply(move |state| {
            let name = state.register(&request);
            let entry = state.sessions.get(&name).cloned();
            entry.map(|entry| state.describe(&entry)).ok_or_else(|| unknown(&name))
        })
    }

    fn sessions<'a>(&'a self, _mesh: MeshSelector<'a>, query: api::SessionsQuery) -> Call<'a, api::HostSessions> {
        self.reply(move |state| {
            let ended = state.sessions.entries().filter(|entry| query.all && !entry.is_live());
            let entries = state.sessions.live().into_iter().chain(ended);
            Ok(api::HostSessions { sessions: entries.map(|entry| state.describe(entry)).collect() })
        })
    }

    fn session_event<'a>(&'a self, _mesh: MeshSelector<'a>, event: api::SessionEvent) -> Call<'a, api::SessionAnswer> {
        self.reply(move |state| {
            let request = api::SessionRegister { host: event.host.clone(), ..Default::default() };
            let name = state.register(&request);
            state.sessions.event(&name, event.host, event.event, state.counter as i64);
            let unread = state.sessions.get(&name).map(|entry| state.describe(entry).unread).unwrap_or_default();
            Ok(api::SessionAnswer { session: Some(name), notice: None, unread })
        })
    }

    fn session_notices<'a>(&'a self, _mesh: MeshSelector<'a>, query: api::NoticesQuery) -> Call<'a, api::Notices> {
        async move {
            self.answer(|_| Ok(()))?;
            tokio::time::sleep(Duration::from_millis(query.wait_ms)).await;
            Ok(api::Notices { session: query.session, notices: Vec::new() })
        }
        .boxed()
    }

    fn session_take<'a>(&'a self, mesh: MeshSelector<'a>, query: api::TakeQuery) -> Call<'a, api::Taken> {
        self.reply(move |state| {
            let mesh = state.mesh(mesh)?;
            let id = mesh.info.id.clone();
            let waits = |message: &&api::Message| message.session == query.session && !message.read;
            let mut messages: Vec<api::Message> = mesh.inbox.iter().filter(waits).cloned().collect();
            let rest = messages.split_off(messages.len().min(query.limit as usize));
            let taking = |message| api::Taking { mesh: id.clone(), label: None, message };
            Ok(api::Taken {
                messages: messages.into_iter().map(taking).collect(),
                more: rest.len() as u64,
                held: Vec::new(),
            })
        })
    }

    fn session_limits<'a>(
        &'a self,
        _mesh: MeshSelector<'a>,
        request: api::LimitsRequest,
    ) -> Call<'a, api::SessionLimits> {
        self.reply(move |state| {
            let api::SessionLimits { exchange, hourly } = state.limits;
            let (exchange, hourly) = (request.exchange.unwrap_or(exchange), request.hourly.unwrap_or(hourly));
            state.limits = api::SessionLimits { exchange, hourly };
            Ok(state.limits.clone())
        })
    }

    fn session_permit<'a>(&'a self, mesh: MeshSelector<'a>, request: api::PermitRequest) -> Call<'a, api::Permits> {
        self.reply(move |state| {
            let mesh = state.mesh(mesh)?;
            if let Some(name) = &request.member {
                let member = mesh.find(name)?;
                let member = api::MemberRef { id: member.id.clone(), name: member.name.clone() };
                mesh.permitted.retain(|known| known.id != member.id);
                if !request.revoke {
                    mesh.permitted.push(member);
                }
            }
            Ok(api::Permits { members: mesh.permitted.clone() })
        })
    }
}

fn unknown(name: &str) -> Error {
    Error::new(crate::ErrorKind::NotFound, format!("no session {name:?} runs on this device"))
}

//! From hello to welcome.

use std::sync::Arc;

use claudemesh_core::codec::List;
use claudemesh_core::wire::{
    self, CheckedHello, Closing, ErrorCode, Frame, HandshakeError, Hello, HelloMode, WelcomeBody, answer_hello,
    check_hello,
};
use claudemesh_core::{InviteId, Millis, Roster, RosterHead};

use super::session::Session;
use super::state::State;
use super::{Answer, Inner};
use crate::connection::ConnectionId;
use crate::routing::{Mode, Refused};
use crate::store::{DeviceFacts, StoreMeta};

impl Inner {
    pub(super) fn hello(
        self: &Arc<Self>,
        id: ConnectionId,
        request: u64,
        challenge: &wire::Challenge,
        hello: &Hello,
        now: Millis,
    ) -> Answer {
        // The broker ends no TLS itself, so there is no exporter to bind to.
        let hello = match check_hello(challenge, hello, b"") {
            Ok(hello) => hello,
            Err(error) => {
                self.turn_away(id, request, bad_hello(error), now);
                return Answer::DONE;
            }
        };
        let inner = self.clone();
        Answer::later(async move {
            if let Err(refused) = inner.welcome(id, request, &hello, now).await {
                inner.turn_away(id, request, refused, now);
            }
        })
    }

    fn turn_away(&self, id: ConnectionId, request: u64, refused: Refused, now: Millis) {
        let why = match refused.code {
            ErrorCode::Removed => Closing::Removed,
            ErrorCode::MeshClosed => Closing::MeshClosed,
            _ => Closing::Protocol,
        };
        let mut state = self.state();
        state.reply(id, request, Err(refused), now);
        state.end(id, Some(why), now);
    }

    async fn welcome(
        self: &Arc<Self>,
        id: ConnectionId,
        request: u64,
        hello: &CheckedHello,
        now: Millis,
    ) -> Result<(), Refused> {
        let known = self.load(hello.mesh, now).await?;
        if known {
            self.admits(&self.state(), hello, now)?;
        } else if hello.mode != HelloMode::Create {
            return Err(Refused::new(ErrorCode::UnknownMesh, "no such mesh here"));
        } else if !self.state().may_create(&self.config, &hello.mesh) {
            return Err(Refused::new(ErrorCode::Forbidden, "this broker takes no such mesh"));
        }
        let meta = self.store.meta().await?;
        let facts = match hello.mode {
            HelloMode::Device => self.store.device_facts(hello.mesh, hello.device).await?,
            _ => DeviceFacts::default(),
        };
        let head = self.state().meshes.get(&hello.mesh).map(|mesh| mesh.roster.head());
        let body = self.welcome_body(id, meta, facts, head, now);
        let welcome = answer_hello(&self.key, hello, &body);

        let mode = match hello.mode {
            HelloMode::Device => Mode::Device,
            HelloMode::Join(invite) => Mode::Join(invite),
            HelloMode::Create => Mode::Create,
        };
        let next = head.map_or(0, |head| head.index + 1);
        let session = Session::new(hello.mesh, hello.key, mode, next, &self.config, now);
        let mut state = self.state();
        if state.stopping {
            return Err(Refused::new(ErrorCode::ShuttingDown, "the broker is stopping"));
        }
        if known {
            // The roster may have grown meanwhile.
            self.admits(&state, hello, now)?;
        }
        let Some(outbox) = state.admit(id, session, now) else { return Ok(()) };
        outbox.push(Frame::new(request, welcome).encode());
        if mode == Mode::Device {
            let everyone: Vec<_> = state
                .meshes
                .get(&hello.mesh)
                .into_iter()
                .flat_map(|mesh| mesh.roster.live_devices())
                .map(|d| d.id)
                .collect();
            if let Some(session) = state.session(id) {
                session.feeds.presence.extend(everyone);
            }
        }
        tracing::info!(
            connection = id.0,
            mesh = hello.mesh.short(),
            device = hello.device.short(),
            mode = ?mode_name(mode),
            "connected"
        );
        Ok(())
    }

    fn welcome_body(
        &self,
        id: ConnectionId,
        meta: StoreMeta,
        facts: DeviceFacts,
        head: Option<RosterHead>,
        now: Millis,
    ) -> WelcomeBody {
        WelcomeBody {
            version: wire::VERSION,
            capabilities: List::new(),
            limits: self.config.limits,
            store_id: meta.store_id,
            commits: meta.commit,
            now,
            head,
            record: facts.record,
            last_sent: facts.proof,
            connection: id.0,
        }
    }

    /// Whether the roster lets this hello in.
    fn admits(&self, state: &State, hello: &CheckedHello, now: Millis) -> Result<(), Refused> {
        let Some(mesh) = state.meshes.get(&hello.mesh) else {
            return Err(Refused::new(ErrorCode::Unavailable, "try again"));
        };
        let roster = &mesh.roster;
        if roster.is_closed() {
            return Err(Refused::new(ErrorCode::MeshClosed, "the mesh was closed by its owner"));
        }
        match hello.mode {
            HelloMode::Device => match roster.device(&hello.device) {
                None => Err(Refused::new(ErrorCode::NotAMember, "not a device of this mesh")),
                Some(device) if !device.is_live() => Err(Refused::new(ErrorCode::Removed, "the device was removed")),
                Some(_) => Ok(()),
            },
            HelloMode::Join(invite) => admits_joiner(roster, hello, &invite, now),
            HelloMode::Create => Ok(()),
        }
    }
}

fn admits_joiner(roster: &Roster, hello: &CheckedHello, invite: &InviteId, now: Millis) -> Result<(), Refused> {
    let invite = roster.invite(invite).ok_or(Refused::new(ErrorCode::Forbidden, "no such invite"))?;
    hello
        .check_invite(&invite.key)
        .map_err(|_| Refused::new(ErrorCode::Unauthenticated, "the invite's key was not proved"))?;
    if !invite.is_open() || invite.expires.millis() <= now {
        return Err(Refused::new(ErrorCode::InviteExpired, "the invite is used up, closed or past its time"));
    }
    Ok(())
}

fn bad_hello(error: HandshakeError) -> Refused {
    match error {
        HandshakeError::NoCommonVersion => Refused::new(ErrorCode::Unsupported, "no common version"),
        HandshakeError::Malformed => Refused::new(ErrorCode::Malformed, "the hello is malformed"),
        _ => Refused::new(ErrorCode::Unauthenticated, "the device key was not proved"),
    }
}

const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Device => "device",
        Mode::Join(_) => "join",
        Mode::Create => "create",
    }
}

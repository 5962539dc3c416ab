//! Sessions of the far end.

use claudemesh_client::api::*;
use claudemesh_client::service::{Call, MeshSelector, Sessions};
use serde_json::json;

use super::rooms::answers;
use super::{Fake, ID};

const AT: &str = "2026-11-21T06:55:00Z";

impl Fake {
    fn host_session(&self, name: &str) -> HostSession {
        HostSession {
            name: name.into(),
            host: HostRef { host: "claude-code".into(), ..HostRef::default() },
            live: true,
            status: Activity::Working,
            source: StatusSource::Hook,
            summary: None,
            route: Route::Socket,
            lead: true,
            unread: 2,
            posted: 1,
            since: AT.into(),
            confirmed_at: Some(AT.into()),
            paused: vec![self.bob()],
        }
    }

    fn taken(&self) -> Taken {
        let taking =
            |message: &Message| Taking { mesh: "feedfacefeedface".into(), label: None, message: message.clone() };
        Taken { messages: self.messages.iter().map(taking).collect(), more: 0, held: Vec::new() }
    }

    fn notice(&self) -> Notice {
        Notice { id: "m_0123456789abcdef".into(), text: "[mesh m_0123456789abcdef] 1 message".into(), count: 1 }
    }
}

impl Sessions for Fake {
    answers! {
        session_register(fake, request: SessionRegister) -> HostSession {
            fake.host_session(request.name.as_deref().unwrap_or("api"))
        }
        sessions(fake, request: SessionsQuery) -> HostSessions {
            HostSessions { sessions: vec![fake.host_session("api")] }
        }
        session_event(fake, request: SessionEvent) -> SessionAnswer {
            SessionAnswer { session: Some("api".into()), notice: request.may_hand.then(|| fake.notice()), unread: 1 }
        }
        session_notices(fake, request: NoticesQuery) -> Notices {
            Notices { session: ID.into(), notices: vec![fake.notice()] }
        }
        session_take(fake, request: TakeQuery) -> Taken {
            fake.taken()
        }
        session_limits(_fake, request: LimitsRequest) -> SessionLimits {
            SessionLimits { exchange: request.exchange.unwrap_or(25), hourly: request.hourly.unwrap_or(60) }
        }
        session_permit(fake, request: PermitRequest) -> Permits {
            Permits { members: request.member.iter().map(|_| fake.bob()).collect() }
        }
    }
}

//! The local API as both of its sides know it: routes, parameters, and the small requests that [`crate::api`] has no
//! type for. Owns names only; what a call does is [`crate::service::Service`]'s business.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api;
use crate::error::{Error, ErrorKind};
use crate::service::MeshSelector;

/// Number of the local API. A client and a daemon with different numbers do not work together.
pub const LOCAL_API: u32 = 2;

/// Largest request body.
pub(crate) const BODY_LIMIT: usize = 1024 * 1024;

/// The daemon writes to every event stream at least this often.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Header of answers about a mesh: its warnings, separated by commas.
pub(crate) const WARNING_HEADER: &str = "claudemesh-warning";

/// Name of the stream frame that carries an error.
pub(crate) const FRAME_ERROR: &str = "error";
/// Name of the stream frame after which nothing follows. A stream that stops without it was cut.
pub(crate) const FRAME_END: &str = "end";

pub(crate) mod route {
    pub(crate) const VERSION: &str = "/v1/version";
    pub(crate) const STATUS: &str = "/v1/status";
    pub(crate) const UP: &str = "/v1/up";
    pub(crate) const JOIN: &str = "/v1/join";
    pub(crate) const MESHES: &str = "/v1/meshes";
    pub(crate) const MESH_USE: &str = "/v1/mesh/use";
    pub(crate) const MESH_RENAME: &str = "/v1/mesh/rename";
    pub(crate) const MESH_LEAVE: &str = "/v1/mesh/leave";
    pub(crate) const MESH_DELETE: &str = "/v1/mesh/delete";
    pub(crate) const WHOAMI: &str = "/v1/whoami";
    pub(crate) const INVITES: &str = "/v1/invites";
    pub(crate) const INVITE_REVOKE: &str = "/v1/invites/revoke";
    pub(crate) const SEND: &str = "/v1/send";
    pub(crate) const WAIT: &str = "/v1/wait";
    pub(crate) const MESSAGE: &str = "/v1/message";
    pub(crate) const INBOX: &str = "/v1/inbox";
    pub(crate) const READ: &str = "/v1/read";
    pub(crate) const PEERS: &str = "/v1/peers";
    pub(crate) const PRESENCE: &str = "/v1/presence";
    pub(crate) const MEMBERS: &str = "/v1/members";
    pub(crate) const MEMBER_REMOVE: &str = "/v1/members/remove";
    pub(crate) const MEMBER_ROLE: &str = "/v1/members/role";
    pub(crate) const EVENTS: &str = "/v1/events";
    pub(crate) const ACK: &str = "/v1/ack";
    pub(crate) const SHUTDOWN: &str = "/v1/shutdown";
}

/// What a daemon says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Version of the program.
    pub version: String,
    /// Number of its local API.
    pub api: u32,
    /// Its process id.
    pub pid: u32,
}

impl Version {
    /// The version of this build and process.
    #[must_use]
    pub fn own() -> Self {
        Self { version: env!("CARGO_PKG_VERSION").into(), api: LOCAL_API, pid: std::process::id() }
    }
}

/// Query of every route of a mesh. A parameter that nobody knows is refused, not dropped.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MeshParams {
    pub(crate) mesh: Option<String>,
}

impl MeshParams {
    pub(crate) fn new(mesh: MeshSelector<'_>) -> Self {
        Self { mesh: mesh.map(str::to_owned) }
    }
}

/// Query of routes without parameters.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoParams {}

/// Query of the inbox: [`api::InboxQuery`] of a mesh.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct InboxParams {
    pub(crate) mesh: Option<String>,
    unread: bool,
    limit: u32,
    wait_ms: u64,
    session: Option<String>,
}

impl Default for InboxParams {
    fn default() -> Self {
        Self::new(None, api::InboxQuery::default())
    }
}

impl InboxParams {
    pub(crate) fn new(mesh: MeshSelector<'_>, query: api::InboxQuery) -> Self {
        let api::InboxQuery { unread, limit, wait_ms, session } = query;
        Self { mesh: mesh.map(str::to_owned), unread, limit, wait_ms, session }
    }

    #[cfg(feature = "daemon")]
    pub(crate) fn split(self) -> (Option<String>, api::InboxQuery) {
        let Self { mesh, unread, limit, wait_ms, session } = self;
        (mesh, api::InboxQuery { unread, limit, wait_ms, session })
    }
}

/// Query of the event stream: [`api::EventsQuery`] of a mesh.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EventsParams {
    pub(crate) mesh: Option<String>,
    pub(crate) consumer: Option<String>,
    pub(crate) after: Option<u64>,
    pub(crate) session: Option<String>,
}

#[cfg(feature = "daemon")]
impl EventsParams {
    pub(crate) fn split(self) -> (Option<String>, api::EventsQuery) {
        let Self { mesh, consumer, after, session } = self;
        (mesh, api::EventsQuery { consumer, after, session })
    }
}

/// Query of the peers.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PeersParams {
    pub(crate) mesh: Option<String>,
    pub(crate) all: bool,
}

/// Query of one message.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageParams {
    #[serde(default)]
    pub(crate) mesh: Option<String>,
    pub(crate) id: String,
}

/// Names an invite.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct InviteName {
    pub(crate) id: String,
}

/// A new label.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Label {
    pub(crate) label: String,
}

/// Names a member.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MemberName {
    pub(crate) member: String,
}

/// A member's new role.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MemberRole {
    pub(crate) member: String,
    pub(crate) role: String,
}

/// The answer when there is nothing to say.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Done {}

impl From<&Error> for api::ErrorBody {
    fn from(error: &Error) -> Self {
        let code = error.kind().code().to_owned();
        let hint = error.hint().map(str::to_owned);
        Self { error: api::ErrorDetail { code, message: error.message().to_owned(), hint } }
    }
}

impl From<api::ErrorBody> for Error {
    /// The same error again. A code of a newer version becomes [`ErrorKind::Internal`] and stays readable.
    fn from(body: api::ErrorBody) -> Self {
        let api::ErrorDetail { code, message, hint } = body.error;
        let error = match ErrorKind::from_code(&code) {
            Some(kind) => Self::new(kind, message),
            None => Self::new(ErrorKind::Internal, format!("{message} ({code})")),
        };
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_its_json_form() {
        for kind in ErrorKind::ALL {
            let error = Error::new(kind, "what happened").with_hint("what to do");
            let body = serde_json::to_string(&api::ErrorBody::from(&error)).unwrap();
            let back = Error::from(serde_json::from_str::<api::ErrorBody>(&body).unwrap());
            assert_eq!((back.kind(), back.message(), back.hint()), (kind, "what happened", Some("what to do")));
        }
    }

    #[test]
    fn a_code_of_a_later_version_stays_readable() {
        let body = r#"{"error":{"code":"from_the_future","message":"no","hint":null}}"#;
        let error = Error::from(serde_json::from_str::<api::ErrorBody>(body).unwrap());
        assert_eq!((error.kind(), error.message()), (ErrorKind::Internal, "no (from_the_future)"));
    }
}

//! Writes notices to the session: to its socket, else as channel notifications where the user wants them. Where neither
//! works, the host's hooks fetch them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use claudemesh_client::ErrorKind;
use claudemesh_client::api::{Notice, NoticesQuery, Route};
use rmcp::model::{CustomNotification, ServerNotification};
use rmcp::{Peer, RoleServer};
use serde_json::json;

use super::link::Link;
use super::socket::Socket;

/// How long one question waits.
const WAIT_MS: u64 = 25_000;
/// The pause after something went wrong.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked whether the socket works again.
const PROBE: Duration = Duration::from_secs(30);
/// Written notices remembered at most.
const MOST: usize = 1024;

/// How notices are written.
enum Way {
    Socket(Socket),
    Channel,
    Nothing,
}

impl Way {
    async fn find(channel: bool) -> Self {
        match Socket::find().await {
            Some(socket) => Self::Socket(socket),
            None if channel => Self::Channel,
            None => Self::Nothing,
        }
    }

    const fn route(&self) -> Route {
        match self {
            Self::Socket(_) => Route::Socket,
            Self::Channel => Route::Channel,
            Self::Nothing => Route::Hooks,
        }
    }

    /// Writes a notice; false when this way does not work any more.
    async fn write(&self, peer: &Peer<RoleServer>, notice: &Notice) -> bool {
        match self {
            Self::Socket(socket) => socket.write(notice).await.is_ok(),
            Self::Channel => {
                let params = json!({ "content": notice.text, "meta": { "id": notice.id } });
                let pushed = CustomNotification::new("notifications/claude/channel", Some(params));
                peer.send_notification(ServerNotification::CustomNotification(pushed)).await.is_ok()
            }
            Self::Nothing => false,
        }
    }
}

/// Writes notices for as long as the session is served.
pub(super) async fn run(link: Arc<Link>, peer: Peer<RoleServer>, channel: bool) {
    let mut written = BTreeSet::new();
    loop {
        let way = Way::find(channel).await;
        link.set_route(way.route()).await;
        follow(&link, &peer, &way, &mut written).await;
    }
}

/// Writes notices until the way they go does not work any more.
async fn follow(link: &Link, peer: &Peer<RoleServer>, way: &Way, written: &mut BTreeSet<String>) {
    let mut posted = Vec::new();
    loop {
        let linked = match link.wait().await {
            Ok(linked) => linked,
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if let Way::Nothing = way {
            return tokio::time::sleep(PROBE).await;
        }
        let query =
            NoticesQuery { session: linked.session.clone(), wait_ms: WAIT_MS, posted: std::mem::take(&mut posted) };
        let again = query.posted.clone();
        match linked.service.session_notices(link.mesh(), query).await {
            Ok(answer) => {
                for notice in answer.notices {
                    if !written.contains(&notice.id) {
                        if !way.write(peer, &notice).await {
                            return;
                        }
                        if written.len() >= MOST {
                            written.clear();
                        }
                        written.insert(notice.id.clone());
                    }
                    posted.push(notice.id);
                }
            }
            Err(error) => {
                posted = again;
                link.lost(&error).await;
                if error.kind() == ErrorKind::NotFound {
                    // The session has ended; this process will, too.
                    return tokio::time::sleep(PROBE).await;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

//! The way to the daemon: reached when it is needed, reached again when it was lost, the session registered each time.

use std::sync::Arc;

use claudemesh_client::api::{Route, SessionRegister};
use claudemesh_client::service::Service;
use claudemesh_client::{Error, ErrorKind};
use tokio::sync::Mutex;

use super::environment;
use crate::args::Global;
use crate::connect;

/// The daemon, and the name that the session has there.
#[derive(Clone)]
pub(super) struct Linked {
    pub(super) service: Arc<dyn Service>,
    pub(super) session: String,
}

#[derive(Default)]
struct State {
    linked: Option<Linked>,
    route: Option<Route>,
    begun: bool,
}

/// The way to the daemon.
pub(super) struct Link {
    global: Global,
    name: Option<String>,
    state: Mutex<State>,
}

impl Link {
    pub(super) fn new(global: Global, name: Option<String>) -> Self {
        Self { global, name, state: Mutex::default() }
    }

    /// The mesh that the session is in, if only one.
    pub(super) fn mesh(&self) -> Option<&str> {
        self.global.mesh.as_deref()
    }

    /// The daemon, started if none runs.
    pub(super) async fn get(&self) -> Result<Linked, Error> {
        self.reach(true).await
    }

    /// The daemon. Once it has been there it is not started again: somebody may have stopped it.
    pub(super) async fn wait(&self) -> Result<Linked, Error> {
        self.reach(false).await
    }

    async fn reach(&self, wanted: bool) -> Result<Linked, Error> {
        let mut state = self.state.lock().await;
        if let Some(linked) = &state.linked {
            return Ok(linked.clone());
        }
        let service = match wanted || !state.begun {
            true => connect::connect(&self.global).await?,
            false => connect::attach().await?,
        };
        state.begun = true;
        let request = SessionRegister { host: environment::parent(), name: self.name.clone(), route: state.route };
        let session = service.session_register(self.mesh(), request).await?.name;
        let linked = Linked { service, session };
        state.linked = Some(linked.clone());
        Ok(linked)
    }

    /// Messages reach the session in another way from now on.
    pub(super) async fn set_route(&self, route: Route) {
        let mut state = self.state.lock().await;
        if state.route != Some(route) {
            (state.route, state.linked) = (Some(route), None);
        }
    }

    /// After this error the daemon has to be reached, or the session registered, again; true when that may help.
    pub(super) async fn lost(&self, error: &Error) -> bool {
        let lost = matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::NotFound);
        if lost {
            self.state.lock().await.linked = None;
        }
        lost
    }
}

//! Starting a driver, and what the node holds of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use claudemesh_core::session::{Command, Fault, Identity, Session};
use claudemesh_core::{MeshId, PublicKey, SigningKey};
use tokio::sync::{mpsc, oneshot};

use super::late::Late;
use super::shared::Shared;
use super::{Driver, Order, rng};
use crate::error::{Error, ErrorKind};
use crate::store::{Extra, Store};

/// Where a mesh's driver starts from.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) store: Store,
    pub(crate) row: i64,
    pub(crate) mesh: MeshId,
    pub(crate) seed: zeroize::Zeroizing<[u8; 32]>,
    pub(crate) broker_key: PublicKey,
    pub(crate) url: String,
    pub(crate) insecure: bool,
    pub(crate) name: Option<String>,
    /// Why the mesh is over for this home; its session then only serves readers.
    pub(crate) ended: Option<Fault>,
}

/// A running driver.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    orders: mpsc::Sender<Order>,
    pub(crate) shared: Arc<Shared>,
}

impl Handle {
    /// Loads the session and starts its task.
    pub(crate) async fn start(start: Start) -> Result<Self, Error> {
        let session = load(&start).await?;
        let shared = Arc::new(Shared::new());
        shared.note_faults(&session);
        // Nothing more arrives for a mesh that has ended.
        shared.caught_up.send_replace(session.is_halted());
        shared.note_gaps(&session);
        let (orders, queue) = mpsc::channel(1024);
        let (events, incoming) = mpsc::channel(1024);
        let driver = Driver {
            session,
            start,
            shared: shared.clone(),
            orders: queue,
            late: Late::default(),
            events,
            incoming,
            generation: 0,
            link: None,
            outgoing: None,
            next_token: 0,
            appends: BTreeMap::new(),
            writes: BTreeMap::new(),
            settles: None,
            patience: None,
        };
        tokio::spawn(driver.run());
        Ok(Self { orders, shared })
    }

    pub(crate) async fn order(&self, order: Order) -> Result<(), Error> {
        self.orders.send(order).await.map_err(|_| stopped())
    }

    /// Asks the session something.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Session) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let look = Box::new(move |session: &Session| {
            let _ = reply.send(look(session));
        });
        self.order(Order::Look(look)).await?;
        answer.await.map_err(|_| stopped())
    }

    /// Hands over a command and waits until its effects are on disk.
    pub(crate) async fn command(&self, command: Command) -> Result<(), Error> {
        self.command_with(command, Vec::new()).await
    }

    /// Hands over a command and what is committed beside its effects.
    pub(crate) async fn command_with(&self, command: Command, extra: Vec<Extra>) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Command(command, extra, reply)).await?;
        answer.await.map_err(|_| stopped())?
    }

    /// Ends the driver after its last commit.
    pub(crate) async fn stop(&self) {
        let (reply, answer) = oneshot::channel();
        if self.order(Order::Stop(reply)).await.is_ok() {
            let _ = answer.await;
        }
    }
}

pub(crate) fn stopped() -> Error {
    Error::new(ErrorKind::Refused, "this mesh is no longer active here").with_hint("see `claudemesh mesh list`")
}

pub(super) async fn load(start: &Start) -> Result<Session, Error> {
    let mut snapshot = start.store.load(start.row, start.mesh).await?;
    snapshot.name.clone_from(&start.name);
    snapshot.ended = start.ended;
    let identity = Identity {
        key: SigningKey::from_seed(&start.seed),
        boot: claudemesh_core::presence::BootId::generate(&mut rng()),
        pinned: vec![start.broker_key],
    };
    Session::load(identity, snapshot).map_err(|error| {
        Error::new(ErrorKind::Corrupt, "what the home's store keeps of this mesh does not verify; it was left as it is")
            .with_hint("restore the store from a copy, or join again by a fresh invite")
            .with_source(error)
    })
}

//! A broker and people around it, each behind a broker of their own that can be made hostile.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use claudemesh_broker::{Broker, Config};
use claudemesh_client::{Mesh, Receipt, SentMessage, api};
use claudemesh_core::SigningKey;

use super::{Mallory, PATIENCE, within};

/// A person: the real client in this process, and the way to the broker.
#[derive(Debug)]
pub struct Citizen {
    /// The client.
    pub mesh: Mesh,
    /// What stands between it and the broker.
    pub mallory: Mallory,
}

/// A broker, its key, and a folder.
#[derive(Debug)]
pub struct Town {
    /// The real broker.
    pub broker: Broker,
    /// Its key, which a hostile broker has.
    pub key: SigningKey,
    folder: tempfile::TempDir,
}

fn settings(config: Config, key: &SigningKey) -> Config {
    // What was not acknowledged comes again soon, and members may ask often.
    config.with_key(SigningKey::from_seed(&key.seed())).with_engine(|engine| engine.redelivery = 300)
}

impl Town {
    /// A broker in memory.
    pub async fn new() -> Self {
        Self::on(|_| Config::in_memory()).await
    }

    /// A broker over the folder `broker`.
    pub async fn on_disk() -> Self {
        Self::on(|folder| Config::in_directory(folder.join("broker"))).await
    }

    async fn on(config: impl FnOnce(&Path) -> Config) -> Self {
        // Nothing here is about disks: a folder in memory spares the wait for one that is busy.
        let memory = tempfile::tempdir_in("/dev/shm");
        let folder = memory.or_else(|_| tempfile::tempdir()).expect("a folder can be made");
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).expect("the system has randomness");
        let key = SigningKey::from_seed(&seed);
        let broker = Broker::bind(settings(config(folder.path()), &key)).await.expect("a broker starts");
        Self { broker, key, folder }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Another broker with the same key, over this folder.
    ///
    /// # Panics
    /// It does not start.
    pub async fn broker_on(&self, folder: &Path) -> Broker {
        Broker::bind(settings(Config::in_directory(folder), &self.key)).await.expect("a broker starts")
    }

    /// Alice, who founded a mesh; her store is on disk.
    ///
    /// # Panics
    /// She cannot.
    pub async fn founder(&self) -> Citizen {
        let mallory = Mallory::before(&self.broker.url(), &self.key).await;
        let request = api::UpRequest {
            name: Some("alice".into()),
            broker: Some(mallory.url().to_owned()),
            ..api::UpRequest::default()
        };
        let home = self.path().join("alice");
        let (mesh, _) = Mesh::builder().home(home).embedded().up(request).await.expect("she founds a mesh");
        Citizen { mesh, mallory }
    }

    /// A person who joined by this link, with a store in memory, and whom `host` knows.
    ///
    /// # Panics
    /// They cannot.
    pub async fn guest(&self, name: &str, host: &Citizen) -> Citizen {
        let guest = self.joiner(name, &link(host).await, None).await;
        knows(&host.mesh, name).await;
        guest
    }

    /// A person who joins by this link, with a home or a store in memory.
    ///
    /// # Panics
    /// They cannot.
    pub async fn joiner(&self, name: &str, link: &str, home: Option<&Path>) -> Citizen {
        let mallory = Mallory::before(&self.broker.url(), &self.key).await;
        let link = through(link, &mallory);
        let mesh = match home {
            None => Mesh::builder().in_memory().name(name).join(link).await,
            Some(home) => {
                let request = api::JoinRequest { link, name: Some(name.into()), ..api::JoinRequest::default() };
                Mesh::builder().home(home).embedded().join(request).await
            }
        };
        Citizen { mesh: mesh.expect("they join"), mallory }
    }

    /// Alice and Bob, who know each other.
    pub async fn pair(&self) -> (Citizen, Citizen) {
        let alice = self.founder().await;
        let bob = self.guest("bob", &alice).await;
        knows(&bob.mesh, "alice").await;
        (alice, bob)
    }
}

/// A fresh link of one use.
pub(super) async fn link(host: &Citizen) -> String {
    host.connected().await;
    host.mesh.invite(api::InviteRequest::default()).await.expect("a link").link.expect("a link")
}

/// The same link by way of another address.
fn through(link: &str, mallory: &Mallory) -> String {
    let secret = link.split_once("/i#").expect("it is a link").1;
    format!("http://{}/i#{secret}", mallory.address())
}

/// Waits until a member is known by name.
async fn knows(mesh: &Mesh, name: &str) {
    settled(&format!("{name} is known"), async || {
        mesh.peers().await.expect("peers").iter().any(|peer| peer.name == name).then_some(())
    })
    .await;
}

impl Citizen {
    /// A fresh link.
    pub async fn link(&self) -> String {
        link(self).await
    }

    /// Waits until it knows a member by name.
    pub async fn knows(&self, name: &str) {
        knows(&self.mesh, name).await;
    }

    /// Sends.
    ///
    /// # Panics
    /// It cannot.
    pub async fn send(&self, to: &str, text: &str) -> SentMessage {
        self.mesh.send(to, text).await.expect("it is sent")
    }

    /// Sends, and waits until the broker has it.
    ///
    /// # Panics
    /// It is not accepted.
    pub async fn accepted(&self, to: &str, text: &str) -> SentMessage {
        let sent = self.send(to, text).await;
        sent.wait(Receipt::Accepted).timeout(PATIENCE).await.expect("it is accepted");
        sent
    }

    /// Waits until the connection is made anew.
    ///
    /// # Panics
    /// It is not.
    pub async fn connected(&self) {
        settled("connected", async || self.mesh.whoami().await.expect("a home").connected.then_some(())).await;
    }
}

/// Asks until there is an answer. Every question goes through the client's driver and its store, so each round waits for
/// real work.
///
/// # Panics
/// There is none in time.
pub async fn settled<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    within(what, async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// The warnings that `status` shows.
///
/// # Panics
/// There is no status.
pub async fn warnings(mesh: &Mesh) -> Vec<String> {
    mesh.status().await.expect("a status").meshes.into_iter().flat_map(|mesh| mesh.warnings).collect()
}

/// Waits until `status` warns of this.
///
/// # Panics
/// It does not.
pub async fn warned(mesh: &Mesh, warning: &str) {
    settled(&format!("a warning of {warning}"), async || {
        warnings(mesh).await.iter().any(|known| known == warning).then_some(())
    })
    .await;
}

/// What stands in the inbox, read or not, oldest first.
///
/// # Panics
/// There is no inbox.
pub async fn bodies(mesh: &Mesh) -> Vec<String> {
    let inbox = mesh.inbox().limit(1000).await.expect("an inbox");
    inbox.iter().map(|message| message.body.clone()).collect()
}

/// The state and reason of a sent message.
///
/// # Panics
/// It was not sent from here.
pub async fn state(mesh: &Mesh, id: &str) -> (api::State, Option<String>) {
    let status = mesh.message_status(id).await.expect("it was sent");
    (status.state, status.recipients.into_iter().find_map(|recipient| recipient.reason))
}

/// An honest message goes through: sent, delivered by its recipient's word, and in the inbox as the newest, once.
///
/// # Panics
/// It does not.
pub async fn deliver(from: &Citizen, to: &Citizen, name: &str) {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let text = format!("honest {}", COUNT.fetch_add(1, Ordering::Relaxed));
    let sent = from.send(name, &text).await;
    sent.wait(Receipt::Delivered).timeout(PATIENCE).await.expect("an honest message is delivered");
    let bodies = bodies(&to.mesh).await;
    assert_eq!(bodies.iter().filter(|body| **body == text).count(), 1, "{bodies:?}");
}

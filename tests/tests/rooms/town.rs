//! A broker and members of one mesh.

use std::time::Duration;

use claudemesh_broker::{Broker, Config};
use claudemesh_client::service::Service;
use claudemesh_client::{Mesh, api};
use tempfile::TempDir;

/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Town {
    folder: TempDir,
    /// Runs as long as the town stands.
    _broker: Broker,
    pub(crate) owner: Mesh,
    link: String,
}

impl Town {
    pub(crate) async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let broker = Broker::bind(Config::in_directory(folder.path().join("broker"))).await.unwrap();
        let request = api::UpRequest { broker: Some(broker.url()), name: Some("ann".into()), ..Default::default() };
        let (owner, _) = Mesh::builder().home(folder.path().join("ann")).embedded().up(request).await.unwrap();
        let link = owner.invite(api::InviteRequest { uses: 500, ..Default::default() }).await.unwrap().link.unwrap();
        Self { folder, _broker: broker, owner, link }
    }

    pub(crate) async fn join(&self, name: &str) -> Mesh {
        let request = api::JoinRequest { link: self.link.clone(), name: Some(name.into()), ..Default::default() };
        Mesh::builder().home(self.folder.path().join(name)).embedded().join(request).await.unwrap()
    }

    /// The same home again, after it was closed.
    pub(crate) async fn open(&self, name: &str) -> Mesh {
        Mesh::builder().home(self.folder.path().join(name)).embedded().open().await.unwrap()
    }
}

/// The calls of a mesh.
pub(crate) fn calls(mesh: &Mesh) -> &dyn Service {
    &**mesh.service()
}

/// Asks until the answer fits.
pub(crate) async fn until<T, F>(mut ask: impl FnMut() -> F, fits: impl Fn(&T) -> bool) -> T
where
    F: Future<Output = T>,
    T: std::fmt::Debug,
{
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let answer = ask().await;
        if fits(&answer) {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "still {answer:?}");
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn post(mesh: &Mesh, topic: &str, text: &str) -> api::Posted {
    let request = api::PostRequest { topic: topic.into(), text: text.into(), ..Default::default() };
    calls(mesh).topic_post(None, request).await.unwrap()
}

/// The texts of a topic, once there are so many.
pub(crate) async fn texts(mesh: &Mesh, topic: &str, count: usize) -> Vec<String> {
    let ask = || async {
        let query = api::PostsQuery { topic: topic.into(), limit: Some(1000), ..Default::default() };
        match calls(mesh).topic_posts(None, query).await {
            Ok(found) => found.posts.into_iter().map(|post| post.body).collect(),
            Err(_) => Vec::new(),
        }
    };
    until(ask, |found: &Vec<String>| found.len() >= count).await
}

pub(crate) fn topic(name: &str) -> api::TopicName {
    api::TopicName { topic: name.into() }
}

//! Topics: making them, following them, and who is in them. What is written there is in `post`.

use std::future::IntoFuture;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Mesh, ReadPosts, SearchPosts, SharedMemory, SharedState, TailPosts, Tasks, WritePost};
use crate::api;
use crate::error::{Error, ErrorKind};

/// A topic of a mesh: a conversation with a history, and state, memory and tasks of its own.
///
/// A handle names the topic and knows nothing of it: whether it exists is found out by the first call.
///
/// ```
/// # let far_end = claudemesh_client::testing::Fake::new("team", "alice");
/// # far_end.add_member("bob");
/// # far_end.run(async |mesh| {
/// # mesh.create_topic("deploys").await?;
/// let deploys = mesh.topic("deploys");
/// deploys.join().await?;
/// let mut posts = deploys.tail().await?;
/// deploys.post("staging is green, @bob").await?;
/// while let Some(post) = posts.next().await {
///     let post = post?;
///     println!("{}: {}", post.from.name, post.body);
///     deploys.mark_read(post.at.as_str()).await?;
///     # assert_eq!(post.mentions[0].name, "bob");
///     # break;
/// }
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Topic {
    mesh: Mesh,
    topic: String,
}

impl Topic {
    pub(super) fn new(mesh: Mesh, topic: String) -> Self {
        Self { mesh, topic }
    }

    /// The name, as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.topic
    }

    /// Writes to the topic; `@name` mentions a member. Await the result, or set more first.
    pub fn post(&self, text: impl Into<String>) -> WritePost {
        WritePost::new(self.mesh.clone(), self.topic.clone(), text.into())
    }

    /// Reads posts, the latest 50 unless told otherwise. Await the result, or narrow it first. Nothing is marked read
    /// by it.
    pub fn history(&self) -> ReadPosts {
        ReadPosts::new(self.mesh.clone(), self.topic.clone())
    }

    /// Posts as they come, from now on. Await the stream, or say first where it starts.
    pub fn tail(&self) -> TailPosts {
        TailPosts::new(self.mesh.clone(), self.topic.clone())
    }

    /// Searches the posts of this topic. Await the result, or narrow it first.
    pub fn search(&self, text: impl Into<String>) -> SearchPosts {
        self.mesh.search(text).topic(&self.topic)
    }

    /// Follows the topic from now on.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] for a topic that does not exist or is not for this member,
    /// [`crate::ErrorKind::Unreachable`] without the broker.
    pub async fn join(&self) -> Result<api::Topic, Error> {
        self.mesh.calls().topic_join(self.mesh.selected(), self.named()).await
    }

    /// Leaves the topic; what was read stays readable.
    ///
    /// # Errors
    /// As [`Topic::join`]; [`crate::ErrorKind::Refused`] for its last lead.
    pub async fn leave(&self) -> Result<api::Topic, Error> {
        self.mesh.calls().topic_leave(self.mesh.selected(), self.named()).await
    }

    /// Who is in the topic, leads first.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] for a topic that does not exist or is not for this member.
    pub async fn members(&self) -> Result<Vec<api::TopicMember>, Error> {
        Ok(self.mesh.calls().topic_members(self.mesh.selected(), self.named()).await?.members)
    }

    /// Adds a member, named by name or key prefix, or changes its role.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Refused`] without the rank for it; [`crate::ErrorKind::NotFound`] or
    /// [`crate::ErrorKind::Ambiguous`] for the topic or the member.
    pub async fn set_member(&self, member: &str, role: api::TopicRole) -> Result<Vec<api::TopicMember>, Error> {
        self.change(member, Some(role)).await
    }

    /// Removes a member.
    ///
    /// # Errors
    /// As [`Topic::set_member`].
    pub async fn remove_member(&self, member: &str) -> Result<Vec<api::TopicMember>, Error> {
        self.change(member, None).await
    }

    async fn change(&self, member: &str, role: Option<api::TopicRole>) -> Result<Vec<api::TopicMember>, Error> {
        let request = api::TopicMemberChange { topic: self.topic.clone(), member: member.into(), role };
        Ok(self.mesh.calls().topic_member(self.mesh.selected(), request).await?.members)
    }

    /// Says for how long the topic keeps posts; `None` for ever. Older ones are erased, here and wherever the topic is read.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] for the topic, [`crate::ErrorKind::Refused`] for who does not lead it,
    /// [`crate::ErrorKind::Usage`] for less than a second.
    pub async fn set_retention(&self, retention: Option<Duration>) -> Result<api::Topic, Error> {
        let seconds = retention.map(whole_seconds).transpose()?;
        let request = api::TopicRetention { topic: self.topic.clone(), seconds };
        self.mesh.calls().topic_retention(self.mesh.selected(), request).await
    }

    /// Drops what nobody needs any more of the topic, at the broker and here; how many entries. Admins and owners only,
    /// whose nodes do it now and then by themselves.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Refused`] for others, or while older parts of the topic cannot be read here;
    /// [`crate::ErrorKind::Conflict`] when others write there all the time.
    pub async fn compact(&self) -> Result<u64, Error> {
        let request = api::Compact { topic: Some(self.topic.clone()) };
        Ok(self.mesh.calls().compact(self.mesh.selected(), request).await?.dropped)
    }

    /// Marks a thread resolved, named by its first post; returns the thread.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] for the topic or the post, [`crate::ErrorKind::Refused`] for an observer.
    pub async fn resolve(&self, thread: &str) -> Result<api::Posts, Error> {
        self.resolved(thread, false).await
    }

    /// Marks a thread open again.
    ///
    /// # Errors
    /// As [`Topic::resolve`].
    pub async fn reopen(&self, thread: &str) -> Result<api::Posts, Error> {
        self.resolved(thread, true).await
    }

    async fn resolved(&self, thread: &str, reopen: bool) -> Result<api::Posts, Error> {
        let request = api::TopicResolve { topic: self.topic.clone(), thread: thread.into(), reopen };
        self.mesh.calls().topic_resolve(self.mesh.selected(), request).await
    }

    /// Marks the posts up to a place ([`api::Post::at`]) read for this handle's session; `None` marks all there are.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] for the topic, [`crate::ErrorKind::Usage`] for a text that is no place.
    pub async fn mark_read(&self, through: impl Into<Option<&str>>) -> Result<api::Topic, Error> {
        let through = through.into().map(str::to_owned);
        let request = api::TopicRead { topic: self.topic.clone(), through, session: self.mesh.session.clone() };
        self.mesh.calls().topic_read(self.mesh.selected(), request).await
    }

    /// State of this topic.
    #[must_use]
    pub fn state(&self) -> SharedState {
        SharedState::new(self.mesh.clone(), Some(self.topic.clone()))
    }

    /// Memory of this topic.
    #[must_use]
    pub fn memory(&self) -> SharedMemory {
        SharedMemory::new(self.mesh.clone(), Some(self.topic.clone()))
    }

    /// Tasks of this topic.
    #[must_use]
    pub fn tasks(&self) -> Tasks {
        Tasks::new(self.mesh.clone(), Some(self.topic.clone()))
    }

    fn named(&self) -> api::TopicName {
        api::TopicName { topic: self.topic.clone() }
    }
}

fn whole_seconds(time: Duration) -> Result<u64, Error> {
    match time.as_secs() {
        0 => Err(Error::new(ErrorKind::Usage, "posts are kept for a second at least")),
        seconds => Ok(seconds),
    }
}

/// A topic that is made when this is awaited. The caller becomes its first lead.
///
/// # Errors
/// Awaited: [`crate::ErrorKind::Usage`] for a bad name or too long a purpose, [`crate::ErrorKind::Conflict`] when the
/// name is taken, [`crate::ErrorKind::NotFound`] or [`crate::ErrorKind::Ambiguous`] for a member,
/// [`crate::ErrorKind::Unreachable`] without the broker.
#[derive(Debug)]
#[must_use = "a topic is made when this is awaited"]
pub struct CreateTopic {
    mesh: Mesh,
    request: api::TopicCreate,
}

impl CreateTopic {
    pub(super) fn new(mesh: Mesh, topic: String) -> Self {
        Self { mesh, request: api::TopicCreate { topic, ..Default::default() } }
    }

    /// What it is for, 1 KiB at most.
    pub fn purpose(mut self, purpose: impl Into<String>) -> Self {
        self.request.purpose = Some(purpose.into());
        self
    }

    /// Only for the members named; others do not even learn its name.
    pub fn private(mut self) -> Self {
        self.request.private = true;
        self
    }

    /// Adds a member at once, by name or key prefix. May be called again.
    pub fn member(mut self, member: impl Into<String>) -> Self {
        self.request.members.push(member.into());
        self
    }

    /// How long posts are kept; under a second counts as a second. Default: for ever.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.request.retention = Some(retention.as_secs().max(1));
        self
    }

    /// What newcomers may read. Default: everything.
    pub fn history(mut self, history: api::History) -> Self {
        self.request.history = history;
        self
    }
}

asks!(CreateTopic.topic_create -> api::Topic);

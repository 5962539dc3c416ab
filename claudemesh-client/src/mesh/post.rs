//! What is written in topics: posting, reading, following, searching.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, Stream, StreamExt};

use super::{Mesh, poll};
use crate::api;
use crate::error::Error;

/// A post that is written when this is awaited. The result comes when it is durable on this disk, or a moment later
/// when it is in the topic.
///
/// # Errors
/// Awaited: [`crate::ErrorKind::Usage`] for an empty or over-long text, [`crate::ErrorKind::NotFound`] for the topic or
/// the post answered, [`crate::ErrorKind::Refused`] for an observer, [`crate::ErrorKind::Conflict`] when the id was used
/// for another post.
#[derive(Debug)]
#[must_use = "a post is written when this is awaited"]
pub struct WritePost {
    mesh: Mesh,
    request: api::PostRequest,
}

impl WritePost {
    pub(super) fn new(mesh: Mesh, topic: String, text: String) -> Self {
        let session = mesh.session.clone();
        Self { mesh, request: api::PostRequest { topic, text, session, ..Default::default() } }
    }

    /// An id of the caller's own, a UUID. Writing the same post under the same id again writes nothing.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.request.id = Some(id.into());
        self
    }

    /// The post this answers: its thread goes on.
    pub fn reply_to(mut self, id: impl Into<String>) -> Self {
        self.request.reply_to = Some(id.into());
        self
    }

    /// The session that writes. Default: the handle's.
    pub fn session(mut self, session: impl Into<String>) -> Self {
        self.request.session = Some(session.into());
        self
    }
}

asks!(WritePost.topic_post -> api::Posted);

/// A look into a topic, taken when this is awaited.
///
/// # Errors
/// Awaited: [`crate::ErrorKind::NotFound`] for the topic or the thread, [`crate::ErrorKind::Usage`] for a text that is
/// no place.
#[derive(Debug)]
#[must_use = "posts are read when this is awaited"]
pub struct ReadPosts {
    mesh: Mesh,
    request: api::PostsQuery,
}

impl ReadPosts {
    pub(super) fn new(mesh: Mesh, topic: String) -> Self {
        Self { mesh, request: api::PostsQuery { topic, ..Default::default() } }
    }

    /// Only posts after this place ([`api::Post::at`]), the oldest of them.
    pub fn after(mut self, place: impl Into<String>) -> Self {
        self.request.after = Some(place.into());
        self
    }

    /// Only posts before this place, the latest of them.
    pub fn before(mut self, place: impl Into<String>) -> Self {
        self.request.before = Some(place.into());
        self
    }

    /// Only the thread of this post.
    pub fn thread(mut self, id: impl Into<String>) -> Self {
        self.request.thread = Some(id.into());
        self
    }

    /// At most so many, 1000 at most. Default: 50.
    pub fn limit(mut self, limit: u32) -> Self {
        self.request.limit = Some(limit);
        self
    }
}

asks!(ReadPosts.topic_posts -> api::Posts);

/// Says where a [`Tail`] starts, and opens it when awaited.
///
/// # Errors
/// Awaited: as [`ReadPosts`].
#[derive(Debug)]
#[must_use = "a stream is opened when this is awaited"]
pub struct TailPosts {
    mesh: Mesh,
    topic: String,
    after: Option<String>,
    last: u32,
}

impl TailPosts {
    pub(super) fn new(mesh: Mesh, topic: String) -> Self {
        Self { mesh, topic, after: None, last: 0 }
    }

    /// Starts after this place ([`api::Post::at`]) instead of now: a program that keeps the place of the last post it
    /// handled misses none.
    pub fn after(mut self, place: impl Into<String>) -> Self {
        self.after = Some(place.into());
        self
    }

    /// Starts with the latest posts there are, so many at most. Without meaning when a place was given.
    pub fn last(mut self, count: u32) -> Self {
        self.last = count;
        self
    }
}

impl IntoFuture for TailPosts {
    type Output = Result<Tail, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { mesh, topic, after, last } = self;
        async move {
            let limit = if after.is_some() { None } else { Some(last.max(1)) };
            let query = api::PostsQuery { topic: topic.clone(), limit, after: after.clone(), ..Default::default() };
            let api::Posts { mut posts, next, .. } = mesh.calls().topic_posts(mesh.selected(), query).await?;
            if after.is_none() && last == 0 {
                posts.clear();
            }
            let ask = move |after| {
                let mesh = mesh.clone();
                let query = api::PostsQuery {
                    topic: topic.clone(),
                    after: Some(after),
                    wait_ms: poll::WAIT_MS,
                    ..Default::default()
                };
                async move {
                    let answer = mesh.calls().topic_posts(mesh.selected(), query).await?;
                    Ok((answer.posts, answer.next))
                }
                .boxed()
            };
            Ok(Tail { posts: poll::stream((posts, next), ask) })
        }
        .boxed()
    }
}

/// Posts of a topic as they come. Through a daemon it survives the daemon's restart without loss; it ends with an error
/// when the daemon stays away.
pub struct Tail {
    posts: BoxStream<'static, Result<api::Post, Error>>,
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail").finish_non_exhaustive()
    }
}

impl Tail {
    /// The next post. The same as the stream's, for programs without stream helpers.
    pub async fn next(&mut self) -> Option<Result<api::Post, Error>> {
        StreamExt::next(self).await
    }
}

impl Stream for Tail {
    type Item = Result<api::Post, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.posts.poll_next_unpin(cx)
    }
}

/// A search of posts, done when this is awaited. Words, `"a phrase"`, `prefix*`, `AND`, `OR` and `NOT` are understood.
///
/// # Errors
/// Awaited: [`crate::ErrorKind::Usage`] for a text that cannot be searched for, [`crate::ErrorKind::NotFound`] for the
/// topic.
#[derive(Debug)]
#[must_use = "posts are searched when this is awaited"]
pub struct SearchPosts {
    mesh: Mesh,
    request: api::SearchQuery,
}

impl SearchPosts {
    pub(super) fn new(mesh: Mesh, text: String) -> Self {
        Self { mesh, request: api::SearchQuery { text, ..Default::default() } }
    }

    /// Only in this topic. Default: in all that are followed.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.request.topic = Some(topic.into());
        self
    }

    /// At most so many, 200 at most. Default: 20.
    pub fn limit(mut self, limit: u32) -> Self {
        self.request.limit = Some(limit);
        self
    }
}

asks!(SearchPosts.topic_search -> Vec<api::Hit>, hits);

//! Received messages: reading them, answering them, marking them read.

use std::future::IntoFuture;
use std::ops::Deref;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Mesh, SendMessage};
use crate::api;
use crate::error::Error;

/// A look into the inbox, taken when this is awaited.
///
/// # Errors
/// Awaited: [`crate::ErrorKind::NotFound`] when the mesh is gone.
#[derive(Debug)]
#[must_use = "the inbox is read when this is awaited"]
pub struct InboxRequest {
    mesh: Mesh,
    query: api::InboxQuery,
}

impl InboxRequest {
    pub(super) fn new(mesh: Mesh) -> Self {
        let session = mesh.session.clone();
        Self { mesh, query: api::InboxQuery { session, ..Default::default() } }
    }

    /// Only messages that were not read.
    pub fn unread(mut self) -> Self {
        self.query.unread = true;
        self
    }

    /// At most so many, the newest. Default: 50.
    pub fn limit(mut self, limit: u32) -> Self {
        self.query.limit = limit;
        self
    }

    /// Waits so long for a message when there is none.
    pub fn wait(mut self, time: Duration) -> Self {
        self.query.wait_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self
    }
}

impl IntoFuture for InboxRequest {
    type Output = Result<Vec<Received>, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { mesh, query } = self;
        async move {
            let inbox = mesh.calls().inbox(mesh.selected(), query).await?;
            Ok(inbox.messages.into_iter().map(|message| Received::new(mesh.clone(), message)).collect())
        }
        .boxed()
    }
}

/// A received message. Its text is data from another person, never an instruction.
#[derive(Clone, Debug)]
pub struct Received {
    mesh: Mesh,
    message: api::Message,
}

impl Received {
    pub(super) fn new(mesh: Mesh, message: api::Message) -> Self {
        Self { mesh, message }
    }

    pub(super) fn named(&self) -> api::MessageName {
        api::MessageName { id: self.message.id.clone(), member: self.message.from.member.clone() }
    }

    /// Answers the session that wrote it, from the session it was for.
    pub fn reply(&self, text: impl Into<String>) -> SendMessage {
        let from = &self.message.from;
        // By id: a name can belong to two people.
        let address = format!("{}/{}", from.member, from.session);
        self.mesh.send(address, text).reply_to(&self.message.id).session(&self.message.session)
    }

    /// Marks it read and tells its sender.
    ///
    /// # Errors
    /// As [`Mesh::mark_read`].
    pub async fn mark_read(&self) -> Result<(), Error> {
        self.mesh.mark_read([self]).await
    }

    /// The message without the handle.
    #[must_use]
    pub fn into_inner(self) -> api::Message {
        self.message
    }
}

impl Deref for Received {
    type Target = api::Message;

    fn deref(&self) -> &api::Message {
        &self.message
    }
}

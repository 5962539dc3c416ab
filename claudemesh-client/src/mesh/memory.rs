//! Shared memory: texts with tags, found again by their words.

use std::future::IntoFuture;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Mesh;
use crate::api;
use crate::error::Error;

/// What the members of a mesh, or of a topic, remember together.
///
/// ```
/// # claudemesh_client::testing::Fake::new("team", "alice").run(async |mesh| {
/// let memory = mesh.memory();
/// memory.remember("staging runs PostgreSQL 17").tag("infra").await?;
/// let found = memory.recall().text("postgres*").tag("infra").await?;
/// println!("{} ({})", found[0].text, found[0].by.name);
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct SharedMemory {
    mesh: Mesh,
    topic: Option<String>,
}

impl SharedMemory {
    pub(super) fn new(mesh: Mesh, topic: Option<String>) -> Self {
        Self { mesh, topic }
    }

    /// Remembers a text. Await the result, or set more first.
    pub fn remember(&self, text: impl Into<String>) -> RememberText {
        let request = api::Remember { text: text.into(), topic: self.topic.clone(), ..Default::default() };
        RememberText { mesh: self.mesh.clone(), request }
    }

    /// Finds memories, the latest unless words are given. Await the result, or narrow it first. The mesh's handle looks
    /// into every topic, too.
    pub fn recall(&self) -> RecallMemories {
        let request = api::Recall { topic: self.topic.clone(), ..Default::default() };
        RecallMemories { mesh: self.mesh.clone(), request }
    }

    /// Forgets a memory, here and wherever the mesh is read; returns what it was.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] for an id that is not there, [`crate::ErrorKind::Refused`] for another member's
    /// memory without the rank for it, [`crate::ErrorKind::Unreachable`] without the broker.
    pub async fn forget(&self, id: &str) -> Result<api::Memory, Error> {
        self.mesh.calls().forget(self.mesh.selected(), api::MemoryName { id: id.into() }).await
    }
}

/// A text that is remembered when this is awaited.
///
/// # Errors
/// Awaited: [`crate::ErrorKind::Usage`] for an empty or over-long text or tag, [`crate::ErrorKind::NotFound`] for the
/// topic, [`crate::ErrorKind::Conflict`] when the id was used for another memory, [`crate::ErrorKind::Refused`] for an
/// observer.
#[derive(Debug)]
#[must_use = "a text is remembered when this is awaited"]
pub struct RememberText {
    mesh: Mesh,
    request: api::Remember,
}

impl RememberText {
    /// Adds a tag, 64 bytes at most. May be called again, 32 times at most.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.request.tags.push(tag.into());
        self
    }

    /// An id of the caller's own, a UUID. Remembering the same text under the same id again remembers nothing.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.request.id = Some(id.into());
        self
    }
}

asks!(RememberText.remember -> api::Memory);

/// A search of memories, done when this is awaited: best first, or latest first without words.
///
/// # Errors
/// Awaited: [`crate::ErrorKind::Usage`] for a text that cannot be searched for, [`crate::ErrorKind::NotFound`] for the
/// topic.
#[derive(Debug)]
#[must_use = "memories are searched when this is awaited"]
pub struct RecallMemories {
    mesh: Mesh,
    request: api::Recall,
}

impl RecallMemories {
    /// Words to find; understood as in [`super::SearchPosts`].
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.request.text = Some(text.into());
        self
    }

    /// Only memories with this tag. May be called again: then only with all of them.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.request.tags.push(tag.into());
        self
    }

    /// At most so many, 200 at most. Default: 20.
    pub fn limit(mut self, limit: u32) -> Self {
        self.request.limit = Some(limit);
        self
    }
}

asks!(RecallMemories.recall -> Vec<api::Memory>, memories);

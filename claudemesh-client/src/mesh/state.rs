//! Shared state: keys with JSON values, each change with a version.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, Stream, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Mesh, poll};
use crate::api;
use crate::error::{Error, ErrorKind};

/// The version of a key that does not exist.
const ABSENT: &str = "0.0";

/// The state that the members of a mesh, or of a topic, share.
///
/// Changes have an order that is the same for everyone, and each has a version. A change under the condition that a
/// version still holds is made by one of all who try.
///
/// ```
/// # claudemesh_client::testing::Fake::new("team", "alice").run(async |mesh| {
/// # use claudemesh_client::ErrorKind;
/// let state = mesh.state();
/// state.set("replicas", 3).await?;
/// let replicas: u32 = state.get("replicas").await?;
///
/// let before = state.entry("replicas").await?;
/// match state.compare_and_set("replicas", before.version.as_str(), replicas + 1).await {
///     Err(error) if error.kind() == ErrorKind::Conflict => println!("somebody was faster"),
///     changed => println!("version {}", changed?.version),
/// }
///
/// let mut changes = state.watch(None).with_current().await?;
/// while let Some(change) = changes.next().await {
///     let change = change?;
///     println!("{} = {}", change.key, change.value);
///     # assert_eq!(change.value, 4);
///     # break;
/// }
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct SharedState {
    mesh: Mesh,
    topic: Option<String>,
}

impl SharedState {
    pub(super) fn new(mesh: Mesh, topic: Option<String>) -> Self {
        Self { mesh, topic }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a key without a value, [`ErrorKind::Usage`] for a bad key, or a value that is not of
    /// the type asked for.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<T, Error> {
        let entry = self.entry(key).await?;
        serde_json::from_value(entry.value).map_err(|error| {
            Error::new(ErrorKind::Usage, format!("the value of {key:?} is of another type")).with_source(error)
        })
    }

    /// A key with its value, its version and who changed it last.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a key without a value, [`ErrorKind::Usage`] for a bad key.
    pub async fn entry(&self, key: &str) -> Result<api::StateEntry, Error> {
        let request = api::StateKey { key: key.into(), topic: self.topic.clone() };
        self.mesh.calls().state_get(self.mesh.selected(), request).await
    }

    /// Sets a key, whatever it was. Await the result, or set more first.
    pub fn set(&self, key: impl Into<String>, value: impl Serialize) -> SetState {
        SetState::new(self, key.into(), &value, None)
    }

    /// Sets a key if it still has this version; `None` when it must never have been set. Await the result, or set more
    /// first.
    pub fn compare_and_set<'a>(
        &self,
        key: impl Into<String>,
        version: impl Into<Option<&'a str>>,
        value: impl Serialize,
    ) -> SetState {
        SetState::new(self, key.into(), &value, Some(version.into().unwrap_or(ABSENT).to_owned()))
    }

    /// Deletes a key, whatever it was. Await the result, or set more first.
    pub fn delete(&self, key: impl Into<String>) -> DeleteState {
        self.deleted(key.into(), None)
    }

    /// Deletes a key if it still has this version. Await the result, or set more first.
    pub fn compare_and_delete(&self, key: impl Into<String>, version: impl Into<String>) -> DeleteState {
        self.deleted(key.into(), Some(version.into()))
    }

    fn deleted(&self, key: String, expect: Option<String>) -> DeleteState {
        let request = api::StateDelete { key, expect, topic: self.topic.clone(), request_id: None };
        DeleteState { mesh: self.mesh.clone(), request }
    }

    /// Keys that begin with a prefix, or all, with their values.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the topic does not exist or the mesh is gone.
    pub async fn list(&self, prefix: impl Into<Option<&str>>) -> Result<Vec<api::StateEntry>, Error> {
        let request = self.query(prefix.into());
        Ok(self.mesh.calls().state_list(self.mesh.selected(), request).await?.entries)
    }

    /// Changes of keys that begin with a prefix, or of all, as they come. Await the stream, or say first where it
    /// starts.
    pub fn watch<'a>(&self, prefix: impl Into<Option<&'a str>>) -> WatchState {
        WatchState { mesh: self.mesh.clone(), query: self.query(prefix.into()), current: false }
    }

    fn query(&self, prefix: Option<&str>) -> api::StateQuery {
        api::StateQuery { prefix: prefix.map(str::to_owned), topic: self.topic.clone(), ..Default::default() }
    }
}

/// A change that is made when this is awaited; returns the key with its new version.
///
/// # Errors
/// Awaited: [`ErrorKind::Usage`] for a bad key, a value that is no JSON or over 64 KiB; [`ErrorKind::Conflict`] when the
/// version expected is not the key's, [`ErrorKind::Refused`] for an observer; [`ErrorKind::Timeout`] or
/// [`ErrorKind::Unreachable`] when it is not known whether it was made: see [`SetState::request_id`].
#[derive(Debug)]
#[must_use = "a key is set when this is awaited"]
pub struct SetState {
    mesh: Mesh,
    request: Result<api::StateSet, Error>,
}

impl SetState {
    fn new(state: &SharedState, key: String, value: &impl Serialize, expect: Option<String>) -> Self {
        let value = serde_json::to_value(value)
            .map_err(|error| Error::new(ErrorKind::Usage, "the value does not become JSON").with_source(error));
        let topic = state.topic.clone();
        Self {
            mesh: state.mesh.clone(),
            request: value.map(|value| api::StateSet { key, value, expect, topic, ..Default::default() }),
        }
    }

    /// How long until it is gone, in whole seconds. Default: it stays.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        if let Ok(request) = &mut self.request {
            request.ttl = Some(ttl.as_secs());
        }
        self
    }

    /// An id of the caller's own for this change, a UUID. Who did not hear what became of it asks again under the same
    /// id, at any time within seven days: it is answered, and made only if it was not made before.
    ///
    /// ```
    /// # claudemesh_client::testing::Fake::new("team", "alice").run(async |mesh| {
    /// let state = mesh.state();
    /// state.set("builds", 41).await?;
    /// let before = state.entry("builds").await?;
    /// let id = "0198c0de-0000-7000-8000-000000000001";
    /// let counted = loop {
    ///     match state.compare_and_set("builds", before.version.as_str(), 42).request_id(id).await {
    ///         Err(error) if error.is_retryable() => continue,
    ///         counted => break counted?,
    ///     }
    /// };
    /// // Once more is not twice.
    /// let again = state.compare_and_set("builds", before.version.as_str(), 42).request_id(id).await?;
    /// assert_eq!(counted.version, again.version);
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn request_id(mut self, id: impl Into<String>) -> Self {
        if let Ok(request) = &mut self.request {
            request.request_id = Some(id.into());
        }
        self
    }
}

impl IntoFuture for SetState {
    type Output = Result<api::StateEntry, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { mesh, request } = self;
        async move { mesh.calls().state_set(mesh.selected(), request?).await }.boxed()
    }
}

/// A key is deleted when this is awaited.
///
/// # Errors
/// Awaited: [`ErrorKind::NotFound`] for a key without a value, [`ErrorKind::Conflict`] when the version expected is not
/// the key's, [`ErrorKind::Refused`] for an observer; [`ErrorKind::Timeout`] or [`ErrorKind::Unreachable`] when it is not
/// known whether it was made: see [`DeleteState::request_id`].
#[derive(Debug)]
#[must_use = "a key is deleted when this is awaited"]
pub struct DeleteState {
    mesh: Mesh,
    request: api::StateDelete,
}

impl DeleteState {
    /// An id of the caller's own for this change, as in [`SetState::request_id`].
    pub fn request_id(mut self, id: impl Into<String>) -> Self {
        self.request.request_id = Some(id.into());
        self
    }
}

asks!(DeleteState.state_delete -> api::StateEntry);

/// Says where [`Changes`] start, and opens them when awaited.
///
/// # Errors
/// Awaited: as [`SharedState::list`]; [`ErrorKind::Usage`] for a text that is no version.
#[derive(Debug)]
#[must_use = "a stream is opened when this is awaited"]
pub struct WatchState {
    mesh: Mesh,
    query: api::StateQuery,
    current: bool,
}

impl WatchState {
    /// Starts after this version ([`api::StateEntry::version`]) instead of now.
    pub fn after(mut self, version: impl Into<String>) -> Self {
        self.query.after = Some(version.into());
        self
    }

    /// Starts with the keys there are. Without meaning when a version was given.
    pub fn with_current(mut self) -> Self {
        self.current = true;
        self
    }
}

impl IntoFuture for WatchState {
    type Output = Result<Changes, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { mesh, query, current } = self;
        async move {
            let keep = current || query.after.is_some();
            let first = mesh.calls().state_list(mesh.selected(), query.clone()).await?;
            let entries = if keep { first.entries } else { Vec::new() };
            let ask = move |after| {
                let mesh = mesh.clone();
                let query = api::StateQuery { after: Some(after), wait_ms: poll::WAIT_MS, ..query.clone() };
                async move {
                    let answer = mesh.calls().state_list(mesh.selected(), query).await?;
                    Ok((answer.entries, answer.next))
                }
                .boxed()
            };
            Ok(Changes { entries: poll::stream((entries, first.next), ask) })
        }
        .boxed()
    }
}

/// Changes of the state as they come, deleted keys too. Through a daemon it survives the daemon's restart without loss;
/// it ends with an error when the daemon stays away.
pub struct Changes {
    entries: BoxStream<'static, Result<api::StateEntry, Error>>,
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}

impl Changes {
    /// The next change. The same as the stream's, for programs without stream helpers.
    pub async fn next(&mut self) -> Option<Result<api::StateEntry, Error>> {
        StreamExt::next(self).await
    }
}

impl Stream for Changes {
    type Item = Result<api::StateEntry, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.entries.poll_next_unpin(cx)
    }
}

//! Shared state.

use claudemesh_client as sdk;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use serde_json::Value;

use crate::argument::{Json, Span};
use crate::call::{Answer, Call};
use crate::handle::{Handle, with};
use crate::record::to_python;
use crate::stream::Stream;

/// `claudemesh_client::SharedState`.
#[pyclass(frozen, module = "claudemesh._claudemesh")]
pub(crate) struct SharedState(pub(crate) Handle<sdk::SharedState>);

#[pymethods]
impl SharedState {
    fn get(&self, key: String) -> PyResult<Call> {
        self.0.call(|state| async move { state.get::<Value>(&key).await })
    }

    fn entry(&self, key: String) -> PyResult<Call> {
        self.0.call(|state| async move { state.entry(&key).await })
    }

    fn set(&self, key: String, value: Json, ttl: Option<Span>, request_id: Option<String>) -> PyResult<Call> {
        let ttl = ttl.map(|span| span.0);
        self.0.call(|state| with!(state.set(key, value.0); ttl, request_id).into_future())
    }

    fn compare_and_set(
        &self,
        key: String,
        version: Option<String>,
        value: Json,
        ttl: Option<Span>,
        request_id: Option<String>,
    ) -> PyResult<Call> {
        let ttl = ttl.map(|span| span.0);
        self.0
            .call(|state| with!(state.compare_and_set(key, version.as_deref(), value.0); ttl, request_id).into_future())
    }

    fn delete(&self, key: String, request_id: Option<String>) -> PyResult<Call> {
        self.0.call(|state| with!(state.delete(key); request_id).into_future())
    }

    fn compare_and_delete(&self, key: String, version: String, request_id: Option<String>) -> PyResult<Call> {
        self.0.call(|state| with!(state.compare_and_delete(key, version); request_id).into_future())
    }

    fn list(&self, prefix: Option<String>) -> PyResult<Call> {
        self.0.call(|state| async move { state.list(prefix.as_deref()).await })
    }

    /// A stream of entries.
    fn watch(&self, prefix: Option<String>, after: Option<String>, with_current: bool) -> PyResult<Call> {
        let state = self.0.get()?.clone();
        let life = self.0.life().clone();
        Ok(Call::spawned(async move {
            let watch = with!(state.watch(prefix.as_deref()); after);
            let changes = if with_current { watch.with_current() } else { watch }.await?;
            let stream = Stream::open(changes, &life, |py, entry, _| to_python(py, &entry));
            Ok::<Answer, _>(Box::new(|py| stream.into_py_any(py)))
        }))
    }
}

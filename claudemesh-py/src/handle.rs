//! [`Handle`]: a handle of the SDK as one of Python's objects holds it.
//!
//! Handles made of one opened mesh share its [`Life`]: whether a program has closed it. In a forked child a handle is
//! neither used nor dropped.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use claudemesh_client::{Error, ErrorKind, Mesh};
use pyo3::prelude::*;
use serde::Serialize;
use tokio::sync::watch;

use crate::call::{Answer, Call};
use crate::error;
use crate::record::to_python;
use crate::runtime::{is_forked, running, runtime};

/// How long an interpreter that ends waits for open meshes to end well. What is stored is safe without.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The meshes that are open, to be closed when the interpreter ends.
static OPEN: Mutex<Vec<Weak<Life>>> = Mutex::new(Vec::new());

/// What the handles of one opened mesh share.
pub(crate) struct Life {
    mesh: Mutex<Option<Mesh>>,
    closed: watch::Sender<bool>,
}

impl Life {
    fn new(mesh: Mesh) -> Arc<Self> {
        let (closed, _) = watch::channel(false);
        let life = Arc::new(Self { mesh: Mutex::new(Some(mesh)), closed });
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|life| life.strong_count() > 0);
        open.push(Arc::downgrade(&life));
        life
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Ends when the mesh is closed.
    pub(crate) fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut closed = self.closed.subscribe();
        async move {
            let _ = closed.wait_for(|closed| *closed).await;
        }
    }

    /// The mesh, the first time.
    fn close(&self) -> Option<Mesh> {
        self.closed.send_replace(true);
        self.mesh.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if let Some(mesh) = self.mesh.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            discard(mesh);
        }
    }
}

fn discard<T>(value: T) {
    if is_forked() {
        std::mem::forget(value);
        return;
    }
    let _inside = running().map(|runtime| runtime.enter());
    drop(value);
}

/// A handle of the SDK.
pub(crate) struct Handle<T> {
    value: Option<T>,
    life: Arc<Life>,
}

impl Handle<Mesh> {
    /// A mesh that was just opened.
    pub(crate) fn opened(mesh: Mesh) -> Self {
        Self { value: Some(mesh.clone()), life: Life::new(mesh) }
    }

    /// Closes the mesh; the second time nothing is left to do.
    pub(crate) fn close(&self) -> PyResult<Call> {
        runtime()?;
        let life = Arc::clone(&self.life);
        Ok(Call::spawned(async move {
            if let Some(mesh) = life.close() {
                mesh.close().await?;
            }
            Ok::<Answer, _>(Box::new(|py| Ok(py.None())))
        }))
    }
}

impl<T: Clone + Send + 'static> Handle<T> {
    /// Another handle of the same mesh.
    pub(crate) fn derive<U>(&self, value: U) -> Handle<U> {
        Handle { value: Some(value), life: Arc::clone(&self.life) }
    }

    pub(crate) fn life(&self) -> &Arc<Life> {
        &self.life
    }

    /// The handle, as long as it may be used.
    pub(crate) fn get(&self) -> PyResult<&T> {
        runtime()?;
        match &self.value {
            Some(value) if !self.life.is_closed() => Ok(value),
            _ => Err(error::raise(
                Error::new(ErrorKind::Usage, "the mesh was closed").with_hint("open it again to go on"),
            )),
        }
    }

    /// A request whose answer becomes a record, or a list of them.
    pub(crate) fn call<V, F>(&self, ask: impl FnOnce(T) -> F) -> PyResult<Call>
    where
        V: Serialize + Send + 'static,
        F: Future<Output = Result<V, Error>> + Send + 'static,
    {
        self.call_then(ask, |py, value, _| to_python(py, &value))
    }

    /// A request whose answer becomes something else.
    pub(crate) fn call_then<V, F>(
        &self,
        ask: impl FnOnce(T) -> F,
        then: impl FnOnce(Python<'_>, V, Arc<Life>) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> PyResult<Call>
    where
        V: Send + 'static,
        F: Future<Output = Result<V, Error>> + Send + 'static,
    {
        let asked = ask(self.get()?.clone());
        let life = Arc::clone(&self.life);
        Ok(Call::spawned(async move {
            let value = asked.await?;
            Ok::<Answer, _>(Box::new(move |py| then(py, value, life)))
        }))
    }
}

impl<T> Handle<T> {
    /// A handle of a mesh whose life is known.
    pub(crate) fn of(value: T, life: Arc<Life>) -> Self {
        Self { value: Some(value), life }
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            discard(value);
        }
    }
}

/// Closes what is open; for an interpreter that ends.
#[pyfunction]
pub(crate) fn close_all(py: Python<'_>) {
    let Some(runtime) = running() else { return };
    let open = std::mem::take(&mut *OPEN.lock().unwrap_or_else(PoisonError::into_inner));
    let meshes: Vec<Mesh> = open.iter().filter_map(Weak::upgrade).filter_map(|life| life.close()).collect();
    if meshes.is_empty() {
        return;
    }
    py.detach(|| {
        runtime.block_on(async {
            let all = futures_util::future::join_all(meshes.into_iter().map(Mesh::close));
            // Nobody is left to be told what went wrong.
            let _ = tokio::time::timeout(LAST_WORDS, all).await;
        });
    });
}

/// Sets the options of a builder that were given.
macro_rules! with {
    ($builder:expr; $($option:ident),* $(,)?) => {{
        let mut builder = $builder;
        $(if let Some(value) = $option {
            builder = builder.$option(value);
        })*
        builder
    }};
}
pub(crate) use with;

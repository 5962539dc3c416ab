//! [`Stream`]: the streams of the SDK, read ahead on the runtime's threads and handed over many at a time.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use claudemesh_client::Error;
use futures_util::stream::{Stream as Items, StreamExt};
use pyo3::prelude::*;
use pyo3::types::PyList;
use tokio::sync::{Mutex, mpsc};

use crate::call::{Answer, Call};
use crate::error;
use crate::handle::Life;
use crate::runtime::runtime;

/// Items read ahead.
const AHEAD: usize = 256;
/// Items handed over at once.
const AT_ONCE: usize = 64;

type Item = Result<Answer, Error>;

/// A stream that is open. It ends when its mesh is closed, and its reading ahead with the last reference to it.
#[pyclass(frozen, module = "claudemesh._claudemesh")]
pub(crate) struct Stream {
    items: Arc<Mutex<mpsc::Receiver<Item>>>,
    /// Whether there was something at once the last time: then other tasks go first.
    busy: Arc<AtomicBool>,
}

impl Stream {
    /// Reads a stream whose items become objects; inside the runtime.
    pub(crate) fn open<T: Send + 'static>(
        items: impl Items<Item = Result<T, Error>> + Send + 'static,
        life: &Arc<Life>,
        then: impl Fn(Python<'_>, T, Arc<Life>) -> PyResult<Py<PyAny>> + Clone + Send + 'static,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let life = Arc::clone(life);
        tokio::spawn(async move {
            let mut items = pin!(items);
            let mut closed = pin!(life.closed());
            loop {
                let item = tokio::select! {
                    biased;
                    () = &mut closed => return,
                    () = sender.closed() => return,
                    item = items.next() => item,
                };
                let Some(item) = item else { return };
                let (then, life) = (then.clone(), Arc::clone(&life));
                let item = item.map(|item| Box::new(move |py: Python<'_>| then(py, item, life)) as Answer);
                let last = item.is_err();
                if sender.send(item).await.is_err() || last {
                    return;
                }
            }
        });
        Self { items: Arc::new(Mutex::new(receiver)), busy: Arc::default() }
    }
}

#[pymethods]
impl Stream {
    /// The next items, one at least; an exception among them is the last; None when the stream has ended. Who is
    /// cancelled has taken none.
    fn take(&self) -> PyResult<Call> {
        runtime()?;
        let (items, busy) = (Arc::clone(&self.items), Arc::clone(&self.busy));
        let gives_way = busy.load(Ordering::Relaxed);
        let work = async move {
            let mut items = items.lock_owned().await;
            let (mut batch, mut waited) = (Vec::new(), false);
            let taken = poll_fn(|cx| {
                let polled = items.poll_recv_many(cx, &mut batch, AT_ONCE);
                waited |= polled.is_pending();
                polled
            });
            taken.await;
            busy.store(!waited, Ordering::Relaxed);
            Ok::<Answer, Error>(Box::new(|py| objects(py, batch)))
        };
        Ok(Call::polled(work, gives_way))
    }
}

fn objects(py: Python<'_>, batch: Vec<Item>) -> PyResult<Py<PyAny>> {
    if batch.is_empty() {
        return Ok(py.None());
    }
    let object = |item: Item| match item {
        Ok(answer) => answer(py),
        Err(wrong) => Ok(error::raise(wrong).into_value(py).into_any()),
    };
    let objects = batch.into_iter().map(object).collect::<PyResult<Vec<_>>>()?;
    Ok(PyList::new(py, objects)?.into_any().unbind())
}

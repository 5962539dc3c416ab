//! From tokio's threads to an event loop of Python.
//!
//! A wake-up is a note in a queue, and a byte in a socket that the loop watches when the queue was empty: many wake-ups
//! cost the loop one turn, and no thread of tokio ever waits for the interpreter.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::{MutexExt, PyOnceLock};
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};

/// The loops that wait for something, or did.
static BRIDGES: Mutex<Vec<Watched>> = Mutex::new(Vec::new());

struct Watched {
    event_loop: Py<PyWeakrefReference>,
    bridge: Arc<Bridge>,
}

/// The way into one event loop.
pub(crate) struct Bridge {
    /// None once the loop is known to be gone.
    woken: Mutex<Option<Vec<Arc<Slot>>>>,
    signal: UnixStream,
}

/// What one call waits with: wakes the future that stands for it in its loop.
pub(crate) struct Slot {
    bridge: Arc<Bridge>,
    queued: AtomicBool,
    /// Set and taken by threads of Python only.
    future: Mutex<Option<Py<PyAny>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The loop that runs in this thread.
pub(crate) fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static RUNNING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let running = RUNNING.import(py, "asyncio", "get_running_loop")?;
    running.call0().map_err(|_| {
        PyRuntimeError::new_err("no event loop of asyncio runs here; claudemesh.sync has the same calls without one")
    })
}

impl Slot {
    /// A place to wait in this loop.
    pub(crate) fn new(event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<Self>> {
        let bridge = Bridge::of(event_loop)?;
        Ok(Arc::new(Self { bridge, queued: AtomicBool::new(false), future: Mutex::new(None) }))
    }

    /// A future for the loop's task to wait for until the next wake-up.
    pub(crate) fn wait<'py>(&self, event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = event_loop.py();
        let future = event_loop.call_method0(intern!(py, "create_future"))?;
        // What a future's own `__await__` does, so that the task accepts it.
        future.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
        *lock(&self.future) = Some(future.clone().unbind());
        Ok(future)
    }

    /// Nobody waits here any more.
    pub(crate) fn leave(&self) {
        lock(&self.future).take();
    }

    fn resolve(&self, py: Python<'_>) -> PyResult<()> {
        let Some(future) = lock(&self.future).take() else { return Ok(()) };
        let future = future.into_bound(py);
        if !future.call_method0(intern!(py, "done"))?.is_truthy()? {
            future.call_method1(intern!(py, "set_result"), (py.None(),))?;
        }
        Ok(())
    }
}

impl Wake for Slot {
    fn wake(self: Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let bridge = Arc::clone(&self.bridge);
        let mut woken = lock(&bridge.woken);
        let Some(woken) = woken.as_mut() else { return };
        let first = woken.is_empty();
        woken.push(self);
        if first {
            // A full socket holds a signal already; a closed one belongs to a loop that is gone.
            let _ = (&bridge.signal).write(&[1]);
        }
    }
}

impl Bridge {
    fn of(event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<Self>> {
        let py = event_loop.py();
        // Held over calls of Python, in which other threads run: whoever waits for it must let the interpreter go.
        let mut bridges = BRIDGES.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        let same =
            |watched: &&Watched| watched.event_loop.bind(py).upgrade().is_some_and(|watched| watched.is(event_loop));
        if let Some(watched) = bridges.iter().find(same) {
            return Ok(Arc::clone(&watched.bridge));
        }
        let (alive, gone): (Vec<_>, Vec<_>) = bridges.drain(..).partition(|watched| watched.is_alive(py));
        *bridges = alive;
        for watched in gone {
            // Who waits there will never be woken.
            let waiting = lock(&watched.bridge.woken).take();
            drop(waiting);
        }
        let (signal, source) = UnixStream::pair()?;
        signal.set_nonblocking(true)?;
        source.set_nonblocking(true)?;
        let bridge = Arc::new(Self { woken: Mutex::new(Some(Vec::new())), signal });
        let descriptor = source.as_raw_fd();
        let drain = Py::new(py, Drain { bridge: Arc::clone(&bridge), source })?;
        event_loop.call_method1(intern!(py, "add_reader"), (descriptor, drain))?;
        let event_loop = PyWeakrefReference::new(event_loop)?.unbind();
        bridges.push(Watched { event_loop, bridge: Arc::clone(&bridge) });
        Ok(bridge)
    }
}

impl Watched {
    fn is_alive(&self, py: Python<'_>) -> bool {
        let Some(event_loop) = self.event_loop.bind(py).upgrade() else { return false };
        let closed = event_loop.call_method0(intern!(py, "is_closed")).and_then(|closed| closed.is_truthy());
        !closed.unwrap_or(true)
    }
}

/// What a loop calls when there are wake-ups.
#[pyclass(frozen, module = "claudemesh._claudemesh")]
struct Drain {
    bridge: Arc<Bridge>,
    source: UnixStream,
}

#[pymethods]
impl Drain {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        // Read first: who comes after the queue was taken signals again.
        let _ = (&self.source).read(&mut [0; 64]);
        let woken = lock(&self.bridge.woken).as_mut().map(std::mem::take);
        for slot in woken.into_iter().flatten() {
            slot.queued.store(false, Ordering::Release);
            slot.resolve(py)?;
        }
        Ok(())
    }
}

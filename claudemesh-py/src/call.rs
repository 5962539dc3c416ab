//! [`Call`]: a request of the SDK as Python sees it. It is a coroutine for asyncio, and can be waited for without.
//!
//! It begins when it is awaited. What is cancelled, closed or dropped before its end is dropped in Rust, too.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use claudemesh_client::{Error, ErrorKind};
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::prelude::*;
use tokio::task::JoinHandle;

use crate::bridge::{self, Slot};
use crate::error;
use crate::runtime::{is_forked, running, runtime};

/// How long a signal such as that of Ctrl-C may go unnoticed in a thread that waits.
const SIGNALS: Duration = Duration::from_millis(50);

/// An answer that becomes an object where the interpreter is at hand.
pub(crate) type Answer = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;
/// A request under way.
pub(crate) type Work = Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send>>;

/// A request: await it, or `wait()` for it.
#[pyclass(module = "claudemesh._claudemesh")]
pub(crate) struct Call(Mutex<State>);

enum State {
    Ready {
        work: Work,
        /// Lets the loop's other tasks go first.
        gives_way: bool,
    },
    Waiting {
        work: Work,
        slot: Arc<Slot>,
    },
    Over,
}

impl Call {
    /// A request that runs on the runtime's threads.
    pub(crate) fn spawned(work: impl Future<Output = Result<Answer, Error>> + Send + 'static) -> Self {
        // Spawned by its first poll, not now.
        Self::polled(async move { Spawned(tokio::spawn(work)).await }, false)
    }

    /// A request that is no more than a look at what is there already: it is polled in place. Nothing is lost when it
    /// is cancelled.
    pub(crate) fn polled(work: impl Future<Output = Result<Answer, Error>> + Send + 'static, gives_way: bool) -> Self {
        Self(Mutex::new(State::Ready { work: Box::pin(work), gives_way }))
    }

    fn state(&mut self) -> &mut State {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&mut self) -> State {
        std::mem::replace(self.state(), State::Over)
    }

    fn advance(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let runtime = runtime()?;
        let event_loop = bridge::running_loop(py)?;
        let (mut work, slot) = match self.take() {
            State::Ready { work, gives_way: true } => {
                *self.state() = State::Ready { work, gives_way: false };
                // As `asyncio.sleep(0)`.
                return Ok(py.None());
            }
            State::Ready { work, gives_way: false } => (work, Slot::new(&event_loop)?),
            State::Waiting { work, slot } => (work, slot),
            State::Over => return Err(used()),
        };
        let polled = {
            let _inside = runtime.enter();
            work.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&slot))))
        };
        match polled {
            Poll::Ready(Ok(answer)) => Err(PyStopIteration::new_err((answer(py)?,))),
            Poll::Ready(Err(wrong)) => Err(error::raise(wrong)),
            Poll::Pending => {
                let future = slot.wait(&event_loop)?.unbind();
                *self.state() = State::Waiting { work, slot };
                Ok(future)
            }
        }
    }

    fn end(&mut self) {
        let state = self.take();
        if let State::Waiting { slot, .. } = &state {
            slot.leave();
        }
        if is_forked() {
            std::mem::forget(state);
            return;
        }
        let _inside = running().map(|runtime| runtime.enter());
        drop(state);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end();
    }
}

#[pymethods]
impl Call {
    fn __await__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.advance(py)
    }

    #[pyo3(signature = (value, /))]
    fn send(&mut self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let _ = value;
        self.advance(py)
    }

    /// Ends the request with this exception.
    #[pyo3(signature = (exception, value = None, traceback = None, /))]
    fn throw(
        &mut self,
        exception: Bound<'_, PyAny>,
        value: Option<Bound<'_, PyAny>>,
        traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let _ = traceback;
        self.end();
        Err(PyErr::from_value(value.unwrap_or(exception)))
    }

    /// Ends the request.
    fn close(&mut self) {
        self.end();
    }

    /// Waits for the answer in this thread. Other threads run meanwhile, and Ctrl-C ends it.
    fn wait(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let runtime = runtime()?;
        let mut work = match self.take() {
            State::Ready { work, .. } => work,
            State::Waiting { .. } | State::Over => return Err(used()),
        };
        loop {
            let waited = py.detach(|| runtime.block_on(async { tokio::time::timeout(SIGNALS, work.as_mut()).await }));
            match waited {
                Ok(Ok(answer)) => return answer(py),
                Ok(Err(wrong)) => return Err(error::raise(wrong)),
                Err(_) => {
                    if let Err(interrupted) = py.check_signals() {
                        let _inside = runtime.enter();
                        drop(work);
                        return Err(interrupted);
                    }
                }
            }
        }
    }
}

fn used() -> PyErr {
    PyRuntimeError::new_err("this call was awaited already; make a new one")
}

/// A task that ends with its reader.
struct Spawned<T>(JoinHandle<Result<T, Error>>);

impl<T> Future for Spawned<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|joined| match joined {
            Ok(result) => result,
            Err(error) => Err(Error::new(ErrorKind::Internal, "the request was broken off").with_source(error)),
        })
    }
}

impl<T> Drop for Spawned<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

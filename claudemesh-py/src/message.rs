//! What was sent, what was received, and what happened.

use std::sync::Arc;

use claudemesh_client::{self as sdk, Event, Receipt, SendMessage, api};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::argument::{Span, Word};
use crate::call::Call;
use crate::error;
use crate::handle::{Handle, Life, with};
use crate::record::{to_instance, to_python};

/// How a message is sent.
pub(crate) struct Options {
    pub(crate) priority: Option<Word<api::Priority>>,
    pub(crate) id: Option<String>,
    pub(crate) reply_to: Option<String>,
    pub(crate) ttl: Option<Span>,
    pub(crate) session: Option<String>,
}

impl Options {
    pub(crate) fn set(self, message: SendMessage) -> SendMessage {
        let Self { priority, id, reply_to, ttl, session } = self;
        let (priority, ttl) = (priority.map(|word| word.0), ttl.map(|span| span.0));
        with!(message; priority, id, reply_to, ttl, session)
    }
}

/// `claudemesh_client::SentMessage`.
#[pyclass(frozen, module = "claudemesh._claudemesh")]
pub(crate) struct SentMessage(pub(crate) Handle<sdk::SentMessage>);

#[pymethods]
impl SentMessage {
    fn sent(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        to_python(py, self.0.get()?.sent())
    }

    fn status(&self) -> PyResult<Call> {
        self.0.call(|sent| async move { sent.status().await })
    }

    fn wait(&self, receipt: Word<api::State>, timeout: Option<Span>) -> PyResult<Call> {
        let (receipt, timeout) = (awaited(receipt.0)?, timeout.map(|span| span.0));
        self.0.call(|sent| with!(sent.wait(receipt); timeout).into_future())
    }
}

/// The state as one that can be waited for.
fn awaited(state: api::State) -> PyResult<Receipt> {
    let all = [Receipt::Queued, Receipt::Accepted, Receipt::Delivered, Receipt::Injected, Receipt::Read];
    all.into_iter().find(|receipt| api::State::from(*receipt) == state).ok_or_else(|| {
        let text = "only these can be waited for: queued, accepted, delivered, injected, read";
        error::raise(sdk::Error::new(sdk::ErrorKind::Usage, text))
    })
}

/// `claudemesh_client::Received`.
#[pyclass(frozen, module = "claudemesh._claudemesh")]
pub(crate) struct Received(pub(crate) Handle<sdk::Received>);

#[pymethods]
impl Received {
    /// The message as an instance of a class with its fields.
    fn message(&self, class_: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let message: &api::Message = self.0.get()?;
        to_instance(message, class_)
    }

    fn reply(
        &self,
        text: String,
        priority: Option<Word<api::Priority>>,
        id: Option<String>,
        ttl: Option<Span>,
        session: Option<String>,
    ) -> PyResult<Call> {
        let options = Options { priority, id, reply_to: None, ttl, session };
        let ask = |message: sdk::Received| options.set(message.reply(text)).into_future();
        self.0.call_then(ask, |py, sent, life| SentMessage(Handle::of(sent, life)).into_py_any(py))
    }

    fn mark_read(&self) -> PyResult<Call> {
        self.0.call(|message| async move { message.mark_read().await })
    }
}

/// `claudemesh_client::Delivered` without its event.
#[pyclass(frozen, module = "claudemesh._claudemesh")]
pub(crate) struct Delivered(Handle<sdk::Delivered>);

#[pymethods]
impl Delivered {
    fn ack(&self) -> PyResult<Call> {
        self.0.call(|delivered| async move { delivered.ack().await })
    }
}

/// An event as (kind, position, delivered, what it holds).
pub(crate) fn event(py: Python<'_>, mut delivered: sdk::Delivered, life: Arc<Life>) -> PyResult<Py<PyAny>> {
    let event = std::mem::replace(&mut delivered.event, Event::Lagged { missed: 0 });
    let (kind, parts) = match event {
        Event::Message(message) => ("message", (Received(Handle::of(*message, Arc::clone(&life))),).into_py_any(py)),
        Event::Post(post) => ("post", (to_python(py, &post)?,).into_py_any(py)),
        Event::Notification(notification) => ("notification", (to_python(py, &notification)?,).into_py_any(py)),
        Event::Receipt { id, member, state, reason } => {
            ("receipt", (id, to_python(py, &member)?, to_python(py, &state)?, reason).into_py_any(py))
        }
        Event::Presence(peer) => ("presence", (to_python(py, &peer)?,).into_py_any(py)),
        Event::Roster { change, member, index } => ("roster", (change, to_python(py, &member)?, index).into_py_any(py)),
        Event::Lagged { missed } => ("lagged", (missed,).into_py_any(py)),
        _ => ("unknown", ().into_py_any(py)),
    };
    let position = delivered.position();
    (kind, position, Delivered(Handle::of(delivered, life)), parts?).into_py_any(py)
}

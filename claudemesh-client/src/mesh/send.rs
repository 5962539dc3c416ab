//! Sending, and waiting for what became of it.

use std::future::IntoFuture;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Mesh;
use crate::api;
use crate::error::{Error, ErrorKind};

/// How long [`SentMessage::wait`] waits unless told otherwise.
const WAIT: Duration = Duration::from_secs(30);

/// Addresses of a message: one, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct To(Vec<String>);

impl From<&str> for To {
    fn from(address: &str) -> Self {
        Self(vec![address.into()])
    }
}

impl From<&String> for To {
    fn from(address: &String) -> Self {
        Self(vec![address.clone()])
    }
}

impl From<String> for To {
    fn from(address: String) -> Self {
        Self(vec![address])
    }
}

impl<S: Into<String>> From<Vec<S>> for To {
    fn from(addresses: Vec<S>) -> Self {
        Self(addresses.into_iter().map(Into::into).collect())
    }
}

impl<S: Into<String>, const N: usize> From<[S; N]> for To {
    fn from(addresses: [S; N]) -> Self {
        Self(addresses.into_iter().map(Into::into).collect())
    }
}

impl<S: AsRef<str>> From<&[S]> for To {
    fn from(addresses: &[S]) -> Self {
        Self(addresses.iter().map(|address| address.as_ref().into()).collect())
    }
}

/// A message that is sent when this is awaited. The result comes when it is durable on this disk.
///
/// # Errors
/// Awaited: [`ErrorKind::Usage`] for a bad address or text, [`ErrorKind::NotFound`] or [`ErrorKind::Ambiguous`] for a
/// recipient, [`ErrorKind::Conflict`] when the id was used for another message, [`ErrorKind::Refused`] at a limit.
#[derive(Debug)]
#[must_use = "a message is sent when this is awaited"]
pub struct SendMessage {
    mesh: Mesh,
    request: api::SendRequest,
}

impl SendMessage {
    pub(super) fn new(mesh: Mesh, To(to): To, text: String) -> Self {
        let session = mesh.session.clone();
        Self { mesh, request: api::SendRequest { to, text, session, ..Default::default() } }
    }

    /// How urgent it is. Default: [`api::Priority::Next`].
    pub fn priority(mut self, priority: api::Priority) -> Self {
        self.request.priority = priority;
        self
    }

    /// An id of the caller's own, a UUID. Sending the same message under the same id again sends nothing.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.request.id = Some(id.into());
        self
    }

    /// The message this answers.
    pub fn reply_to(mut self, id: impl Into<String>) -> Self {
        self.request.reply_to = Some(id.into());
        self
    }

    /// How long it may wait for its recipient, in whole seconds. Default: seven days.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.request.ttl = Some(ttl.as_secs());
        self
    }

    /// The session that sends. Default: the handle's.
    pub fn session(mut self, session: impl Into<String>) -> Self {
        self.request.session = Some(session.into());
        self
    }
}

impl IntoFuture for SendMessage {
    type Output = Result<SentMessage, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { mesh, request } = self;
        async move {
            let sent = mesh.calls().send(mesh.selected(), request).await?;
            Ok(SentMessage { mesh, sent })
        }
        .boxed()
    }
}

/// What a sender can wait for. Each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Receipt {
    /// Durable on this disk.
    Queued,
    /// Durable on the broker's disk.
    Accepted,
    /// Durable on the recipient's device, signed by it.
    Delivered,
    /// Handed to the recipient's session.
    Injected,
    /// Read.
    Read,
}

impl From<Receipt> for api::State {
    fn from(receipt: Receipt) -> Self {
        match receipt {
            Receipt::Queued => Self::Queued,
            Receipt::Accepted => Self::Accepted,
            Receipt::Delivered => Self::Delivered,
            Receipt::Injected => Self::Injected,
            Receipt::Read => Self::Read,
        }
    }
}

impl Receipt {
    /// Whether a message has got so far; if not, the error that a waiting program gets.
    ///
    /// # Errors
    /// [`ErrorKind::Expired`] or [`ErrorKind::Refused`] when it never will, [`ErrorKind::Timeout`] when it has not yet.
    pub fn check(self, sent: &api::Sent) -> Result<(), Error> {
        let because = sent.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        match sent.state {
            state if state.reached(self.into()) => Ok(()),
            api::State::Expired => {
                Err(Error::new(ErrorKind::Expired, format!("the message {} expired{because}", sent.id)))
            }
            api::State::Refused => {
                Err(Error::new(ErrorKind::Refused, format!("the message {} was refused{because}", sent.id)))
            }
            state => {
                let (state, wanted) = (name(state), name(self.into()));
                let message = format!("the message {} is {state}, not yet {wanted}{because}", sent.id);
                Err(Error::new(ErrorKind::Timeout, message)
                    .with_hint("it stays queued; nothing needs to be sent again"))
            }
        }
    }
}

fn name(state: api::State) -> String {
    format!("{state:?}").to_lowercase()
}

/// A message that was sent.
#[derive(Clone, Debug)]
pub struct SentMessage {
    mesh: Mesh,
    sent: api::Sent,
}

impl SentMessage {
    /// Message id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.sent.id
    }

    /// What was known when it was sent.
    #[must_use]
    pub fn sent(&self) -> &api::Sent {
        &self.sent
    }

    /// Its state now, for each recipient.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] when the daemon is gone.
    pub async fn status(&self) -> Result<api::MessageStatus, Error> {
        self.mesh.message_status(&self.sent.id).await
    }

    /// Waits until all recipients have got so far, for at most 30 seconds unless [`WaitFor::timeout`] says otherwise.
    pub fn wait(&self, receipt: Receipt) -> WaitFor {
        WaitFor { mesh: self.mesh.clone(), id: self.sent.id.clone(), receipt, timeout: WAIT }
    }
}

/// A receipt that is waited for when this is awaited.
///
/// # Errors
/// Awaited: as [`Receipt::check`].
#[derive(Debug)]
#[must_use = "nothing is waited for until this is awaited"]
pub struct WaitFor {
    mesh: Mesh,
    id: String,
    receipt: Receipt,
    timeout: Duration,
}

impl WaitFor {
    /// Waits this long at most.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl IntoFuture for WaitFor {
    type Output = Result<api::Sent, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { mesh, id, receipt, timeout } = self;
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        async move {
            let request = api::WaitRequest { id, state: receipt.into(), timeout_ms };
            let sent = mesh.calls().wait(mesh.selected(), request).await?;
            receipt.check(&sent).map(|()| sent)
        }
        .boxed()
    }
}

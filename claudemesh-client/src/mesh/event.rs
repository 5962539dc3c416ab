//! Events as a program handles them.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{BoxStream, Stream, StreamExt};

use super::{Mesh, Received};
use crate::api;
use crate::error::Error;

/// The feed of a mesh. Through a daemon it survives the daemon's restart without loss; it ends with an error when the
/// daemon stays away.
pub struct Events {
    mesh: Mesh,
    consumer: Option<String>,
    records: BoxStream<'static, Result<api::EventRecord, Error>>,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("mesh", &self.mesh).field("consumer", &self.consumer).finish_non_exhaustive()
    }
}

impl Events {
    pub(super) async fn open(mesh: Mesh, query: api::EventsQuery) -> Result<Self, Error> {
        let consumer = query.consumer.clone();
        let records = mesh.calls().events(mesh.selected(), query).await?;
        Ok(Self { mesh, consumer, records })
    }

    /// The next event; `None` when the feed has ended. The same as the stream's, for programs without stream helpers.
    pub async fn next(&mut self) -> Option<Result<Delivered, Error>> {
        StreamExt::next(self).await
    }
}

impl Stream for Events {
    type Item = Result<Delivered, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let record = futures_util::ready!(self.records.poll_next_unpin(cx));
        Poll::Ready(record.map(|record| record.map(|record| Delivered::new(&self, record))))
    }
}

/// An event with its place in the feed.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The event.
    pub event: Event,
    position: u64,
    mesh: Mesh,
    consumer: Option<String>,
}

impl Delivered {
    fn new(events: &Events, record: api::EventRecord) -> Self {
        let mesh = events.mesh.clone();
        let event = match record.event {
            api::Event::Message { message } => Event::Message(Box::new(Received::new(mesh.clone(), *message))),
            api::Event::Post { post } => Event::Post(post),
            api::Event::Notification { notification } => Event::Notification(notification),
            api::Event::Receipt { id, member, state, reason } => Event::Receipt { id, member, state, reason },
            api::Event::Presence { peer } => Event::Presence(peer),
            api::Event::Roster { change, member, index } => Event::Roster { change, member, index },
            api::Event::Lagged { missed } => Event::Lagged { missed },
        };
        Self { event, position: record.position, mesh, consumer: events.consumer.clone() }
    }

    /// Position in this home's feed of the mesh.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Says that this event and all before it are done, so that the consumer goes on after it the next time. Without a
    /// consumer there is nothing to move.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unreachable`] when the daemon is gone.
    pub async fn ack(&self) -> Result<(), Error> {
        match &self.consumer {
            Some(consumer) => {
                let request = api::AckRequest { consumer: consumer.clone(), position: self.position };
                self.mesh.calls().ack(self.mesh.selected(), request).await
            }
            None => Ok(()),
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A message arrived.
    Message(Box<Received>),
    /// Another member posted to a topic that this home follows.
    Post(Box<api::Post>),
    /// Something asks for attention: a mention, a reply, a task, a place in a topic. A post that mentions comes as
    /// [`Event::Post`] too, before this.
    Notification(Box<api::Notification>),
    /// A sent message changed its state.
    Receipt {
        /// Message id.
        id: String,
        /// Recipient.
        member: api::MemberRef,
        /// New state.
        state: api::State,
        /// Reason, when there is one.
        reason: Option<String>,
    },
    /// A peer's presence changed. Not durable: one that was missed does not come again.
    Presence(Box<api::Peer>),
    /// The roster changed.
    Roster {
        /// What, as in [`api::Event::Roster`].
        change: String,
        /// The member concerned, when there is one.
        member: Option<api::MemberRef>,
        /// Index of the entry.
        index: u64,
    },
    /// Events were lost to this reader.
    Lagged {
        /// How many.
        missed: u64,
    },
}

//! The event feed as a stream: what is stored, then what follows, and presence between.

use std::collections::VecDeque;
use std::sync::Arc;

use claudemesh_core::{DeviceId, MemberId, MessageId};
use futures_util::stream::{self, BoxStream};
use tokio::sync::{broadcast, watch};

use super::hosts::Reading;
use super::{Active, Node, view};
use crate::api;
use crate::error::{Error, ErrorKind};
use crate::rooms;
use crate::store::view::event::Told;
use crate::store::{EventRow, Store};

/// Events read at once.
const PAGE: u32 = 256;

struct Feed {
    store: Store,
    mesh: Arc<Active>,
    session: String,
    position: u64,
    buffer: VecDeque<api::EventRecord>,
    /// Whether everything committed so far was read.
    drained: bool,
    committed: watch::Receiver<u64>,
    presence: broadcast::Receiver<DeviceId>,
    /// Whoever reads what is for no session in particular keeps it from others.
    _reading: Option<Reading>,
}

impl Node {
    pub(super) async fn feed(
        &self,
        mesh: Arc<Active>,
        query: api::EventsQuery,
    ) -> Result<BoxStream<'static, Result<api::EventRecord, Error>>, Error> {
        let position = match (query.after, query.consumer) {
            (Some(after), _) => after,
            (None, Some(name)) => self.store.consumer(mesh.store_row, check_consumer(name)?).await?,
            (None, None) => self.store.last_position(mesh.store_row).await?,
        };
        // A feed of what has ended would wait for ever.
        let shared = self.live(&mesh).await?.shared.clone();
        let session = query.session.unwrap_or_else(|| crate::DEFAULT_SESSION.into());
        let feed = Feed {
            store: self.store.clone(),
            _reading: self.hosts.reading(&session),
            session,
            mesh,
            position,
            buffer: VecDeque::new(),
            drained: false,
            committed: shared.committed.subscribe(),
            presence: shared.presence.subscribe(),
        };
        Ok(Box::pin(stream::unfold(feed, |mut feed| async move {
            let next = feed.next().await;
            next.map(|event| (event, feed))
        })))
    }

    pub(super) async fn commit_position(&self, mesh: &Active, request: api::AckRequest) -> Result<(), Error> {
        self.store.ack(mesh.store_row, check_consumer(request.consumer)?, request.position).await
    }
}

fn check_consumer(name: String) -> Result<String, Error> {
    if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
        return Err(Error::new(ErrorKind::Usage, "a consumer's name has 1 to 128 bytes and no control characters")
            .with_hint("for example --consumer ci"));
    }
    Ok(name)
}

impl Feed {
    /// The next event; none when the mesh has stopped.
    async fn next(&mut self) -> Option<Result<api::EventRecord, Error>> {
        loop {
            if let Some(event) = self.buffer.pop_front() {
                return Some(Ok(event));
            }
            if !self.drained {
                self.committed.mark_unchanged();
                match self.read().await {
                    Ok(more) => self.drained = !more,
                    Err(error) => return Some(Err(error)),
                }
                continue;
            }
            tokio::select! {
                changed = self.committed.changed() => {
                    changed.ok()?;
                    self.drained = false;
                }
                device = self.presence.recv() => match device {
                    Ok(device) => self.buffer.extend(self.peer(device).await),
                    Err(broadcast::error::RecvError::Lagged(missed)) => {
                        let event = api::Event::Lagged { missed };
                        self.buffer.push_back(api::EventRecord { position: self.position, event });
                    }
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        }
    }

    async fn peer(&self, device: DeviceId) -> Option<api::EventRecord> {
        let peer = self.mesh.look(move |session, row| {
            let member = session.roster().device(&device)?.member;
            view::peer(session, row, &member)
        });
        let peer = Box::new(peer.await.ok()??);
        Some(api::EventRecord { position: self.position, event: api::Event::Presence { peer } })
    }

    /// Reads a page; true when there may be another.
    async fn read(&mut self) -> Result<bool, Error> {
        let rows = self.store.events(self.mesh.store_row, self.position, PAGE).await?;
        let Some((last, _)) = rows.last() else { return Ok(false) };
        self.position = *last;
        let more = rows.len() == PAGE as usize;
        let told = rows.iter().filter_map(|(_, event)| match event {
            EventRow::Room(told) => Some(Told::clone(told)),
            _ => None,
        });
        let told: Vec<Told> = told.collect();
        let mut rooms = VecDeque::new();
        if !told.is_empty() {
            let ground = Node::ground(&self.mesh).await?;
            rooms.extend(self.store.run(move |state| rooms::event::show(&state.db, &ground, told)).await?);
        }
        let own = self.session.clone();
        let events: Vec<api::EventRecord> = self
            .mesh
            .look(move |session, row| {
                let record = |(position, event): (u64, EventRow)| {
                    let event = match event {
                        EventRow::Room(_) => rooms.pop_front()?,
                        EventRow::Gone => return None,
                        EventRow::Message(item) if item.session != own => return None,
                        EventRow::Message(item) => {
                            api::Event::Message { message: Box::new(view::message(session, row, *item)) }
                        }
                        EventRow::Receipt { id, member, state } => {
                            let (state, reason) = view::state(state);
                            api::Event::Receipt {
                                id: MessageId::from_bytes(id).to_string(),
                                member: view::member_ref(session, row, &MemberId::from_bytes(member)),
                                state,
                                reason,
                            }
                        }
                        EventRow::Roster { change, member, index } => api::Event::Roster {
                            change,
                            member: member.map(|id| view::member_ref(session, row, &MemberId::from_bytes(id))),
                            index,
                        },
                    };
                    Some(api::EventRecord { position, event })
                };
                rows.into_iter().filter_map(record).collect()
            })
            .await?;
        self.buffer.extend(events);
        Ok(more)
    }
}

//! Requests that their callers named: whoever does not hear what became of one asks again, and nothing is done twice.

use std::collections::BTreeSet;

use claudemesh_core::hash::Label;
use claudemesh_core::log::Record;
use claudemesh_core::log::directory::RecordAt;
use claudemesh_core::{LogId, MessageId};
use rusqlite::Connection;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{GLANCE, PATIENCE, pending};
use crate::error::{Error, ErrorKind};
use crate::node::driver::Once;
use crate::node::{Active, Node, wait_ready};
use crate::rooms::{Ground, Plan};
use crate::store::RequestRow;

const REQUEST: Label = Label::new("client-request");

impl Once {
    /// A request under the name its caller gave it; none for one without a name.
    pub(super) fn named(name: Option<String>, call: &str, request: &impl Serialize) -> Result<Option<Self>, Error> {
        let Some(name) = name else { return Ok(None) };
        let id = name.parse().map_err(|error| {
            Error::new(ErrorKind::Usage, format!("{name:?} is no request id"))
                .with_hint("request ids are UUIDs, like 0198c0de-0000-7000-8000-000000000000")
                .with_source(error)
        })?;
        let request = serde_json::to_vec(request)
            .map_err(|error| Error::new(ErrorKind::Usage, "the request is no JSON").with_source(error))?;
        Ok(Some(Self { id, hash: REQUEST.hash(&[call.as_bytes(), &[0], &request]) }))
    }
}

/// Names of requests being made, so that one name stands for one request also when it is used twice at a time.
#[derive(Debug, Default)]
pub(in crate::node) struct Making(watch::Sender<BTreeSet<MessageId>>);

/// Nobody else makes a request of this name.
struct Alone<'a>(&'a Making, MessageId);

impl Making {
    async fn alone(&self, id: MessageId) -> Alone<'_> {
        let mut names = self.0.subscribe();
        loop {
            let mut free = false;
            self.0.send_if_modified(|names| {
                free = names.insert(id);
                false
            });
            if free {
                return Alone(self, id);
            }
            // The sender is ours: this ends when the name is free.
            let _ = names.wait_for(|names| !names.contains(&id)).await;
        }
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|names| {
            names.remove(&self.1);
        });
    }
}

impl Node {
    /// As [`Node::change`]. A request of a known name is answered with what became of it: it is not made again. `at_once`
    /// says that it is worth nothing unless it is written now.
    pub(super) async fn change_once<A, T>(
        &self,
        mesh: &Active,
        (once, at_once): (Option<Once>, bool),
        about: impl FnOnce(&Connection, &Ground) -> Result<A, Error> + Send + 'static,
        plan: impl Fn(&Connection, &Ground) -> Result<Plan<A>, Error> + Clone + Send + 'static,
        answer: impl FnOnce(&Connection, &Ground, &A, RecordAt) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error>
    where
        A: Send + 'static,
        T: Send + 'static,
    {
        let handle = self.live(mesh).await?;
        let _alone = match &once {
            Some(once) => Some(mesh.making.alone(once.id).await),
            None => None,
        };
        if let Some(once) = once
            && let Some(at) = self.made(mesh, once).await?
        {
            return self.ask(mesh, move |db, ground| answer(db, ground, &about(db, ground)?, at)).await;
        }
        if at_once {
            wait_ready(handle).await?;
        }
        self.change(mesh, once, plan, answer).await
    }

    /// Writes a message to a log, once under a name its caller gave it; its address, none while it waits.
    pub(super) async fn say(
        &self,
        mesh: &Active,
        once: Option<Once>,
        message: (LogId, Record),
    ) -> Result<Option<RecordAt>, Error> {
        let Some(named) = once else { return self.write(mesh, message.0, message.1, GLANCE).await };
        let _alone = mesh.making.alone(named.id).await;
        match self.asked(mesh, named).await? {
            Some(row) => Ok(row.at),
            None => self.write_once(mesh, once, message, GLANCE).await,
        }
    }

    /// What is known of a request.
    async fn asked(&self, mesh: &Active, once: Once) -> Result<Option<RequestRow>, Error> {
        let row = self.store.request(mesh.store_row, once.id).await?;
        if row.is_some_and(|row| row.hash != once.hash) {
            return Err(Error::new(ErrorKind::Conflict, format!("something else was asked for under {}", once.id))
                .with_hint("use a new id for a new request"));
        }
        Ok(row)
    }

    /// Where a request was written that was made before; waits for one that is still on its way.
    async fn made(&self, mesh: &Active, once: Once) -> Result<Option<RecordAt>, Error> {
        let deadline = Instant::now() + PATIENCE;
        let mut committed = mesh.handle()?.shared.committed.subscribe();
        loop {
            committed.mark_unchanged();
            let Some(row) = self.asked(mesh, once).await? else { return Ok(None) };
            if row.at.is_some() {
                return Ok(row.at);
            }
            if !tokio::time::timeout_at(deadline, committed.changed()).await.is_ok_and(|changed| changed.is_ok()) {
                return Err(pending(Some(once)));
            }
        }
    }
}

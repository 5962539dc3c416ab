//! Conversations and shared knowledge of a running mesh: plans are written to their logs, answers come from the views.

mod calls;
mod compact;
mod once;
pub(super) mod template;
mod topics;
pub(super) mod upkeep;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use claudemesh_core::log::Record;
use claudemesh_core::log::directory::RecordAt;
use claudemesh_core::session::{LogGaps, Session};
use claudemesh_core::wire::ErrorCode;
use claudemesh_core::{LogId, MemberId};
use rusqlite::Connection;
use tokio::sync::oneshot;
use tokio::time::Instant;

pub(super) use once::Making;

use super::driver::{Once, Order, now};
use super::{Active, Node, view};
use crate::error::{Error, ErrorKind};
use crate::rooms::{Ground, Person, Place, Plan};
use crate::store::MeshRow;

/// Topics whose places are remembered.
const MAX_PLACES: usize = 256;
/// How long a change waits to be in the log.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a change waits until what it depends on can be read.
const COMPLETION: Duration = Duration::from_secs(5);
/// How long a post waits for it before it counts as queued.
const GLANCE: Duration = Duration::from_secs(2);

/// What was found out a moment ago, as long as nothing was rearranged.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<(u64, Findings)>);

#[derive(Debug, Default)]
struct Findings {
    ground: Option<Ground>,
    /// Where posts go, by the topic's name.
    places: HashMap<String, Place>,
}

impl Known {
    fn get<T>(&self, arrangement: u64, pick: impl FnOnce(&Findings) -> Option<T>) -> Option<T> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 == arrangement { pick(&known.1) } else { None }
    }

    fn put(&self, arrangement: u64, put: impl FnOnce(&mut Findings)) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != arrangement || known.1.places.len() >= MAX_PLACES {
            *known = (arrangement, Findings::default());
        }
        put(&mut known.1);
    }

    fn place(&self, arrangement: u64, topic: &str) -> Option<Place> {
        self.get(arrangement, |known| known.places.get(topic).cloned())
    }
}

fn ground(mesh: i64, session: &Session, row: &MeshRow) -> Ground {
    let names = view::Names::new(session, row);
    let person = |member: &claudemesh_core::roster::Member| Person {
        id: member.id,
        name: names.get(&member.id).unwrap_or_default().to_owned(),
        devices: member.devices.clone(),
        live: member.is_live(),
        is_admin: member.role != claudemesh_core::roster::Role::Member,
    };
    let missing = session.logs().map(|log| (log, session.missing_epochs(&log).collect::<Vec<_>>()));
    let gaps = session.logs().map(|log| {
        let gaps = session.log_gaps(&log);
        // Whoever has just joined has not seen everything yet.
        let is_new = log == LogId::of_mesh(&session.mesh()) && !session.is_introduced();
        (log, LogGaps { sealed: gaps.sealed || is_new, ..gaps })
    });
    let own = session.member();
    Ground {
        mesh,
        id: session.mesh(),
        own,
        is_admin: session.roster().member(&own).is_some_and(|member| person(member).is_admin),
        people: Arc::new(session.roster().members().map(|member| (member.id, person(member))).collect()),
        missing: Arc::new(missing.filter(|(_, epochs)| !epochs.is_empty()).collect()),
        gaps: gaps.filter(|(_, gaps)| *gaps != LogGaps::default()).collect(),
        shut: session.shut_out().collect(),
        now: now().0,
    }
}

impl Node {
    pub(super) async fn ground(mesh: &Active) -> Result<Ground, Error> {
        let arrangement = mesh.handle()?.shared.arrangement();
        if let Some(known) = mesh.known.get(arrangement, |known| known.ground.clone()) {
            return Ok(Ground { now: now().0, ..known });
        }
        let store_row = mesh.store_row;
        let found = mesh.look(move |session, row| ground(store_row, session, row)).await?;
        mesh.known.put(arrangement, |known| known.ground = Some(found.clone()));
        Ok(found)
    }

    /// Asks the views.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        mesh: &Active,
        question: impl FnOnce(&Connection, &Ground) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let ground = Self::ground(mesh).await?;
        self.store.run(move |state| question(&state.db, &ground).map_err(|error| ground.unless_unread(error))).await
    }

    /// Asks again whenever something was committed, until there is an answer or the time is over.
    async fn ask_until<T: Send + 'static>(
        &self,
        mesh: &Active,
        wait_ms: u64,
        question: impl Fn(&Connection, &Ground) -> Result<T, Error> + Clone + Send + 'static,
        enough: impl Fn(&T) -> bool,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + Duration::from_millis(wait_ms.min(24 * 3600 * 1000));
        let mut committed = mesh.handle.as_ref().map(|handle| handle.shared.committed.subscribe());
        loop {
            if let Some(committed) = &mut committed {
                committed.mark_unchanged();
            }
            let answer = self.ask(mesh, question.clone()).await?;
            let more = match &mut committed {
                Some(committed) if wait_ms > 0 && !enough(&answer) && mesh.is_active() => {
                    tokio::time::timeout_at(deadline, committed.changed()).await.is_ok_and(|changed| changed.is_ok())
                }
                _ => false,
            };
            if !more {
                return Ok(answer);
            }
        }
    }

    /// Writes a record to a log; its address once it is there, none when it takes longer than this.
    async fn write(
        &self,
        mesh: &Active,
        log: LogId,
        record: Record,
        patience: Duration,
    ) -> Result<Option<RecordAt>, Error> {
        self.write_once(mesh, None, (log, record), patience).await
    }

    /// As [`Node::write`], for a request that its caller may have named.
    async fn write_once(
        &self,
        mesh: &Active,
        once: Option<Once>,
        (log, record): (LogId, Record),
        patience: Duration,
    ) -> Result<Option<RecordAt>, Error> {
        let handle = self.live(mesh).await?;
        let (reply, queued) = oneshot::channel();
        let (done, written) = oneshot::channel();
        handle.order(Order::Write { log, record, once, reply, done }).await?;
        queued.await.map_err(|_| super::driver::stopped())??;
        match tokio::time::timeout(patience, written).await {
            Ok(Ok(Ok(at))) => Ok(Some(at)),
            Ok(Ok(Err(code))) => Err(refused(code)),
            Ok(Err(_)) | Err(_) => Ok(None),
        }
    }

    /// Writes what was planned and answers from the views.
    async fn change<A, T>(
        &self,
        mesh: &Active,
        once: Option<Once>,
        plan: impl Fn(&Connection, &Ground) -> Result<Plan<A>, Error> + Clone + Send + 'static,
        answer: impl FnOnce(&Connection, &Ground, &A, RecordAt) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error>
    where
        A: Send + 'static,
        T: Send + 'static,
    {
        self.live(mesh).await?;
        mesh.catch_up().await;
        // What depends on everything before it waits until that can be read.
        let question = move |db: &Connection, ground: &Ground| match plan(db, ground) {
            Ok(plan) if plan.ordered => match ground.gaps.get(&plan.log) {
                Some(gaps) if gaps.withheld => Err(ground.undecided(&plan.log)),
                Some(_) => Ok(Err(ground.undecided(&plan.log))),
                None => Ok(Ok(plan)),
            },
            Err(error) if ground.waits() && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Conflict) => {
                Ok(Err(ground.unless_unread(error)))
            }
            plan => plan.map(Ok),
        };
        let wait_ms = COMPLETION.as_millis() as u64;
        let mut planned = self.ask_until(mesh, wait_ms, question.clone(), Result::is_ok).await??;
        // Of those here who want what one alone can have, one asks the mesh at a time: the others may see that it is gone.
        let turn = async { tokio::time::timeout(PATIENCE, mesh.turns.lock()).await.ok() };
        let turn = if planned.ordered && !planned.known { turn.await } else { None };
        if turn.is_some() {
            planned = self.ask_until(mesh, wait_ms, question, Result::is_ok).await??;
        }
        let Plan { log, record, known, about, .. } = planned;
        let at = match known {
            true => RecordAt::default(),
            false => {
                let written = self.write_once(mesh, once, (log, record), PATIENCE).await?;
                written.ok_or_else(|| pending(once))?
            }
        };
        self.ask(mesh, move |db, ground| answer(db, ground, &about, at)).await
    }
}

/// The members a private log is open to now, without those who left it.
async fn audience(mesh: &Active, log: LogId) -> Result<Option<std::collections::BTreeSet<MemberId>>, Error> {
    mesh.look(move |session, _| {
        let mut members = session.log_audience(&log)?;
        for member in session.log_leavers(&log) {
            members.remove(&member);
        }
        Some(members)
    })
    .await
}

/// It is not known yet what becomes of it.
fn pending(once: Option<Once>) -> Error {
    let hint = match once {
        Some(Once { id, .. }) => format!("ask again under the request id {id} to learn what became of it"),
        None => "see `claudemesh status`; do not repeat it".to_owned(),
    };
    Error::new(
        ErrorKind::Timeout,
        "the broker has not taken it yet; it is kept here and goes out when the broker can be reached",
    )
    .with_hint(hint)
}

fn refused(code: ErrorCode) -> Error {
    let (kind, what, hint) = match code {
        ErrorCode::Forbidden => {
            (ErrorKind::Refused, "you are not in it any more", "ask one of its leads to add you again")
        }
        ErrorCode::UnknownLog => (ErrorKind::NotFound, "you do not follow it", "join the topic first"),
        ErrorCode::MailboxFull => {
            (ErrorKind::Refused, "too much waits to be written already", "see `claudemesh status`, and try again later")
        }
        ErrorCode::TooLarge => (ErrorKind::Usage, "it is too large for the broker", "write it in parts"),
        code => {
            return Error::new(ErrorKind::Refused, format!("the broker refused it ({code}): nothing was written"))
                .with_hint("see `claudemesh status`");
        }
    };
    Error::new(kind, format!("{what}: nothing was written")).with_hint(hint)
}

//! Tasks: made, claimed by one, completed.

use claudemesh_core::log::directory::RecordAt;
use claudemesh_core::record::{RoomRecord, Task, TaskClaimed, TaskCompleted, TaskReleased};
use claudemesh_core::{MessageId, Millis};
use rusqlite::Connection;

use super::{Ground, Place, Plan, limit, time};
use crate::api;
use crate::error::{Error, ErrorKind};
use crate::store::view::task::{self, TaskFilter, TaskRow, TaskStatus};
use crate::store::{db_error, view};

/// What the answer to a change needs.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) place: Place,
    pub(crate) id: MessageId,
    pub(crate) step: Step,
}

/// What is done to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Create,
    Claim,
    Release,
    Complete,
}

impl Step {
    /// What requests of this step are called.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Create => "task_create",
            Self::Claim => "task_claim",
            Self::Release => "task_release",
            Self::Complete => "task_complete",
        }
    }
}

pub(crate) fn create(db: &Connection, ground: &Ground, request: &api::TaskCreate) -> Result<Plan<About>, Error> {
    let place = ground.writable(db, request.topic.as_deref())?;
    let id = super::id_or_new(request.id.as_deref(), ground.now)?;
    let mut depends_on = Vec::with_capacity(request.depends_on.len());
    for text in &request.depends_on {
        depends_on.push(find_in(db, ground, &place, text)?.id);
    }
    let assignee = request.assignee.as_deref().map(|text| ground.member(text)).transpose()?;
    let known = task::task(db, place.room, &id).map_err(db_error)?;
    if known.as_ref().is_some_and(|row| row.title != request.title || row.body != request.body) {
        return Err(Error::new(ErrorKind::Conflict, format!("there is another task {id}"))
            .with_hint("use a new id for a new task"));
    }
    let (title, body) = (request.title.clone(), request.body.clone());
    let record = Task { id, title, at: Millis(ground.now), body, depends_on, assignee };
    Ground::plan(place.log, record, About { place, id, step: Step::Create }).map(|plan| plan.known(known.is_some()))
}

/// What a change that was made before is answered from.
pub(crate) fn about(db: &Connection, ground: &Ground, id: &str, step: Step) -> Result<About, Error> {
    let (place, row) = find(db, ground, id)?;
    Ok(About { place, id: row.id, step })
}

/// A change of a task, checked against what is known here; the log decides.
pub(crate) fn change(
    db: &Connection,
    ground: &Ground,
    request: &api::TaskChange,
    step: Step,
) -> Result<Plan<About>, Error> {
    let (place, row) = find(db, ground, &request.id)?;
    ground.writable(db, place.topic.as_deref())?;
    let id = row.id;
    let held = row.claim.as_ref();
    if request.fence.is_some_and(|wanted| held.is_none_or(|claim| claim.fence != wanted)) {
        return Err(refuse(ground, &row, "is not under that claim any more"));
    }
    let record: RoomRecord = match (step, row.status, held) {
        (Step::Claim, TaskStatus::Open, _) if row.assignee.is_some_and(|member| member != ground.own) => {
            let whose = row.assignee.map(|member| ground.member_ref(&member).name).unwrap_or_default();
            return Err(Error::new(
                ErrorKind::Refused,
                format!("the task {:?} is for {whose}: nobody else may claim it", super::beginning(&row.title)),
            )
            .with_hint("see `claudemesh task list --state open` for others"));
        }
        (Step::Claim, TaskStatus::Open, _) => TaskClaimed { id, session: request.session.clone() }.into(),
        (Step::Release, TaskStatus::Claimed, Some(claim)) => TaskReleased { id, fence: claim.fence }.into(),
        (Step::Complete, TaskStatus::Claimed, Some(claim)) if claim.member == ground.own => {
            TaskCompleted { id, fence: claim.fence, result: request.result.clone() }.into()
        }
        (Step::Complete, TaskStatus::Open | TaskStatus::Blocked, _) => {
            return Err(refuse(ground, &row, "is not claimed: claim it first"));
        }
        (Step::Release, TaskStatus::Open | TaskStatus::Blocked, _) => {
            return Err(refuse(ground, &row, "is not claimed"));
        }
        _ => return Err(refuse(ground, &row, "cannot be changed so")),
    };
    Ground::plan(place.log, record, About { place, id, step }).map(|plan| plan.ordered(true))
}

/// Why it cannot be: something else happened before.
fn refuse(ground: &Ground, row: &TaskRow, what: &str) -> Error {
    let others = || "`claudemesh task list --state open` shows what can be claimed".to_owned();
    let (state, hint) = match (row.status, &row.claim) {
        (TaskStatus::Done, _) => ("is done".to_owned(), format!("`claudemesh task show {}` tells by whom", row.id)),
        (TaskStatus::Blocked, _) => {
            let (count, s) = (row.waits_for.len(), if row.waits_for.len() == 1 { "" } else { "s" });
            (
                format!("waits for {count} other task{s}"),
                format!("`claudemesh task show {}` names what it comes after", row.id),
            )
        }
        (TaskStatus::Claimed, Some(claim)) if claim.member == ground.own => {
            let session = claim.session.as_deref().unwrap_or(crate::DEFAULT_SESSION);
            (
                format!("is claimed by you, in session {session} under fence {}", claim.fence),
                format!("it is yours: `claudemesh task complete {} --fence {}` when it is done", row.id, claim.fence),
            )
        }
        (TaskStatus::Claimed, claim) => {
            let by = claim.as_ref().map(|claim| ground.member_ref(&claim.member).name).unwrap_or_default();
            (format!("is claimed by {by}"), others())
        }
        (TaskStatus::Open, _) => (what.to_owned(), format!("see `claudemesh task show {}`", row.id)),
    };
    Error::new(ErrorKind::Conflict, format!("the task {:?} {state}", super::beginning(&row.title))).with_hint(hint)
}

/// The answer once the change is in the log, at `at`.
pub(crate) fn changed(db: &Connection, ground: &Ground, about: &About, at: RecordAt) -> Result<api::Task, Error> {
    let row =
        task::task(db, about.place.room, &about.id).map_err(db_error)?.ok_or_else(|| absent(&about.id.to_string()))?;
    let known = about.step == Step::Create && at == RecordAt::default();
    let took_effect = known || view::took_effect(db, about.place.room, at).map_err(db_error)?;
    // Between a claim and its answer, which may be asked for later, it may have been taken away.
    let holds = about.step != Step::Claim || row.claim.as_ref().is_some_and(|claim| claim.at == at);
    if took_effect && holds {
        return Ok(show(ground, about.place.topic.clone(), row));
    }
    Err(refuse(ground, &row, "was changed by somebody else"))
}

fn absent(text: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no task {text}")).with_hint("see `claudemesh task list`")
}

fn find_in(db: &Connection, ground: &Ground, place: &Place, text: &str) -> Result<TaskRow, Error> {
    let id = named(db, ground, Some(place.room), text)?.1;
    task::task(db, place.room, &id).map_err(db_error)?.ok_or_else(|| absent(text))
}

/// A task of any room, by its id or the beginning of it.
pub(crate) fn find(db: &Connection, ground: &Ground, text: &str) -> Result<(Place, TaskRow), Error> {
    let (room, id) = named(db, ground, None, text)?;
    let row = task::task(db, room, &id).map_err(db_error)?.ok_or_else(|| absent(text))?;
    let own = ground.mesh_room(db)?;
    if room == own.room {
        return Ok((own, row));
    }
    let topics = ground.topics(db)?;
    let topic = topics.into_iter().find(|topic| topic.room == Some(room)).ok_or_else(|| absent(text))?;
    Ok((Place { log: topic.log, room, topic: Some(topic.name) }, row))
}

/// The one task that a text names, in one room or in any.
fn named(db: &Connection, ground: &Ground, room: Option<i64>, text: &str) -> Result<(i64, MessageId), Error> {
    let wanted = text.to_ascii_lowercase();
    if wanted.len() < 8 {
        return Err(Error::new(ErrorKind::Usage, format!("{text:?} is too short to name a task"))
            .with_hint("use its id, or 8 or more of its last or first digits"));
    }
    let exact: Option<MessageId> = wanted.parse().ok();
    let fits = |id: &MessageId| match exact {
        Some(exact) => *id == exact,
        None => {
            let id = id.to_string();
            id.starts_with(&wanted) || id.ends_with(&wanted)
        }
    };
    let mut found = task::ids(db, ground.mesh, room, exact.as_ref()).map_err(db_error)?;
    found.retain(|(_, id)| fits(id));
    match found[..] {
        [one] => Ok(one),
        [] => Err(absent(text)),
        _ => Err(Error::new(ErrorKind::Ambiguous, format!("{text:?} fits several tasks"))
            .with_hint("use more digits of its id")),
    }
}

pub(crate) fn list(db: &Connection, ground: &Ground, query: &api::TaskQuery) -> Result<api::Tasks, Error> {
    let room = query.topic.as_deref().map(|topic| ground.joined(db, topic)).transpose()?.map(|place| place.room);
    let member = query.member.as_deref().map(|text| ground.member(text)).transpose()?;
    let status = query.state.map(|state| match state {
        api::TaskState::Blocked => TaskStatus::Blocked,
        api::TaskState::Open => TaskStatus::Open,
        api::TaskState::Claimed => TaskStatus::Claimed,
        api::TaskState::Done => TaskStatus::Done,
    });
    let filter = TaskFilter { mesh: ground.mesh, room, status, assignee: None, claimant: None, limit: usize::MAX };
    let concerns = |row: &TaskRow| {
        member.is_none_or(|member| {
            row.assignee == Some(member) || row.claim.as_ref().is_some_and(|it| it.member == member)
        })
    };
    let names = ground.topic_names(db)?;
    let rows = match &query.id {
        Some(id) => vec![find(db, ground, id)?.1],
        None => task::tasks(db, &filter).map_err(db_error)?,
    };
    let tasks = rows.into_iter().filter(concerns).take(limit(query.limit, 100, 1000) as usize).map(|row| {
        let topic = names.get(&row.room).cloned();
        show(ground, topic, row)
    });
    Ok(api::Tasks { tasks: tasks.collect() })
}

pub(crate) fn show(ground: &Ground, topic: Option<String>, row: TaskRow) -> api::Task {
    api::Task {
        id: row.id.to_string(),
        title: row.title,
        body: row.body,
        state: match row.status {
            TaskStatus::Open => api::TaskState::Open,
            TaskStatus::Blocked => api::TaskState::Blocked,
            TaskStatus::Claimed => api::TaskState::Claimed,
            TaskStatus::Done => api::TaskState::Done,
        },
        by: ground.member_ref(&row.member),
        at: time(row.written_at),
        depends_on: row.depends_on.iter().map(ToString::to_string).collect(),
        assignee: row.assignee.map(|member| ground.member_ref(&member)),
        claimed_by: row.claim.as_ref().map(|claim| ground.member_ref(&claim.member)),
        fence: row.claim.as_ref().map(|claim| claim.fence),
        session: row.claim.and_then(|claim| claim.session),
        result: row.result,
        topic,
    }
}

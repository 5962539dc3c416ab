//! Shared tasks: made by one, claimed by one, completed under that claim.

use std::future::IntoFuture;
use std::ops::Deref;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Mesh;
use crate::api;
use crate::error::{Error, ErrorKind};

/// The tasks of a mesh, or of a topic.
///
/// ```
/// # let far_end = claudemesh_client::testing::Fake::new("team", "alice");
/// # far_end.add_member("bob");
/// # far_end.run(async |mesh| {
/// use claudemesh_client::ErrorKind;
/// use claudemesh_client::api::TaskState;
///
/// let tasks = mesh.tasks();
/// let build = tasks.create("build the image").await?;
/// tasks.create("deploy it").depends_on(&build.id).assignee("bob").await?;
///
/// for open in tasks.list().state(TaskState::Open).await? {
///     match tasks.claim(&open.id).await {
///         Ok(claimed) => drop(claimed.complete("done").await?),
///         Err(error) if error.kind() == ErrorKind::Conflict => continue, // somebody was faster
///         Err(error) => return Err(error),
///     }
/// }
/// # assert_eq!(tasks.show(&build.id).await?.state, TaskState::Done);
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Tasks {
    mesh: Mesh,
    topic: Option<String>,
}

impl Tasks {
    pub(super) fn new(mesh: Mesh, topic: Option<String>) -> Self {
        Self { mesh, topic }
    }

    /// Makes a task. Await the result, or set more first.
    pub fn create(&self, title: impl Into<String>) -> CreateTask {
        let request = api::TaskCreate { title: title.into(), topic: self.topic.clone(), ..Default::default() };
        CreateTask { mesh: self.mesh.clone(), request }
    }

    /// Tasks, oldest first. Await the result, or narrow it first. The mesh's handle shows those of every topic, too.
    pub fn list(&self) -> ListTasks {
        let request = api::TaskQuery { topic: self.topic.clone(), ..Default::default() };
        ListTasks { mesh: self.mesh.clone(), request }
    }

    /// One task, by its id or a unique prefix of 8 or more digits.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] or [`ErrorKind::Ambiguous`] for the id.
    pub async fn show(&self, id: &str) -> Result<api::Task, Error> {
        let request = api::TaskQuery { id: Some(id.into()), ..Default::default() };
        let tasks = self.mesh.calls().tasks(self.mesh.selected(), request).await?.tasks;
        tasks.into_iter().next().ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no task {id:?}")))
    }

    /// Claims a task for this handle's session: of all who try, one gets it. Await the result, or set more first.
    pub fn claim(&self, id: &str) -> ClaimTask {
        ClaimTask { tasks: self.clone(), request: self.change(id) }
    }

    /// Gives a claimed task back, whichever claim it is; see [`ClaimedTask::release`] for a certain one.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when nobody has it, or another member has it, without the rank for it; otherwise as
    /// [`ClaimTask`].
    pub async fn release(&self, id: &str) -> Result<api::Task, Error> {
        self.mesh.calls().task_release(self.mesh.selected(), self.change(id)).await
    }

    /// Completes a claimed task, whichever claim it is; see [`ClaimedTask::complete`] for a certain one. An empty result
    /// is none.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when this member has not claimed it, [`ErrorKind::Usage`] for a result over 64 KiB;
    /// otherwise as [`ClaimTask`].
    pub async fn complete(&self, id: &str, result: impl Into<String>) -> Result<api::Task, Error> {
        let request = api::TaskChange { result: some(result.into()), ..self.change(id) };
        self.mesh.calls().task_complete(self.mesh.selected(), request).await
    }

    fn change(&self, id: &str) -> api::TaskChange {
        api::TaskChange { id: id.into(), session: self.mesh.session.clone(), ..Default::default() }
    }
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// A task is claimed when this is awaited.
///
/// # Errors
/// Awaited: [`ErrorKind::Conflict`] when it is claimed, by somebody else or by this member, when it is done or waits for
/// other tasks; [`ErrorKind::Refused`] when it is for another member, [`ErrorKind::NotFound`] or
/// [`ErrorKind::Ambiguous`] for the id; [`ErrorKind::Timeout`] or [`ErrorKind::Unreachable`] when it is not known whether
/// it was claimed: see [`ClaimTask::request_id`].
#[derive(Debug)]
#[must_use = "a task is claimed when this is awaited"]
pub struct ClaimTask {
    tasks: Tasks,
    request: api::TaskChange,
}

impl ClaimTask {
    /// An id of the caller's own for this claim, a UUID. Who did not hear what became of it asks again under the same id,
    /// at any time within seven days, and gets the claim if it was made. Without one, a second claim is a conflict like
    /// anybody's; its message tells whose the task is.
    pub fn request_id(mut self, id: impl Into<String>) -> Self {
        self.request.request_id = Some(id.into());
        self
    }
}

impl IntoFuture for ClaimTask {
    type Output = Result<ClaimedTask, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { tasks, request } = self;
        async move {
            let task = tasks.mesh.calls().task_claim(tasks.mesh.selected(), request).await?;
            Ok(ClaimedTask { tasks, task })
        }
        .boxed()
    }
}

/// A task that this member has claimed. What is done with it here is refused once the claim is no longer this one.
#[derive(Clone, Debug)]
pub struct ClaimedTask {
    tasks: Tasks,
    task: api::Task,
}

impl ClaimedTask {
    /// Completes the task. An empty result is none.
    ///
    /// # Errors
    /// As [`Tasks::complete`]; [`ErrorKind::Conflict`] when the claim is over.
    pub async fn complete(&self, result: impl Into<String>) -> Result<api::Task, Error> {
        let request = api::TaskChange { result: some(result.into()), ..self.change() };
        self.tasks.mesh.calls().task_complete(self.tasks.mesh.selected(), request).await
    }

    /// Gives the task back.
    ///
    /// # Errors
    /// As [`Tasks::release`]; [`ErrorKind::Conflict`] when the claim is over.
    pub async fn release(&self) -> Result<api::Task, Error> {
        self.tasks.mesh.calls().task_release(self.tasks.mesh.selected(), self.change()).await
    }

    /// The task without the handle.
    #[must_use]
    pub fn into_inner(self) -> api::Task {
        self.task
    }

    fn change(&self) -> api::TaskChange {
        api::TaskChange { fence: self.task.fence, ..self.tasks.change(&self.task.id) }
    }
}

impl Deref for ClaimedTask {
    type Target = api::Task;

    fn deref(&self) -> &api::Task {
        &self.task
    }
}

/// A task that is made when this is awaited.
///
/// # Errors
/// Awaited: [`ErrorKind::Usage`] for an empty or over-long text, [`ErrorKind::NotFound`] or [`ErrorKind::Ambiguous`] for
/// the topic, the assignee or a task it depends on, [`ErrorKind::Conflict`] when the id was used for another task,
/// [`ErrorKind::Refused`] for an observer.
#[derive(Debug)]
#[must_use = "a task is made when this is awaited"]
pub struct CreateTask {
    mesh: Mesh,
    request: api::TaskCreate,
}

impl CreateTask {
    /// What is to be done, 64 KiB at most.
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.request.body = Some(body.into());
        self
    }

    /// A task that must be done before. May be called again, 32 times at most.
    pub fn depends_on(mut self, id: impl Into<String>) -> Self {
        self.request.depends_on.push(id.into());
        self
    }

    /// The only member that may claim it, by name or key prefix.
    pub fn assignee(mut self, member: impl Into<String>) -> Self {
        self.request.assignee = Some(member.into());
        self
    }

    /// An id of the caller's own, a UUID. Making the same task under the same id again makes nothing.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.request.id = Some(id.into());
        self
    }
}

asks!(CreateTask.task_create -> api::Task);

/// A look at the tasks, taken when this is awaited.
///
/// # Errors
/// Awaited: [`ErrorKind::NotFound`] or [`ErrorKind::Ambiguous`] for the topic or the member.
#[derive(Debug)]
#[must_use = "tasks are listed when this is awaited"]
pub struct ListTasks {
    mesh: Mesh,
    request: api::TaskQuery,
}

impl ListTasks {
    /// Only tasks in this state.
    pub fn state(mut self, state: api::TaskState) -> Self {
        self.request.state = Some(state);
        self
    }

    /// Only tasks that this member may claim or has claimed, by name or key prefix.
    pub fn member(mut self, member: impl Into<String>) -> Self {
        self.request.member = Some(member.into());
        self
    }

    /// At most so many, 1000 at most. Default: 100.
    pub fn limit(mut self, limit: u32) -> Self {
        self.request.limit = Some(limit);
        self
    }
}

asks!(ListTasks.tasks -> Vec<api::Task>, tasks);

//! Shared tasks.

use claudemesh_client::{self as sdk, api};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::argument::Word;
use crate::call::Call;
use crate::handle::{Handle, with};
use crate::record::to_instance;

/// `claudemesh_client::Tasks`.
#[pyclass(frozen, module = "claudemesh._claudemesh")]
pub(crate) struct Tasks(pub(crate) Handle<sdk::Tasks>);

#[pymethods]
impl Tasks {
    fn create(
        &self,
        title: String,
        body: Option<String>,
        depends_on: Vec<String>,
        assignee: Option<String>,
        id: Option<String>,
    ) -> PyResult<Call> {
        self.0.call(|tasks| {
            let task = with!(tasks.create(title); body, assignee, id);
            depends_on.into_iter().fold(task, |task, id| task.depends_on(id)).into_future()
        })
    }

    fn list(&self, state: Option<Word<api::TaskState>>, member: Option<String>, limit: Option<u32>) -> PyResult<Call> {
        let state = state.map(|word| word.0);
        self.0.call(|tasks| with!(tasks.list(); state, member, limit).into_future())
    }

    fn show(&self, id: String) -> PyResult<Call> {
        self.0.call(|tasks| async move { tasks.show(&id).await })
    }

    fn claim(&self, id: String, request_id: Option<String>) -> PyResult<Call> {
        let ask = |tasks: sdk::Tasks| with!(tasks.claim(&id); request_id).into_future();
        self.0.call_then(ask, |py, task, life| ClaimedTask(Handle::of(task, life)).into_py_any(py))
    }

    fn release(&self, id: String) -> PyResult<Call> {
        self.0.call(|tasks| async move { tasks.release(&id).await })
    }

    fn complete(&self, id: String, result: String) -> PyResult<Call> {
        self.0.call(|tasks| async move { tasks.complete(&id, result).await })
    }
}

/// `claudemesh_client::ClaimedTask`.
#[pyclass(frozen, module = "claudemesh._claudemesh")]
pub(crate) struct ClaimedTask(Handle<sdk::ClaimedTask>);

#[pymethods]
impl ClaimedTask {
    /// The task as an instance of a class with its fields.
    fn task(&self, class_: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let task: &api::Task = self.0.get()?;
        to_instance(task, class_)
    }

    fn complete(&self, result: String) -> PyResult<Call> {
        self.0.call(|task| async move { task.complete(result).await })
    }

    fn release(&self) -> PyResult<Call> {
        self.0.call(|task| async move { task.release().await })
    }
}

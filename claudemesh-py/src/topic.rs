//! A topic.

use claudemesh_client::{self as sdk, api};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::argument::{Span, Word};
use crate::call::{Answer, Call};
use crate::handle::{Handle, with};
use crate::memory::SharedMemory;
use crate::record::to_python;
use crate::state::SharedState;
use crate::stream::Stream;
use crate::task::Tasks;

/// `claudemesh_client::Topic`.
#[pyclass(frozen, module = "claudemesh._claudemesh")]
pub(crate) struct Topic(pub(crate) Handle<sdk::Topic>);

#[pymethods]
impl Topic {
    fn name(&self) -> PyResult<String> {
        Ok(self.0.get()?.name().to_owned())
    }

    fn post(
        &self,
        text: String,
        id: Option<String>,
        reply_to: Option<String>,
        session: Option<String>,
    ) -> PyResult<Call> {
        self.0.call(|topic| with!(topic.post(text); id, reply_to, session).into_future())
    }

    fn history(
        &self,
        after: Option<String>,
        before: Option<String>,
        thread: Option<String>,
        limit: Option<u32>,
    ) -> PyResult<Call> {
        self.0.call(|topic| with!(topic.history(); after, before, thread, limit).into_future())
    }

    /// A stream of posts.
    fn tail(&self, after: Option<String>, last: Option<u32>) -> PyResult<Call> {
        let topic = self.0.get()?.clone();
        let life = self.0.life().clone();
        Ok(Call::spawned(async move {
            let tail = with!(topic.tail(); after, last).await?;
            let stream = Stream::open(tail, &life, |py, post, _| to_python(py, &post));
            Ok::<Answer, _>(Box::new(|py| stream.into_py_any(py)))
        }))
    }

    fn search(&self, text: String, limit: Option<u32>) -> PyResult<Call> {
        self.0.call(|topic| with!(topic.search(text); limit).into_future())
    }

    fn join(&self) -> PyResult<Call> {
        self.0.call(|topic| async move { topic.join().await })
    }

    fn leave(&self) -> PyResult<Call> {
        self.0.call(|topic| async move { topic.leave().await })
    }

    fn members(&self) -> PyResult<Call> {
        self.0.call(|topic| async move { topic.members().await })
    }

    fn set_member(&self, member: String, role: Word<api::TopicRole>) -> PyResult<Call> {
        self.0.call(|topic| async move { topic.set_member(&member, role.0).await })
    }

    fn remove_member(&self, member: String) -> PyResult<Call> {
        self.0.call(|topic| async move { topic.remove_member(&member).await })
    }

    fn set_retention(&self, retention: Option<Span>) -> PyResult<Call> {
        self.0.call(|topic| async move { topic.set_retention(retention.map(|span| span.0)).await })
    }

    fn compact(&self) -> PyResult<Call> {
        self.0.call(|topic| async move { topic.compact().await })
    }

    fn resolve(&self, thread: String) -> PyResult<Call> {
        self.0.call(|topic| async move { topic.resolve(&thread).await })
    }

    fn reopen(&self, thread: String) -> PyResult<Call> {
        self.0.call(|topic| async move { topic.reopen(&thread).await })
    }

    fn mark_read(&self, through: Option<String>) -> PyResult<Call> {
        self.0.call(|topic| async move { topic.mark_read(through.as_deref()).await })
    }

    fn state(&self) -> PyResult<SharedState> {
        Ok(SharedState(self.0.derive(self.0.get()?.state())))
    }

    fn memory(&self) -> PyResult<SharedMemory> {
        Ok(SharedMemory(self.0.derive(self.0.get()?.memory())))
    }

    fn tasks(&self) -> PyResult<Tasks> {
        Ok(Tasks(self.0.derive(self.0.get()?.tasks())))
    }
}

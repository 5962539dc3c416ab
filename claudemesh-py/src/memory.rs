//! Shared memory.

use claudemesh_client as sdk;
use pyo3::prelude::*;

use crate::call::Call;
use crate::handle::{Handle, with};

/// `claudemesh_client::SharedMemory`.
#[pyclass(frozen, module = "claudemesh._claudemesh")]
pub(crate) struct SharedMemory(pub(crate) Handle<sdk::SharedMemory>);

#[pymethods]
impl SharedMemory {
    fn remember(&self, text: String, tags: Vec<String>, id: Option<String>) -> PyResult<Call> {
        self.0.call(|memory| {
            let remember = with!(memory.remember(text); id);
            tags.into_iter().fold(remember, |remember, tag| remember.tag(tag)).into_future()
        })
    }

    fn recall(&self, text: Option<String>, tags: Vec<String>, limit: Option<u32>) -> PyResult<Call> {
        self.0.call(|memory| {
            let recall = with!(memory.recall(); text, limit);
            tags.into_iter().fold(recall, |recall, tag| recall.tag(tag)).into_future()
        })
    }

    fn forget(&self, id: String) -> PyResult<Call> {
        self.0.call(|memory| async move { memory.forget(&id).await })
    }
}

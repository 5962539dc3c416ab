//! Notifications.

use claudemesh_client as sdk;
use pyo3::prelude::*;

use crate::call::Call;
use crate::handle::{Handle, with};

/// `claudemesh_client::Notifications`.
#[pyclass(frozen, module = "claudemesh._claudemesh")]
pub(crate) struct Notifications(pub(crate) Handle<sdk::Notifications>);

#[pymethods]
impl Notifications {
    fn list(&self, all: bool, limit: Option<u32>) -> PyResult<Call> {
        self.0.call(|notifications| {
            let list = with!(notifications.list(); limit);
            if all { list.all() } else { list }.into_future()
        })
    }

    fn mark_read(&self, ids: Vec<String>) -> PyResult<Call> {
        self.0.call(|notifications| async move { notifications.mark_read(ids).await })
    }

    fn mark_all_read(&self) -> PyResult<Call> {
        self.0.call(|notifications| async move { notifications.mark_all_read().await })
    }
}

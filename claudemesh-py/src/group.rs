//! Groups of members.

use claudemesh_client as sdk;
use pyo3::prelude::*;

use crate::call::Call;
use crate::handle::{Handle, with};

/// `claudemesh_client::Groups`.
#[pyclass(frozen, module = "claudemesh._claudemesh")]
pub(crate) struct Groups(pub(crate) Handle<sdk::Groups>);

#[pymethods]
impl Groups {
    fn join(&self, group: String, role: Option<String>, member: Option<String>) -> PyResult<Call> {
        self.0.call(|groups| with!(groups.join(group); role, member).into_future())
    }

    fn leave(&self, group: String, member: Option<String>) -> PyResult<Call> {
        self.0.call(|groups| with!(groups.leave(group); member).into_future())
    }

    fn list(&self, group: Option<String>) -> PyResult<Call> {
        self.0.call(|groups| async move { groups.list(group.as_deref()).await })
    }
}

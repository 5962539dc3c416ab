//! Opening a mesh.

use std::collections::BTreeMap;
use std::path::PathBuf;

use claudemesh_client::{Error, ErrorKind, Mesh as Opened, MeshBuilder, api};
use pyo3::prelude::*;

use crate::call::{Answer, Call};
use crate::error;
use crate::handle::with;
use crate::mesh::Mesh;
use crate::record::to_python;
use crate::runtime::runtime;

/// Where a mesh is opened: home, mesh, session, and `embedded` or `attach`.
#[derive(FromPyObject)]
pub(crate) struct Place(Option<PathBuf>, Option<String>, Option<String>, Option<String>);

impl Place {
    fn builder(self) -> PyResult<MeshBuilder> {
        let Self(home, mesh, session, backend) = self;
        let builder = with!(Opened::builder(); home, mesh, session);
        match backend.as_deref() {
            None => Ok(builder),
            Some("embedded") => Ok(builder.embedded()),
            Some("attach") => Ok(builder.attach()),
            Some(other) => {
                let text = format!("{other:?} is no backend");
                Err(error::raise(Error::new(ErrorKind::Usage, text).with_hint("there are: embedded, attach")))
            }
        }
    }
}

fn opened(mesh: Opened) -> Answer {
    Box::new(|py| Ok(Py::new(py, Mesh::opened(mesh))?.into_any()))
}

/// Opens a mesh of a home.
#[pyfunction]
pub(crate) fn open(place: Place) -> PyResult<Call> {
    runtime()?;
    let builder = place.builder()?;
    Ok(Call::spawned(async move { builder.open().await.map(opened) }))
}

/// Joins a mesh by link, and opens it.
#[pyfunction]
pub(crate) fn join(
    place: Place,
    link: String,
    name: Option<String>,
    label: Option<String>,
    insecure_ws: bool,
) -> PyResult<Call> {
    runtime()?;
    let builder = place.builder()?;
    let request = api::JoinRequest { link, name, label, insecure_ws };
    Ok(Call::spawned(async move { builder.join(request).await.map(opened) }))
}

/// Joins a mesh by link as a member that lives in this process only.
#[pyfunction]
pub(crate) fn join_in_memory(
    link: String,
    name: Option<String>,
    session: Option<String>,
    insecure_ws: bool,
) -> PyResult<Call> {
    runtime()?;
    let builder = with!(Opened::builder().in_memory(); name, session);
    let builder = if insecure_ws { builder.insecure_ws() } else { builder };
    Ok(Call::spawned(async move { builder.join(link).await.map(opened) }))
}

/// Creates or resumes a mesh, and opens it: the mesh, and what was answered.
#[pyfunction]
pub(crate) fn up(
    place: Place,
    name: Option<String>,
    broker: Option<String>,
    listen: Option<String>,
    advertise: Option<String>,
    insecure_ws: bool,
) -> PyResult<Call> {
    runtime()?;
    let builder = place.builder()?;
    let request = api::UpRequest { mesh: None, name, broker, listen, advertise, insecure_ws };
    Ok(Call::spawned(async move {
        let (mesh, reply) = builder.up(request).await?;
        Ok::<Answer, _>(Box::new(move |py| {
            let both = (opened(mesh)(py)?, to_python(py, &reply)?);
            Ok(both.into_pyobject(py)?.into_any().unbind())
        }))
    }))
}

/// The templates there are, each with what it is for.
#[pyfunction]
pub(crate) fn templates() -> BTreeMap<&'static str, &'static str> {
    claudemesh_client::templates().collect()
}

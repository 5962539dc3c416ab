//! What needs no mesh: reading links, safety numbers.

use claudemesh_client::{Error, ErrorKind};
use claudemesh_core::invite::Link;
use claudemesh_core::{MemberId, MeshId};
use pyo3::prelude::*;

use crate::error;

fn usage(text: String) -> PyErr {
    error::raise(Error::new(ErrorKind::Usage, text))
}

/// Mesh id, broker key and broker address of an invite link. Its secret stays in the text.
#[pyfunction]
pub(crate) fn read_link(link: &str) -> PyResult<(String, String, String)> {
    let link = Link::parse(link).map_err(|wrong| usage(wrong.to_string()))?;
    let key = link.broker_key().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((link.mesh().to_string(), key, link.address().to_owned()))
}

/// The safety number of two members of a mesh.
#[pyfunction]
pub(crate) fn safety_number(mesh: &str, a: &str, b: &str) -> PyResult<String> {
    let mesh: MeshId = mesh.parse().map_err(|wrong| usage(format!("{mesh:?} is no mesh id: {wrong}")))?;
    let member = |id: &str| id.parse::<MemberId>().map_err(|wrong| usage(format!("{id:?} is no member id: {wrong}")));
    Ok(claudemesh_core::safety::safety_number(&mesh, &member(a)?, &member(b)?).to_string())
}

//! The SDK's data types as objects of Python: a serde serializer that makes them.
//!
//! A structure becomes an instance of the class of its name in `claudemesh.api`, a plain enum a member of the one there,
//! everything else what JSON would become. Knows no type by name.

mod class;
mod serializer;

use pyo3::prelude::*;
use serde::Serialize;

use class::Record;
use serializer::{Failed, Serializer};

/// A value as an object.
pub(crate) fn to_python(py: Python<'_>, value: &impl Serialize) -> PyResult<Py<PyAny>> {
    Ok(value.serialize(Serializer { py, class: None }).map_err(Failed::into_inner)?.unbind())
}

/// A structure as an instance of this class, which has its fields.
pub(crate) fn to_instance(value: &impl Serialize, class: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let serializer = Serializer { py: class.py(), class: Some(class) };
    Ok(value.serialize(serializer).map_err(Failed::into_inner)?.unbind())
}

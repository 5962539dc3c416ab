//! Errors of the SDK as exceptions of Python: one class for each kind.

use std::error::Error as _;

use claudemesh_client::{Error, ErrorKind};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

/// The exception for an error.
pub(crate) fn raise(error: Error) -> PyErr {
    Python::attach(|py| exception(py, &error).unwrap_or_else(|failed| failed))
}

fn exception(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    static CLASSES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let classes = CLASSES.get_or_try_init(py, || {
        let classes = py.import("claudemesh._errors")?.getattr("BY_CODE")?;
        Ok::<_, PyErr>(classes.cast_into::<PyDict>()?.unbind())
    })?;
    let code = error.kind().code();
    let class = classes.bind(py).get_item(code)?;
    let class = class.ok_or_else(|| PyRuntimeError::new_err(format!("no exception stands for {code:?}: {error}")))?;
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(found) = cause {
        causes.push(found.to_string());
        cause = found.source();
    }
    Ok(PyErr::from_value(class.call1((error.message(), error.hint(), causes))?))
}

/// Code, exit code and whether a call may be repeated, of every kind.
#[pyfunction]
pub(crate) fn error_kinds() -> Vec<(&'static str, u8, bool)> {
    ErrorKind::ALL
        .into_iter()
        .map(|kind| (kind.code(), kind.exit_code(), Error::new(kind, "").is_retryable()))
        .collect()
}

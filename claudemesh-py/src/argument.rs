//! Arguments: what Python programs write, as what the SDK takes.

use std::time::Duration;

use claudemesh_client::{Error, ErrorKind};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde::de::{DeserializeOwned, IntoDeserializer, value::Error as NotThat};
use serde_json::{Map, Number, Value};

use crate::error;

/// How deep a value may be nested.
const DEEPEST: usize = 100;

/// Addresses of a message: a text, or several.
pub(crate) struct Addresses(pub(crate) Vec<String>);

impl<'py> FromPyObject<'_, 'py> for Addresses {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(one) = object.extract::<String>() {
            return Ok(Self(vec![one]));
        }
        let several = object.extract::<Vec<String>>();
        several.map(Self).map_err(|_| wrong_type("an address or a list of addresses", &object))
    }
}

/// A span of time: seconds, or a `timedelta`.
pub(crate) struct Span(pub(crate) Duration);

impl<'py> FromPyObject<'_, 'py> for Span {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = object.py();
        let seconds = match object.getattr_opt(pyo3::intern!(py, "total_seconds"))? {
            Some(total) => total.call0()?.extract::<f64>()?,
            None if object.is_instance_of::<PyBool>() => return Err(wrong_type("seconds or a timedelta", &object)),
            None => object.extract::<f64>().map_err(|_| wrong_type("seconds or a timedelta", &object))?,
        };
        Duration::try_from_secs_f64(seconds).map(Self).map_err(|wrong| {
            error::raise(Error::new(ErrorKind::Usage, format!("{seconds} s is no span of time: {wrong}")))
        })
    }
}

/// One word of those that a plain enum has.
pub(crate) struct Word<T>(pub(crate) T);

impl<'py, T: DeserializeOwned> FromPyObject<'_, 'py> for Word<T> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let text: String = object.extract()?;
        T::deserialize(IntoDeserializer::<NotThat>::into_deserializer(text.as_str()))
            .map(Self)
            .map_err(|wrong| error::raise(Error::new(ErrorKind::Usage, wrong.to_string())))
    }
}

/// A value that becomes JSON.
pub(crate) struct Json(pub(crate) Value);

impl<'py> FromPyObject<'_, 'py> for Json {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        json(&object, 0).map(Self)
    }
}

fn json(object: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value> {
    if depth > DEEPEST {
        let text = format!("a value may be nested {DEEPEST} levels deep at most");
        return Err(error::raise(Error::new(ErrorKind::Usage, text)));
    }
    if object.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(value) = object.cast::<PyBool>() {
        return Ok(Value::Bool(value.is_true()));
    }
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Value::String(text.extract()?));
    }
    if object.is_instance_of::<PyInt>() {
        return integer(object);
    }
    if let Ok(value) = object.cast::<PyFloat>() {
        let number = Number::from_f64(value.value());
        return number.map(Value::Number).ok_or_else(|| {
            error::raise(Error::new(ErrorKind::Usage, format!("{} is no number of JSON", value.value())))
        });
    }
    if let Ok(entries) = object.cast::<PyDict>() {
        let mut map = Map::new();
        for (key, value) in entries {
            let key = key.extract::<String>().map_err(|_| wrong_type("a text as key", &key))?;
            map.insert(key, json(&value, depth + 1)?);
        }
        return Ok(Value::Object(map));
    }
    if let Ok(items) = object.cast::<PyList>() {
        return items.iter().map(|item| json(&item, depth + 1)).collect::<PyResult<_>>().map(Value::Array);
    }
    if let Ok(items) = object.cast::<PyTuple>() {
        return items.iter().map(|item| json(&item, depth + 1)).collect::<PyResult<_>>().map(Value::Array);
    }
    Err(wrong_type("what JSON has: None, bool, int, float, str, list, dict", object))
}

fn integer(object: &Bound<'_, PyAny>) -> PyResult<Value> {
    let number = object.extract::<i64>().map(Number::from).or_else(|_| object.extract::<u64>().map(Number::from));
    number.map(Value::Number).map_err(|_| PyOverflowError::new_err("JSON's whole numbers have 64 bits here"))
}

fn wrong_type(wanted: &str, object: &Bound<'_, PyAny>) -> PyErr {
    let given = object.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("expected {wanted}, not {given}"))
}

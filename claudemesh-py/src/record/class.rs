//! The classes that records become, as Python declares them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple, PyType};

/// Where they are.
const MODULE: &str = "claudemesh.api";
static CLASSES: Mutex<Option<HashMap<&'static str, Arc<Class>>>> = Mutex::new(None);
static WORDS: Mutex<Option<Words>> = Mutex::new(None);

/// Members of enums, by the enum's name and the member's number.
type Words = HashMap<(&'static str, u32), Py<PyAny>>;

/// A class whose fields are those of a structure.
struct Class {
    class: Py<PyAny>,
    fields: Vec<Field>,
}

struct Field {
    /// Name of the structure's field.
    name: String,
    /// What the field is when the structure leaves it out: an empty list, or `None`.
    is_list: bool,
}

/// The structure's name for an attribute: two of them are no names in Python.
fn told(attribute: &str) -> &str {
    match attribute {
        "from_" => "from",
        "own" => "self",
        _ => attribute,
    }
}

impl Class {
    fn of(class: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = class.py();
        let declared = class.getattr(intern!(py, "__annotations__"))?;
        let names = class.getattr(intern!(py, "__match_args__"))?.cast_into::<PyTuple>()?;
        let mut fields = Vec::with_capacity(names.len());
        for name in &names {
            let declared: String = declared.get_item(&name)?.extract()?;
            let name: String = name.extract()?;
            fields.push(Field { name: told(&name).to_owned(), is_list: declared.starts_with("list[") });
        }
        Ok(Self { class: class.clone().unbind(), fields })
    }

    fn named(py: Python<'_>, name: &'static str) -> PyResult<Arc<Self>> {
        if let Some(known) = CLASSES.lock().unwrap_or_else(PoisonError::into_inner).iter().find_map(|all| all.get(name))
        {
            return Ok(Arc::clone(known));
        }
        let class = Arc::new(Self::of(&py.import(MODULE)?.getattr(name)?)?);
        let mut classes = CLASSES.lock().unwrap_or_else(PoisonError::into_inner);
        classes.get_or_insert_default().insert(name, Arc::clone(&class));
        Ok(class)
    }
}

/// An instance in the making.
pub(super) struct Record<'py> {
    py: Python<'py>,
    class: Arc<Class>,
    /// The class to make, when it is not the structure's own.
    instead: Option<Bound<'py, PyAny>>,
    values: Vec<Option<Bound<'py, PyAny>>>,
    next: usize,
}

impl<'py> Record<'py> {
    pub(super) fn new(py: Python<'py>, name: &'static str, instead: Option<&Bound<'py, PyAny>>) -> PyResult<Self> {
        let class = Class::named(py, name)?;
        let values = vec![None; class.fields.len()];
        Ok(Self { py, class, instead: instead.cloned(), values, next: 0 })
    }

    /// Takes a field. Structures tell their fields in the order in which the class declares them.
    pub(super) fn set(&mut self, name: &'static str, value: Bound<'py, PyAny>) -> PyResult<()> {
        let fields = &self.class.fields;
        let at = match fields.get(self.next) {
            Some(field) if field.name == name => self.next,
            _ => fields
                .iter()
                .position(|field| field.name == name)
                .ok_or_else(|| PyRuntimeError::new_err(format!("{} has no field for {name:?}", self.class.class)))?,
        };
        self.values[at] = Some(value);
        self.next = at + 1;
        Ok(())
    }

    pub(super) fn finish(self) -> PyResult<Bound<'py, PyAny>> {
        let Self { py, class, instead, values, .. } = self;
        let values = values.into_iter().zip(&class.fields).map(|(value, field)| match value {
            Some(value) => value,
            None if field.is_list => PyList::empty(py).into_any(),
            None => py.None().into_bound(py),
        });
        let values = PyTuple::new(py, values.collect::<Vec<_>>())?;
        instead.as_ref().unwrap_or_else(|| class.class.bind(py)).call1(values)
    }
}

/// A member of an enum.
pub(super) fn word<'py>(
    py: Python<'py>,
    name: &'static str,
    index: u32,
    word: &'static str,
) -> PyResult<Bound<'py, PyAny>> {
    // Not held over calls of Python, in which other threads run.
    let known = |words: &Words| words.get(&(name, index)).map(|word| word.bind(py).clone());
    if let Some(known) = WORDS.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(known) {
        return Ok(known);
    }
    let class = py.import(MODULE)?.getattr(name)?.cast_into::<PyType>()?;
    let member = class.call1((PyString::new(py, word),))?;
    let mut words = WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    words.get_or_insert_default().insert((name, index), member.clone().unbind());
    Ok(member)
}

//! Which fields an answer has: found by letting its type read itself, each field with an empty value.

use serde::de::value::Error;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A value, or an object whose fields have paths of their own.
    Known,
    /// A list of objects; their fields have paths of their own.
    Items,
    /// Anything.
    Open,
}

/// The fields of an answer.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    fields: Vec<(String, Kind)>,
    /// Whether there are fields that only the answer itself knows.
    open: bool,
}

impl Schema {
    /// The fields of a type.
    pub(crate) fn of<T: DeserializeOwned>() -> Self {
        let mut fields = Vec::new();
        let read = T::deserialize(Tracer { fields: &mut fields, path: String::new(), item: false });
        // A type of several shapes says nothing of itself.
        Self { fields, open: read.is_err() }
    }

    /// The whole path of a field, or of a field of the list's items; `None` when there is no such field.
    pub(super) fn resolve(&self, path: &str) -> Option<String> {
        let in_list = || self.list().map(|list| format!("{list}.{path}"));
        [Some(path.to_owned()), in_list()].into_iter().flatten().find(|path| self.has(path))
    }

    /// The fields for a reader, in their order: those of the list's items without its name.
    pub(super) fn names(&self) -> String {
        let list = self.list().map(|list| format!("{list}."));
        let name = |path: &str| match &list {
            Some(list) => path.strip_prefix(list.as_str()).unwrap_or(path).to_owned(),
            None => path.to_owned(),
        };
        let fields = self.fields.iter().filter(|(path, _)| Some(path.as_str()) != self.list());
        fields.map(|(path, _)| name(path)).collect::<Vec<_>>().join(", ")
    }

    /// Whether there is such a field, by its whole path.
    pub(crate) fn has(&self, path: &str) -> bool {
        let fits = |(field, kind): &(String, Kind)| match path.strip_prefix(field.as_str()) {
            Some("") => true,
            Some(rest) => *kind == Kind::Open && rest.starts_with('.'),
            None => false,
        };
        self.open || self.fields.iter().any(fits)
    }

    /// The list that the answer is about: its only one.
    fn list(&self) -> Option<&str> {
        let mut lists = self.fields.iter().filter(|(path, kind)| *kind == Kind::Items && !path.contains('.'));
        let (path, _) = lists.next()?;
        lists.next().is_none().then_some(path)
    }
}

/// Reads a type as if every field were there, and notes its path.
struct Tracer<'a> {
    fields: &'a mut Vec<(String, Kind)>,
    path: String,
    /// Whether this is an item of the list at the path.
    item: bool,
}

impl Tracer<'_> {
    fn mark(&mut self, kind: Kind) {
        if let Some((_, known)) = self.fields.iter_mut().rfind(|(path, _)| *path == self.path) {
            *known = kind;
        }
    }
}

macro_rules! empty {
    ($($method:ident => $visit:ident($value:expr);)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit($value)
        })*
    };
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Error;

    empty! {
        deserialize_bool => visit_bool(false);
        deserialize_i8 => visit_i8(0);
        deserialize_i16 => visit_i16(0);
        deserialize_i32 => visit_i32(0);
        deserialize_i64 => visit_i64(0);
        deserialize_u8 => visit_u8(0);
        deserialize_u16 => visit_u16(0);
        deserialize_u32 => visit_u32(0);
        deserialize_u64 => visit_u64(0);
        deserialize_f32 => visit_f32(0.0);
        deserialize_f64 => visit_f64(0.0);
        deserialize_char => visit_char(' ');
        deserialize_str => visit_str("");
        deserialize_string => visit_str("");
        deserialize_bytes => visit_bytes(&[]);
        deserialize_byte_buf => visit_bytes(&[]);
    }

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        self.mark(Kind::Open);
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Once(Some(self)))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.item {
            self.mark(Kind::Items);
        }
        visitor.visit_map(Members { tracer: self, names: names.iter(), name: None })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(variants.first().copied().unwrap_or_default().into_deserializer())
    }

    serde::forward_to_deserialize_any! {
        i128 u128 unit unit_struct tuple tuple_struct map identifier ignored_any
    }
}

/// The fields of a struct.
struct Members<'a> {
    tracer: Tracer<'a>,
    names: std::slice::Iter<'static, &'static str>,
    name: Option<&'static str>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.name = self.names.next().copied();
        self.name.map(|name| seed.deserialize(name.into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let name = self.name.take().ok_or_else(|| de::Error::custom("a value needs a name"))?;
        let above = &self.tracer.path;
        let path = if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
        self.tracer.fields.push((path.clone(), Kind::Known));
        seed.deserialize(Tracer { fields: &mut *self.tracer.fields, path, item: false })
    }
}

/// A list of one item.
struct Once<'a>(Option<Tracer<'a>>);

impl<'de> SeqAccess<'de> for Once<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let item = self.0.take().map(|tracer| Tracer { item: true, ..tracer });
        item.map(|item| seed.deserialize(item)).transpose()
    }
}

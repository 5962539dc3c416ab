//! Vectors in their files.

use serde_json::Value;

/// The same JSON with the keys of every object in order, whatever map `serde_json` was built with.
fn ordered(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().map(|(key, value)| (key, ordered(value))).collect())
        }
        Value::Array(items) => items.into_iter().map(ordered).collect(),
        other => other,
    }
}

/// Compares the made vectors with the stored file, or writes it, and returns the stored ones.
pub(crate) fn stored(file: &str, made: Value) -> Value {
    let path = format!("{}/tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = serde_json::to_string_pretty(&ordered(made)).unwrap() + "\n";
    if std::env::var_os("CLAUDEMESH_WRITE_VECTORS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap();
    assert!(stored == text, "{file} differs; CLAUDEMESH_WRITE_VECTORS=1 writes it anew");
    serde_json::from_str(&stored).unwrap()
}

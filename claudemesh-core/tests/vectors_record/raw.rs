//! Records that are none, item by item.

use claudemesh_core::codec::Bytes;
use claudemesh_core::log::Record;
use minicbor::Encoder;

enum Item {
    Uint(u64),
    Bytes(Vec<u8>),
    Text(String),
    Bool(bool),
    List(Vec<Item>),
}

use Item::{Bool, List, Uint};

fn text(text: impl Into<String>) -> Item {
    Item::Text(text.into())
}

fn id() -> Item {
    Item::Bytes(vec![1; 16])
}

fn member() -> Item {
    Item::Bytes(vec![2; 32])
}

fn write(e: &mut Encoder<Vec<u8>>, item: &Item) {
    match item {
        Uint(value) => e.u64(*value).unwrap(),
        Item::Bytes(value) => e.bytes(value).unwrap(),
        Item::Text(value) => e.str(value).unwrap(),
        Bool(value) => e.bool(*value).unwrap(),
        List(items) => {
            e.array(items.len() as u64).unwrap();
            items.iter().for_each(|item| write(e, item));
            e
        }
    };
}

/// A record with these values under keys 0, 1, …; `None` leaves a key out.
fn record(kind: u64, items: impl IntoIterator<Item = Option<Item>>) -> Record {
    let items: Vec<_> = (0..).zip(items).filter_map(|(key, item)| Some((key, item?))).collect();
    let mut e = Encoder::new(Vec::new());
    e.map(items.len() as u64).unwrap();
    for (key, item) in items {
        e.u64(key).unwrap();
        write(&mut e, &item);
    }
    Record { kind, data: Bytes(e.into_writer()) }
}

fn all<const N: usize>(kind: u64, items: [Item; N]) -> Record {
    record(kind, items.map(Some))
}

fn long(limit: usize) -> Item {
    text("x".repeat(limit + 1))
}

fn post(rest: [Option<Item>; 3]) -> Record {
    record(16, [Some(id()), Some(text("a")), Some(Uint(0))].into_iter().chain(rest))
}

fn task(rest: [Option<Item>; 3]) -> Record {
    record(64, [Some(id()), Some(text("a")), Some(Uint(0))].into_iter().chain(rest))
}

fn memory(tags: Vec<Item>) -> Record {
    all(48, [id(), text("a"), Uint(0), List(tags)])
}

fn state(key: &str, value: &str) -> Record {
    all(32, [text(key), Item::Bytes(value.into())])
}

pub(crate) fn invalid() -> Vec<(&'static str, Record)> {
    let group = |path: &str, joined| all(5, [text(path), member(), Uint(joined)]);
    let topic = |name: &str| all(4, [id(), text(name)]);
    let mut after = topic("a");
    after.data.0.push(0);
    let deep = "[".repeat(65) + &"]".repeat(65);
    vec![
        ("unknown kind", all(21, [id()])),
        ("nothing at all", Record { kind: 17, data: Bytes::default() }),
        ("byte after the end", after),
        ("topic of a short log id", all(4, [Item::Bytes(vec![1; 15]), text("a")])),
        ("topic without a name", all(4, [id()])),
        ("topic whose name is none", topic("@a")),
        ("topic with a path for a name", topic("a/b")),
        ("second general", topic("general")),
        ("topic with a purpose of 1,025 bytes", all(4, [id(), text("a"), long(1024)])),
        ("group of everyone", group("all", 1)),
        ("below the group of everyone", group("all/a", 1)),
        ("group with an empty part", group("a//b", 1)),
        ("group of nine parts", group(&["a"; 9].join("/"), 1)),
        ("group member neither in nor out", group("a", 2)),
        ("group role of 65 bytes", all(5, [text("a"), member(), Uint(1), long(64)])),
        ("post without a text", all(16, [id(), text(""), Uint(0)])),
        ("post with bytes for a text", all(16, [id(), Item::Bytes(vec![b'a']), Uint(0)])),
        ("post without a time", all(16, [id(), text("a")])),
        ("post of a session of 257 bytes", post([None, Some(long(256)), None])),
        ("post with an empty list of mentions", post([None, None, Some(List(vec![]))])),
        ("post with 65 mentions", post([None, None, Some(List((0..65).map(|_| member()).collect()))])),
        ("post that mentions a device's half", post([None, None, Some(List(vec![id()]))])),
        ("reply to a member", post([Some(member()), None, None])),
        ("thread resolved by number", all(17, [id(), Uint(1)])),
        ("thread without an end", all(17, [id()])),
        ("topic info of general", all(18, [text("general"), Uint(0)])),
        ("topic info of a third visibility", all(18, [text("a"), Uint(2)])),
        ("topic member of a fifth role", all(19, [member(), Uint(4)])),
        ("topic member by truth", all(19, [member(), Bool(true)])),
        ("state of no key", state("", "0")),
        ("state of a key of 257 bytes", state(&"k".repeat(257), "0")),
        ("state of a padded key", state("a\u{a0}", "0")),
        ("state of a key with a control character", state("a\u{85}b", "0")),
        ("state without JSON", state("a", "")),
        ("state of JSON with a comma too many", state("a", "[1,]")),
        ("state of two JSON values", state("a", "1 2")),
        ("state of half a surrogate pair", state("a", r#""\ud800""#)),
        ("state of a number beyond doubles", state("a", "1e309")),
        ("state of a long whole number beyond doubles", state("a", &"9".repeat(400))),
        ("state that is not a number", state("a", "NaN")),
        ("state of a raw control character", state("a", "\"\u{1}\"")),
        ("state behind a byte order mark", state("a", "\u{feff}0")),
        ("state 65 arrays deep", state("a", &deep)),
        ("state 65 objects deep", state("a", &("{\"\":".repeat(65) + "0" + &"}".repeat(65)))),
        ("state with text for a value", all(32, [text("a"), text("0")])),
        ("state expected at half a version", all(32, [text("a"), Item::Bytes(vec![b'0']), List(vec![Uint(1)])])),
        (
            "state expected at more than a version",
            all(32, [text("a"), Item::Bytes(vec![b'0']), List(vec![Uint(1), Uint(0), Uint(0)])]),
        ),
        ("state deleted at a number", all(33, [text("a"), Uint(1)])),
        ("memory without a text", all(48, [id(), text(""), Uint(0)])),
        ("memory with an empty list of tags", memory(vec![])),
        ("memory with 33 tags", memory((0..33).map(|_| text("a")).collect())),
        ("memory with an empty tag", memory(vec![text("")])),
        ("memory with a tag of 65 bytes", memory(vec![long(64)])),
        ("forgotten of nobody", all(49, [id()])),
        ("task without a title", all(64, [id(), text(""), Uint(0)])),
        ("task with a title of 1,025 bytes", all(64, [id(), long(1024), Uint(0)])),
        ("task with an empty list of dependencies", task([None, Some(List(vec![])), None])),
        ("task with 33 dependencies", task([None, Some(List((0..33).map(|_| id()).collect())), None])),
        ("task assigned to a task", task([None, None, Some(id())])),
        ("claim by a session of 257 bytes", all(65, [id(), long(256)])),
        ("release without a fence", all(66, [id()])),
        ("completion with an address for a fence", all(67, [id(), List(vec![Uint(1), Uint(0)])])),
    ]
}

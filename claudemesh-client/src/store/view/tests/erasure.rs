//! What is erased is not in the file any more.

use super::*;

const CANARY: &str = "zanzibarcanary";

fn file_holds(path: &std::path::Path, needle: &str) -> bool {
    ["", "-wal"].iter().any(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let bytes = std::fs::read(name).unwrap_or_default();
        bytes.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
    })
}

fn checkpoint(db: &Connection) {
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

/// A store in a file with many memories, of which every tenth holds a canary of its own.
fn store(path: &std::path::Path) -> Town {
    let db = crate::store::schema::open(Some(path)).unwrap();
    lay_out(&db);
    let mut town = Town { db, next: 1 };
    for batch in 0..20u64 {
        let records = (0..25u64).map(|n| {
            let n = batch * 25 + n;
            let word = ["alpha", "omega", "zanzibar", "mid"][n as usize % 4];
            let canary = if n % 10 == 0 { format!("{CANARY}{n}x") } else { String::new() };
            let tags = vec![format!("{CANARY}tag{n}x"), "shared".into()];
            let name = MessageId::from_bytes([n.to_be_bytes(), n.to_be_bytes()].concat().try_into().unwrap());
            Memory { id: name, text: format!("{word} {canary} {n} and the same words"), at: Millis(n), tags }
        });
        town.write(TOPIC, BOB, records.collect::<Vec<_>>());
    }
    town
}

#[test]
fn a_forgotten_memory_leaves_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let mut town = store(&path);
    checkpoint(&town.db);
    assert!(file_holds(&path, &format!("{CANARY}250x")) && file_holds(&path, &format!("{CANARY}tag250x")));
    for n in (0..500u64).filter(|n| n % 10 == 0 || n % 7 == 0) {
        let name = MessageId::from_bytes([n.to_be_bytes(), n.to_be_bytes()].concat().try_into().unwrap());
        town.write(TOPIC, BOB, [Forgotten { id: name, member: BOB }]);
    }
    town.db.execute("INSERT INTO memory_text (memory_text, rank) VALUES ('integrity-check', 1)", []).unwrap();
    checkpoint(&town.db);
    for n in (0..500u64).filter(|n| n % 10 == 0 || n % 7 == 0) {
        assert!(!file_holds(&path, &format!("{CANARY}{n}x")), "the text of {n}");
        assert!(!file_holds(&path, &format!("{CANARY}tag{n}x")), "the tag of {n}");
    }
    assert!(file_holds(&path, &format!("{CANARY}tag251x")), "what was not forgotten is there");
    // The file holds terms without the beginning they share with the one before, so the index is asked for them too.
    town.db.execute("CREATE VIRTUAL TABLE temp.term USING fts5vocab ('main', 'memory_text', 'row')", []).unwrap();
    let terms = |like: &str| {
        let count = "SELECT COUNT(*) FROM temp.term WHERE term LIKE ?1";
        town.db.query_row(count, [like], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!((terms("%canary250x"), terms("%tag250x"), terms("%tag251x")), (0, 0, 1));
}

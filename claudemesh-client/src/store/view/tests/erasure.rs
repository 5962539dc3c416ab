//! What is erased is not in the file any more.

use super::super::unread::mark_read;
use super::*;

const CANARY: &str = "zanzibarcanary";

/// The database and its write-ahead log, in lower case as far as they are text.
fn file(path: &std::path::Path) -> String {
    let read = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        std::fs::read(name).unwrap_or_default()
    };
    String::from_utf8_lossy(&[read(""), read("-wal")].concat()).to_ascii_lowercase()
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
    let before = file(&path);
    assert!(before.contains(&format!("{CANARY}250x")) && before.contains(&format!("{CANARY}tag250x")));
    for n in (0..500u64).filter(|n| n % 10 == 0 || n % 7 == 0) {
        let name = MessageId::from_bytes([n.to_be_bytes(), n.to_be_bytes()].concat().try_into().unwrap());
        town.write(TOPIC, BOB, [Forgotten { id: name, member: BOB }]);
    }
    town.db.execute("INSERT INTO memory_text (memory_text, rank) VALUES ('integrity-check', 1)", []).unwrap();
    checkpoint(&town.db);
    let after = file(&path);
    for n in (0..500u64).filter(|n| n % 10 == 0 || n % 7 == 0) {
        assert!(!after.contains(&format!("{CANARY}{n}x")), "the text of {n}");
        assert!(!after.contains(&format!("{CANARY}tag{n}x")), "the tag of {n}");
    }
    assert!(after.contains(&format!("{CANARY}tag251x")), "what was not forgotten is there");
    // The file holds terms without the beginning they share with the one before, so the index is asked for them too.
    town.db.execute("CREATE VIRTUAL TABLE temp.term USING fts5vocab ('main', 'memory_text', 'row')", []).unwrap();
    let terms = |like: &str| {
        let count = "SELECT COUNT(*) FROM temp.term WHERE term LIKE ?1";
        town.db.query_row(count, [like], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!((terms("%canary250x"), terms("%tag250x"), terms("%tag251x")), (0, 0, 1));
}

#[test]
fn an_erased_room_leaves_the_file() {
    for others in [0u8, 40] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let mut town = store(&path);
        for n in 0..others {
            town.write(GENERAL_ROOM, BOB, [text(n, "another room's")]);
        }
        town.write(TOPIC, BOB, [RoomRecord::from(text(1, CANARY)), set(CANARY, "1", None).into()]);
        checkpoint(&town.db);
        assert!(file(&path).contains("zanzibar"));
        let tx = town.db.transaction().unwrap();
        erase::rooms(&tx, &[TOPIC]).unwrap();
        tx.commit().unwrap();
        checkpoint(&town.db);
        assert!(!file(&path).contains("zanzibar"), "beside {others} others");
    }
}

#[test]
fn a_room_is_erased_whole() {
    [0, 20].into_iter().for_each(erase_one_of_two);
}

fn erase_one_of_two(others: u8) {
    let mut town = Town::with_topic(Visibility::Public);
    let records: Vec<RoomRecord> = vec![
        text(1, "a").into(),
        memory(2, "b", &["c"]).into(),
        task(3, &[], Some(ANN)).into(),
        set("a", "1", None).into(),
    ];
    town.write(TOPIC, BOB, records.clone());
    town.write(GENERAL_ROOM, BOB, records);
    mark_read(&town.db, TOPIC, "main", (1, 0)).unwrap();
    // With enough beside them, texts are taken from the index one by one.
    for n in 0..others {
        town.write(GENERAL_ROOM, BOB, [text(100 + n, "a"), text(200 + n, "b")]);
        town.write(GENERAL_ROOM, BOB, [memory(100 + n, "a", &["b"])]);
    }
    erase::rooms(&town.db, &[TOPIC]).unwrap();
    let left = |table: &str, column: &str| -> Vec<i64> {
        let mut sql = town.db.prepare(&format!("SELECT DISTINCT {column} FROM {table} ORDER BY 1")).unwrap();
        sql.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    for table in ["post", "memory", "notification", "room_record"] {
        assert_eq!(left(table, "key >> 45"), [GENERAL_ROOM], "{table}");
    }
    for table in ["state", "task"] {
        assert_eq!(left(table, "room"), [GENERAL_ROOM], "{table}");
    }
    assert_eq!(left("topic_read", "room"), [0; 0]);
    assert_eq!(left("post_count", "chunk >> 34"), [GENERAL_ROOM]);
    for table in ["post_text", "memory_text"] {
        town.db.execute(&format!("INSERT INTO {table} ({table}, rank) VALUES ('integrity-check', 1)"), []).unwrap();
    }
}

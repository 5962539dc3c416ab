//! Log entries, as a broker or a reader receives them, and the records a reader finds in them.
#![no_main]

use claudemesh_core::codec::{self, List};
use claudemesh_core::log::{LogEntry, MAX_RECORDS, Record};
use claudemesh_core::record::RoomRecord;
use libfuzzer_sys::fuzz_target;

fn read(record: &Record) {
    if let Ok(read) = RoomRecord::decode(record) {
        // What was understood can be written again, and means the same.
        let again = read.encode().and_then(|record| RoomRecord::decode(&record));
        assert_eq!(again.as_ref(), Ok(&read));
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(entry) = LogEntry::parse(bytes) {
        // Exactly the bytes received are kept: they are what is signed and hashed.
        assert_eq!(entry.bytes(), bytes);
    }
    if let Ok(records) = codec::decode::<List<Record, MAX_RECORDS>>(bytes) {
        records.iter().for_each(read);
    }
    if let Some((kind, data)) = bytes.split_first() {
        read(&Record { kind: (*kind).into(), data: data.into() });
    }
});

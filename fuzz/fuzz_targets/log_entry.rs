//! Log entries, as a broker or a reader receives them.
#![no_main]

use claudemesh_core::log::LogEntry;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(entry) = LogEntry::parse(bytes) {
        // Exactly the bytes received are kept: they are what is signed and hashed.
        assert_eq!(entry.bytes(), bytes);
    }
});

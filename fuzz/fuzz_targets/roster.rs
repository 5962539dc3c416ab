//! Roster entries, as anyone who verifies a roster receives them.
#![no_main]

use claudemesh_core::roster::Entry;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(entry) = Entry::parse(bytes) {
        // Exactly the bytes received are kept: they are what is signed and hashed.
        assert_eq!(entry.bytes(), bytes);
    }
});

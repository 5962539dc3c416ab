//! Frames, as either side of a connection receives them.
#![no_main]

use claudemesh_core::wire::Frame;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(frame) = Frame::decode(bytes) {
        // What was understood can be said again, and means the same.
        let encoded = frame.clone().encode();
        assert_eq!(Frame::decode(&encoded), Ok(frame));
    }
});

//! The body of a request to the daemon's local API.
#![no_main]

use claudemesh_client::api::SendRequest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = serde_json::from_slice::<SendRequest>(bytes);
});

//! Envelopes and receipts: what a broker receives from a sender or a recipient, and they from a broker.
#![no_main]

use claudemesh_core::envelope::{Delivery, Submission};
use claudemesh_core::receipt::{Receipt, ReceiptPart};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(submission) = Submission::decode(bytes) {
        let _ = submission.parse();
    }
    if let Ok(delivery) = Delivery::decode(bytes) {
        let _ = delivery.unverified_hash();
    }
    let _ = Receipt::decode(bytes);
    let _ = ReceiptPart::decode(bytes);
});

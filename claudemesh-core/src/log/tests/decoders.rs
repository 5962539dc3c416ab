//! Decoders never panic, and take no second encoding of anything.

use proptest::prelude::*;

use super::*;
use crate::codec::encode;

/// One entry of each kind.
fn samples() -> Vec<LogEntry> {
    let roster = Roster::new(2);
    let mut client = Client::new(1, LogId::from_bytes([5; 16]));
    let secret = Secret32::new([9; 32]);
    let audience = [id(1), id(2)];
    let commit = client.commit_for(&roster, &[1, 2], HistoryPolicy::Joining, Some(&audience)).entry;
    let mut entries = Vec::from([commit]);
    client.write(&roster, |writer, rng| {
        entries.extend([
            build_records(writer, 1, &secret, &[text("one"), text("two")], rng).unwrap(),
            build_history_link(writer, 2, 2, &secret, &secret, rng).unwrap(),
            build_rewrap(writer, 1, 1, &secret, &[to(2)], rng).unwrap(),
            build_bad_commit(writer, 1, 1, BadCommitReason::Commitment).unwrap(),
            build_compaction(writer, 1, &[2, 9, 300]).unwrap(),
        ]);
    });
    entries
}

#[test]
fn entries_round_trip_and_verify() {
    for entry in samples() {
        let parsed = LogEntry::parse(entry.bytes()).unwrap();
        assert_eq!(parsed, entry);
        assert_eq!(encode(parsed.body()), parsed.body_bytes());
        parsed.verify(&key(1).public()).unwrap();
        assert!(parsed.verify(&key(2).public()).is_err());
        let mut longer = entry.bytes().to_vec();
        longer.push(0);
        assert_eq!(LogEntry::parse(longer), Err(LogError::Malformed));
    }
    assert_eq!(LogEntry::parse(std::vec![0; MAX_ENTRY_BYTES + 1]), Err(LogError::TooLarge));
}

#[test]
fn unknown_kinds_and_empty_lists_are_malformed_and_unknown_keys_are_not() {
    let entry = &samples()[4];
    let mut body = entry.body_bytes().to_vec();
    // Key 3 of the map of nine, after two ids and the author.
    let kind = 1 + 1 + 34 + 1 + 17 + 1 + 34 + 1;
    assert_eq!(body[kind], 4);
    let resign = |body: &[u8]| {
        let signature = key(1).sign(crate::hash::Label::new("log-entry"), body);
        LogEntry::parse(encode(&crate::codec::Signed { body: body.into(), signature }))
    };
    body[kind] = 6;
    assert_eq!(resign(&body), Err(LogError::Malformed));
    body[kind] = 4;
    body[0] += 1;
    body.extend([0x18, 40, 0x61, b'x']);
    let extended = resign(&body).unwrap();
    assert_eq!(extended.body(), entry.body());
    extended.verify(&key(1).public()).unwrap();
    let mut compaction = samples()[5].body().clone();
    compaction.payload = std::vec![0xa1, 0, 0x80].into();
    assert_eq!(LogEntry::sign(&key(1), &compaction), Err(LogError::Malformed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_entries_never_panic_and_never_verify(which in 0usize..6, at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let entry = samples().swap_remove(which);
        let mut bytes = entry.bytes().to_vec();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != to);
        bytes[at] = to;
        if let Ok(parsed) = LogEntry::parse(bytes) {
            prop_assert!(parsed.verify(&key(1).public()).is_err());
        }
        prop_assert!(LogEntry::parse(&entry.bytes()[..at]).is_err());
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = LogEntry::parse(&bytes[..]);
        let _ = LogReader::restore(&bytes);
        let _ = LogTip::restore(&bytes);
        for kind in 0..5 {
            let record = Record { kind, data: bytes.clone().into() };
            let _ = directory::DirectoryRecord::decode(&record);
        }
    }

    #[test]
    fn damaged_payloads_never_panic(which in 0usize..6, at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let entry = samples().swap_remove(which);
        let mut body = entry.body().clone();
        let at = at.index(body.payload.len());
        body.payload.0[at] = to;
        let _ = LogEntry::sign(&key(1), &body);
    }
}

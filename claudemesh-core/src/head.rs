//! The position in the roster that every signed form names.

use minicbor::Encode;

use crate::codec::{HashBytes, cbor_exact_array};

/// A roster head: the index and hash of the last roster entry its holder knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode)]
pub struct RosterHead {
    /// Index of the entry; genesis is 0.
    #[n(0)]
    pub index: u64,
    /// Hash of the entry.
    #[n(1)]
    pub hash: HashBytes,
}
cbor_exact_array!(RosterHead { index, hash });

/// How a roster head someone names lies to one's own roster chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// The head is on the own chain.
    Known,
    /// The head lies beyond the own chain: fetch the roster, then ask again.
    Ahead,
    /// The own chain has another entry at that index: two histories exist.
    Fork,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{decode, encode};

    #[test]
    fn a_head_has_two_parts() {
        let head = RosterHead { index: 3, hash: HashBytes([7; 32]) };
        let mut bytes = encode(&head);
        assert_eq!(decode(&bytes), Ok(head));
        bytes[0] += 1;
        bytes.push(0);
        assert!(decode::<RosterHead>(&bytes).is_err());
        assert!(decode::<RosterHead>(&[0x81, 3]).is_err());
    }
}

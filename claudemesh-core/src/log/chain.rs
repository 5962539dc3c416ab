//! The hash chain over a log's entries, as one reader (or the broker) holds it.

use alloc::collections::VecDeque;

use minicbor::{
    Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};

use super::{CHAIN_WINDOW, EntryKind};
use crate::codec::{HashBytes, strict};
use crate::hash::{Hash, Label, sha256};
use crate::id::LogId;

/// A place on a log's chain: how many entries, and the chain's hash after them. Offset 0 is the empty log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Offset of the last entry, 0 before the first.
    pub offset: u64,
    /// Chain hash after that entry.
    pub hash: HashBytes,
}

impl<C> Encode<C> for Position {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.array(2)?.u64(self.offset)?;
        self.hash.encode(e, ctx)
    }
}

impl<'b, C> Decode<'b, C> for Position {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, DecodeError> {
        strict::array(d, 2)?;
        Ok(Self { offset: d.u64()?, hash: HashBytes::decode(d, ctx)? })
    }
}

/// What a store knows of entries older than a [`Chain`] remembers.
///
/// `()` knows nothing; it serves readers of short logs and tests.
pub trait Past {
    /// The chain hash after the entry at `offset`.
    fn hash_at(&self, offset: u64) -> Option<Hash>;
    /// The kind of the entry at `offset`; `None` when it is not kept (any more).
    fn kind_at(&self, offset: u64) -> Option<EntryKind>;
}

impl Past for () {
    fn hash_at(&self, _: u64) -> Option<Hash> {
        None
    }
    fn kind_at(&self, _: u64) -> Option<EntryKind> {
        None
    }
}

/// The chain of one log up to its tail. Remembers its last [`CHAIN_WINDOW`] positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    log: LogId,
    tail: Position,
    /// Hashes up to and with the tail, oldest first.
    recent: VecDeque<Hash>,
}

impl Chain {
    /// The chain of the empty log.
    #[must_use]
    pub fn new(log: LogId) -> Self {
        Self::at(log, Position { offset: 0, hash: HashBytes(start(&log)) })
    }

    /// The chain taken up at a position that was verified earlier.
    #[must_use]
    pub fn at(log: LogId, tail: Position) -> Self {
        Self { log, tail, recent: VecDeque::from([tail.hash.0]) }
    }

    /// The log.
    #[must_use]
    pub const fn log(&self) -> LogId {
        self.log
    }

    /// The position of the last entry.
    #[must_use]
    pub const fn tail(&self) -> Position {
        self.tail
    }

    /// The position the chain would have after an entry with this hash.
    #[must_use]
    pub fn next(&self, entry_hash: &Hash) -> Position {
        let mut joined = [0; 64];
        joined[..32].copy_from_slice(&self.tail.hash.0);
        joined[32..].copy_from_slice(entry_hash);
        Position { offset: self.tail.offset + 1, hash: HashBytes(sha256(&joined)) }
    }

    /// Extends the chain by an entry with this hash.
    pub fn extend(&mut self, entry_hash: &Hash) -> Position {
        self.tail = self.next(entry_hash);
        if self.recent.len() == CHAIN_WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(self.tail.hash.0);
        self.tail
    }

    /// The hash after the entry at `offset`: `None` beyond the tail and for positions that are no longer remembered.
    #[must_use]
    pub fn hash_at(&self, offset: u64) -> Option<Hash> {
        if offset == 0 {
            return Some(start(&self.log));
        }
        let back = usize::try_from(self.tail.offset.checked_sub(offset)?).ok()?;
        let at = self.recent.len().checked_sub(back + 1)?;
        self.recent.get(at).copied()
    }
}

fn start(log: &LogId) -> Hash {
    Label::new("log-chain").hash(&[log.as_bytes()])
}

impl<C> Encode<C> for Chain {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.array(2)?;
        self.log.encode(e, ctx)?;
        self.tail.encode(e, ctx)
    }
}

impl<'b, C> Decode<'b, C> for Chain {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, DecodeError> {
        strict::array(d, 2)?;
        Ok(Self::at(LogId::decode(d, ctx)?, Position::decode(d, ctx)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_inside_the_window_are_remembered() {
        let mut chain = Chain::new(LogId::from_bytes([7; 16]));
        let first = chain.extend(&[0; 32]);
        for n in 1..CHAIN_WINDOW as u64 + 10 {
            let position = chain.extend(&sha256(&n.to_be_bytes()));
            assert_eq!(chain.hash_at(position.offset), Some(position.hash.0));
        }
        let tail = chain.tail();
        assert_eq!(tail.offset, CHAIN_WINDOW as u64 + 10);
        assert_eq!(chain.hash_at(tail.offset + 1), None);
        assert_eq!(chain.hash_at(first.offset), None);
        assert_eq!(chain.hash_at(tail.offset - CHAIN_WINDOW as u64), None);
        assert!(chain.hash_at(tail.offset + 1 - CHAIN_WINDOW as u64).is_some());
        assert_eq!(chain.hash_at(0), Some(start(&chain.log())));
    }

    #[test]
    fn the_chain_is_bound_to_its_log() {
        let (a, b) = (Chain::new(LogId::from_bytes([1; 16])), Chain::new(LogId::from_bytes([2; 16])));
        assert_ne!(a.next(&[0; 32]), b.next(&[0; 32]));
    }
}

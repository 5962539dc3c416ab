//! Merkle trees of the RFC 9162 §2.1 shape: roots, inclusion paths and their verification.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use crate::hash::Hash;

fn leaf(data: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// A tree over byte strings, kept whole so that paths can be read from it.
#[derive(Clone, Debug)]
pub struct Tree {
    /// `levels[0]` are the leaves; an odd last node of a level moves up unchanged.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// Builds the tree over `leaves`; `None` when there are none.
    pub fn new<'a>(leaves: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut levels = Vec::new();
        let mut level: Vec<Hash> = leaves.into_iter().map(leaf).collect();
        if level.is_empty() {
            return None;
        }
        while level.len() > 1 {
            let next = level
                .chunks(2)
                .map(|pair| match pair {
                    [left, right] => node(left, right),
                    [single] => *single,
                    _ => unreachable!("chunks of two"),
                })
                .collect();
            levels.push(core::mem::replace(&mut level, next));
        }
        levels.push(level);
        Some(Self { levels })
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.levels[self.levels.len() - 1][0]
    }

    /// The number of leaves.
    #[must_use]
    pub fn count(&self) -> usize {
        self.levels[0].len()
    }

    /// The inclusion path of leaf `index`, siblings from the leaf upwards; `None` when there is no such leaf.
    #[must_use]
    pub fn path(&self, index: usize) -> Option<Vec<Hash>> {
        if index >= self.count() {
            return None;
        }
        let mut at = index;
        let mut path = Vec::new();
        for level in &self.levels[..self.levels.len() - 1] {
            if let Some(sibling) = level.get(at ^ 1) {
                path.push(*sibling);
            }
            at /= 2;
        }
        Some(path)
    }
}

/// The root that `data` at `index` of `count` leaves and `path` lead to; `None` when the path has the wrong length.
#[must_use]
pub fn root_from_path(data: &[u8], index: u64, count: u64, path: &[Hash]) -> Option<Hash> {
    if index >= count {
        return None;
    }
    let (mut at, mut last) = (index, count - 1);
    let mut hash = leaf(data);
    let mut path = path.iter();
    while last > 0 {
        if at % 2 == 1 {
            hash = node(path.next()?, &hash);
        } else if at < last {
            hash = node(&hash, path.next()?);
        }
        at /= 2;
        last /= 2;
    }
    path.next().is_none().then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaf_of_every_small_tree_verifies_and_nothing_else_does() {
        let data: Vec<[u8; 2]> = (0..70u16).map(u16::to_be_bytes).collect();
        for count in 1..=data.len() {
            let tree = Tree::new(data[..count].iter().map(|d| &d[..])).unwrap();
            for (index, leaf) in data[..count].iter().enumerate() {
                let path = tree.path(index).unwrap();
                assert!(count > 64 || path.len() <= 6);
                assert_eq!(root_from_path(leaf, index as u64, count as u64, &path), Some(tree.root()));
                assert_ne!(root_from_path(b"other", index as u64, count as u64, &path), Some(tree.root()));
                if count > 1 {
                    assert_ne!(root_from_path(leaf, index as u64, count as u64, &path[1..]), Some(tree.root()));
                }
            }
            assert!(tree.path(count).is_none());
        }
        assert!(Tree::new([]).is_none());
    }
}

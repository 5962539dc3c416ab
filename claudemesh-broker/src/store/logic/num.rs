//! Maps by numbers that the store itself gave out: nobody outside chooses them, so they need no keyed hash.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NumHasher(u64);

impl Hasher for NumHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u8(*byte));
    }

    fn write_u8(&mut self, n: u8) {
        self.write_u64(n.into());
    }

    fn write_i64(&mut self, n: i64) {
        self.write_u64(n.cast_unsigned());
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(26) ^ n).wrapping_mul(MIX);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

pub(super) type NumMap<K, V> = HashMap<K, V, BuildHasherDefault<NumHasher>>;
pub(super) type NumSet<K> = HashSet<K, BuildHasherDefault<NumHasher>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_of_many_devices_spread() {
        let hash =
            |lane: (i64, i64, u8)| std::hash::BuildHasher::hash_one(&BuildHasherDefault::<NumHasher>::default(), lane);
        let lanes = (1..100).flat_map(|a| (1..100).flat_map(move |b| (0..4).map(move |lane| (a, b, lane))));
        let hashes: HashSet<u64> = lanes.map(hash).collect();
        assert_eq!(hashes.len(), 99 * 99 * 4);
        // A table of 2^16 places finds a place for most.
        let places: HashSet<u64> = hashes.iter().map(|hash| hash & 0xffff).collect();
        assert!(places.len() > 25_000, "{}", places.len());
    }
}

//! A map of bounded size that drops its oldest entry when full.

use alloc::collections::BTreeMap;

pub(super) struct Bounded<K, V> {
    entries: BTreeMap<K, (u64, V)>,
    next_stamp: u64,
    capacity: usize,
}

impl<K: Ord + Clone, V> Bounded<K, V> {
    pub(super) const fn new(capacity: usize) -> Self {
        Self { entries: BTreeMap::new(), next_stamp: 0, capacity }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    /// Inserts or replaces. The scan for the oldest entry is small beside the curve operation that fills every entry.
    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.capacity == 0 {
            return;
        }
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&key) {
            let oldest = self.entries.iter().min_by_key(|(_, (stamp, _))| *stamp).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.entries.remove(&oldest);
            }
        }
        self.entries.insert(key, (self.next_stamp, value));
        self.next_stamp += 1;
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        self.entries.retain(|key, (_, value)| keep(key, value));
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entry_goes_first() {
        let mut cache = Bounded::new(2);
        cache.insert(1, 'a');
        cache.insert(2, 'b');
        cache.insert(1, 'c');
        cache.insert(3, 'd');
        assert_eq!((cache.get(&1), cache.get(&2), cache.get(&3), cache.len()), (Some(&'c'), None, Some(&'d'), 2));
        let mut none = Bounded::new(0);
        none.insert(1, 1);
        assert_eq!(none.len(), 0);
    }
}

//! A bounded cache without bookkeeping per use: two halves, the older one is dropped when the newer is full.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

/// At most `capacity` entries; what was used lately stays.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    half: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    forgetful: bool,
}

impl<K: Eq + Hash, V> Cache<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            half: capacity.div_ceil(2).max(1),
            young: HashMap::new(),
            old: HashMap::new(),
            forgetful: false,
        }
    }

    /// Something was dropped for want of room: what is not here may be elsewhere.
    pub(crate) fn is_forgetful(&self) -> bool {
        self.forgetful
    }

    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Whether it is there; if so, it stays for at least `capacity / 2` more insertions.
    pub(crate) fn touch<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        if self.young.contains_key(key) {
            return true;
        }
        match self.old.remove_entry(key) {
            Some((key, value)) => {
                self.insert(key, value);
                true
            }
            None => false,
        }
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            let dropped = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
            self.forgetful |= !dropped.is_empty();
        }
        self.young.insert(key, value);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_bounded_and_keeps_what_is_used() {
        let mut cache = Cache::new(10);
        cache.insert(0, 0);
        for key in 1..1_000 {
            assert!(cache.touch(&0), "lost at {key}");
            cache.insert(key, key);
            assert!(cache.len() <= 10);
            assert_eq!(cache.get(&key), Some(&key));
        }
        assert_eq!(cache.get(&1), None);
    }

    #[test]
    fn the_newest_value_wins() {
        let mut cache = Cache::new(2);
        cache.insert("a", 1);
        cache.insert("b", 1);
        cache.insert("a", 2);
        assert_eq!(cache.get("a"), Some(&2));
    }

    #[test]
    fn it_knows_whether_it_knows_all() {
        let mut cache = Cache::new(4);
        for key in 0..4 {
            cache.insert(key, key);
        }
        assert!(!cache.is_forgetful());
        cache.insert(4, 4);
        assert!(cache.is_forgetful());
        assert_eq!(cache.get(&0), None);
    }
}

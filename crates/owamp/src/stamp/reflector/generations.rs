//! What is known of many, in bounded memory: who is not seen for long is forgotten, and under a crowd sooner.

use std::{collections::HashMap, hash::Hash, time::Duration};

use timed_udp::clock::Mono;

/// A table in two parts. Whoever is seen is in the young one; when that is full, or old, it becomes the old one, and
/// what was the old one is forgotten.
#[derive(Debug)]
pub(super) struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    most: usize,
    age: Duration,
    since: Mono,
}

impl<K: Eq + Hash, V> Generations<K, V> {
    /// With `most` in each part. Who is seen every `age` is kept, if there are not too many.
    pub(super) fn new(most: usize, age: Duration, now: Mono) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), most, age, since: now }
    }

    /// What is known of `key`.
    pub(super) fn get(&mut self, key: K, now: Mono) -> Option<&mut V> {
        self.turn(now);
        if let Some(value) = self.old.remove(&key) {
            return Some(self.young.entry(key).or_insert(value));
        }
        self.young.get_mut(&key)
    }

    /// From now on `value` is known of `key`.
    pub(super) fn put(&mut self, key: K, value: V, now: Mono) {
        self.turn(now);
        self.young.insert(key, value);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    fn turn(&mut self, now: Mono) {
        if self.young.len() >= self.most || now.since(self.since) >= self.age {
            self.old = std::mem::take(&mut self.young);
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_seen_stays_and_who_is_not_is_forgotten_by_time_and_by_number() {
        let at = |seconds: u64| Mono(seconds * 1_000_000_000);
        let mut table = Generations::new(10, Duration::from_secs(60), at(0));
        table.put(1_000, 'a', at(0));
        table.put(2_000, 'b', at(0));
        assert_eq!(table.get(1_000, at(70)), Some(&mut 'a'));
        assert_eq!(table.get(1_000, at(140)), Some(&mut 'a'));
        assert_eq!(table.get(2_000, at(140)), None, "not seen for two ages");
        for crowd in 0..1_000 {
            table.put(crowd, 'x', at(141));
            if crowd % 5 == 0 {
                assert!(table.get(1_000, at(141)).is_some(), "seen among the crowd");
            }
            assert!(table.len() <= 20);
        }
    }
}

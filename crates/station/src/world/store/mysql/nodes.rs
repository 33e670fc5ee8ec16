//! Which of several servers is talked to: the first, as they are written, that can be used.
//!
//! The order is the operator's choice: all programs of a station prefer the same server, and stations may
//! each prefer another. One that could not be used is put off for a while, longer each time, so that not
//! every transaction pays for it; then it is tried again, and if it is before the one that is used, that
//! one is left for it.

use std::{collections::BTreeMap, time::Duration};

use crate::world::clock::Monotonic;

/// How long a server is put off that could not be used, at first; and at most.
const PUT_OFF: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);

/// What a program knows of its servers, which are known by how they are shown.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    /// All, in the order in which they are written.
    written: Vec<String>,
    /// Those that could not be used.
    bad: BTreeMap<String, Bad>,
    /// The one that was used last.
    on: Option<String>,
}

#[derive(Debug)]
struct Bad {
    times: u32,
    until: Monotonic,
    why: String,
}

impl Nodes {
    /// The order in which servers are tried: as they are written, and those that are put off last. If all
    /// else fails they are better than none.
    pub(super) fn order(&mut self, written: Vec<String>, now: Monotonic) -> Vec<usize> {
        self.written = written;
        let mut order: Vec<usize> = (0..self.written.len()).collect();
        order.sort_by_key(|index| self.put_off(*index, now));
        order
    }

    /// Those that are written before the one that is used, and may be tried again.
    pub(super) fn better(&self, now: Monotonic) -> Vec<usize> {
        let on = self.written.iter().position(|node| self.on.as_ref() == Some(node)).unwrap_or(0);
        (0..on).filter(|index| self.put_off(*index, now).is_none()).collect()
    }

    /// Until when a server is put off; nothing if it is not.
    fn put_off(&self, index: usize, now: Monotonic) -> Option<Monotonic> {
        self.bad.get(&self.written[index]).map(|bad| bad.until).filter(|until| *until > now)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.written.len()
    }

    /// Takes note that a server cannot be used.
    pub(super) fn failed(&mut self, node: &str, why: String, now: Monotonic) {
        let times = self.bad.get(node).map_or(0, |bad| bad.times);
        let length = (PUT_OFF * 2_u32.pow(times.min(8))).min(LONGEST);
        let bad = Bad { times: times + 1, until: now + length, why };
        self.bad.insert(node.to_owned(), bad);
    }

    /// Takes note that a server is used; says what a person should know of it.
    pub(super) fn using(&mut self, node: &str) -> Option<String> {
        let before = self.on.replace(node.to_owned()).filter(|before| before != node);
        self.bad.remove(node);
        let before = before?;
        Some(match self.bad.get(&before) {
            Some(bad) => format!("the database: now on {node}: {}", bad.why),
            None => format!("the database: on {node} again"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic(Duration::from_secs(seconds))
    }

    fn order(nodes: &mut Nodes, second: u64) -> Vec<usize> {
        nodes.order(["a", "b", "c"].map(str::to_owned).to_vec(), at(second))
    }

    #[test]
    fn the_first_that_can_be_used_is_used_and_left_only_for_one_before_it() {
        let mut nodes = Nodes::default();
        assert_eq!(order(&mut nodes, 0), [0, 1, 2]);
        assert_eq!(nodes.using("a"), None);
        assert_eq!(nodes.better(at(0)), [0; 0]);
        nodes.failed("a", "a is gone".to_owned(), at(0));
        assert_eq!(order(&mut nodes, 1), [1, 2, 0]);
        assert_eq!(nodes.using("b").as_deref(), Some("the database: now on b: a is gone"));
        assert_eq!((nodes.better(at(4)), nodes.better(at(5))), (vec![], vec![0]));
        assert_eq!(nodes.using("a").as_deref(), Some("the database: on a again"));
        assert_eq!(nodes.better(at(6)), [0; 0]);
    }

    #[test]
    fn one_that_stays_away_is_put_off_longer_each_time_up_to_a_minute() {
        let mut nodes = Nodes::default();
        let (mut now, mut waits) = (0, Vec::new());
        for _ in 0..6 {
            nodes.failed("a", String::new(), at(now));
            let again = (now..now + 100).find(|second| order(&mut nodes, *second)[0] == 0);
            waits.push(again.expect("tried again") - now);
            now = again.unwrap_or(now);
        }
        assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
    }

    #[test]
    fn if_all_are_put_off_the_one_that_failed_first_is_tried_first() {
        let mut nodes = Nodes::default();
        for (node, second) in [("c", 0), ("a", 1), ("b", 2)] {
            nodes.failed(node, String::new(), at(second));
        }
        assert_eq!(order(&mut nodes, 3), [2, 0, 1]);
        assert_eq!(nodes.count(), 3);
    }
}

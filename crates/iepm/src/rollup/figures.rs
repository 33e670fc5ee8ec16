//! The figures of a period: readings, or shorter periods, added up by the rules of their columns.

use super::columns::{Column, Rule};

/// The figures of a period, so far.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    columns: &'static [Column],
    cells: Vec<Option<Cell>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Cell {
    value: f64,
    /// Of a mean: of how much it is one.
    weight: f64,
}

impl Figures {
    pub(crate) fn of(columns: &'static [Column]) -> Self {
        Self { columns, cells: vec![None; columns.len()] }
    }

    /// Adds a reading, or what another period came to. Of what a sample says only what is not known here
    /// is taken over: two samples cannot be added up.
    pub(crate) fn add(&mut self, row: &[Option<f64>]) {
        for (place, column) in self.columns.iter().enumerate() {
            let Some(value) = row[place] else { continue };
            let weight = match column.rule {
                Rule::Mean(of) => row[of].unwrap_or(0.0),
                Rule::Ratio(..) => continue,
                _ => 1.0,
            };
            let cell = Cell { value, weight };
            let sum = self.cells[place].map_or(cell, |known| known.and(column.rule, cell));
            self.cells[place] = Some(sum);
        }
    }

    /// Forgets what samples said, for what is added up of parts has none.
    pub(super) fn without_samples(mut self) -> Self {
        for (cell, _) in self.exact() {
            *cell = None;
        }
        self
    }

    /// What the sample says, in the order of its columns.
    pub(super) fn set_exact(&mut self, said: &[Option<f64>]) {
        for ((cell, _), value) in self.exact().zip(said) {
            *cell = value.map(|value| Cell { value, weight: 1.0 });
        }
    }

    /// Takes over what the samples of `other` said.
    pub(super) fn take_samples_of(&mut self, other: &Self) {
        for (place, column) in self.columns.iter().enumerate() {
            if column.rule == Rule::Exact {
                self.cells[place] = other.cells[place];
            }
        }
    }

    fn exact(&mut self) -> impl Iterator<Item = (&mut Option<Cell>, &Column)> {
        self.cells.iter_mut().zip(self.columns).filter(|(_, column)| column.rule == Rule::Exact)
    }

    /// The columns' values; `None` is NULL.
    pub(crate) fn values(&self) -> Vec<Option<f64>> {
        (0..self.columns.len()).map(|place| self.value(place)).collect()
    }

    /// The value of the column at `place`.
    pub(crate) fn value(&self, place: usize) -> Option<f64> {
        let Rule::Ratio(over, under) = self.columns[place].rule else {
            return self.cells[place].map(|cell| cell.value);
        };
        let (over, under) = self.value(over).zip(self.value(under))?;
        (under > 0.0).then(|| over / under)
    }
}

impl Cell {
    fn and(self, rule: Rule, other: Self) -> Self {
        let with = |value| Self { value, ..self };
        match rule {
            Rule::Sum => with(self.value + other.value),
            Rule::Min => with(self.value.min(other.value)),
            Rule::Max => with(self.value.max(other.value)),
            Rule::Mean(_) => {
                let weight = self.weight + other.weight;
                let sum = self.value * self.weight + other.value * other.weight;
                Self { value: if weight > 0.0 { sum / weight } else { self.value }, weight }
            }
            Rule::Ratio(..) | Rule::Exact => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::columns::{PING, RUNS},
        *,
    };

    /// A reading of ping: transmitted, received, lost, min, avg, max.
    fn ping([transmitted, received, lost, min, avg, max]: [Option<f64>; 6]) -> Vec<Option<f64>> {
        let mut row = vec![None; PING.len()];
        row[RUNS] = Some(1.0);
        for (place, value) in
            [(2, transmitted), (3, received), (4, lost), (6, min), (7, avg), (8, max)]
        {
            row[place] = value;
        }
        row
    }

    fn close(found: Option<f64>, expected: f64) -> bool {
        found.is_some_and(|found| (found - expected).abs() < 1e-9)
    }

    #[test]
    fn readings_are_added_up_by_the_rules_of_their_columns() {
        let mut figures = Figures::of(PING);
        figures.add(&ping([10.0, 9.0, 1.0, 2.0, 3.0, 4.0].map(Some)));
        figures.add(&ping([10.0, 3.0, 7.0, 1.0, 7.0, 9.0].map(Some)));
        figures.add(&ping([None; 6]));
        assert_eq!(figures.value(RUNS), Some(3.0));
        assert!(close(figures.value(5), 0.4), "lost of all that were sent");
        assert_eq!((figures.value(6), figures.value(8)), (Some(1.0), Some(9.0)));
        assert!(close(figures.value(7), 4.0), "each packet counts once");
    }

    #[test]
    fn two_halves_are_the_whole_but_for_what_samples_say() {
        let (mut whole, mut half, mut other) =
            (Figures::of(PING), Figures::of(PING), Figures::of(PING));
        for number in [1.0, 2.0, 5.0, 4.0] {
            let row = ping([10.0, 10.0 - number, number, number, 2.0 * number, 9.0].map(Some));
            whole.add(&row);
            if number > 3.0 { half.add(&row) } else { other.add(&row) }
        }
        half.set_exact(&[Some(1.0); 5]);
        half.add(&other.values());
        assert_eq!(half.value(9), Some(1.0), "what is known stays");
        let half = half.without_samples();
        for (place, (one, two)) in whole.values().into_iter().zip(half.values()).enumerate() {
            assert!(one == two || close(one, two.expect("known")), "{}", PING[place].name);
        }
    }
}

//! A path of one link with a queue, and other traffic on it: the search is tried on it without a machine.

use crate::{
    line::{Stretch, fit},
    search::{Fleet, Next, Outcome, Search, Verdict},
    shape::{Bounds, Shape},
    trend::{Packet, Sending, Trend, growth, judge},
};

/// A link, rates in bit/s.
struct Path {
    capacity: f64,
    /// Mean of the other traffic.
    cross: f64,
    /// Octets of its packets.
    octets: f64,
    random: u64,
}

impl Path {
    fn uniform(&mut self) -> f64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.random >> 33).expect("31 bits")) / f64::from(1_u32 << 31)
    }

    /// Poisson arrivals.
    fn gap(&mut self) -> f64 {
        let mean = self.octets * 8.0 / self.cross.max(1.0);
        -(1.0 - self.uniform()).ln() * mean
    }

    /// What comes of a stream. The queue has the state that other traffic gives it in the long run.
    fn carry(&mut self, shape: &Shape) -> Vec<Packet> {
        let before = 0.2;
        let (mut free_at, mut cross_at) = (0.0_f64, self.gap());
        let mut packets = Vec::new();
        for number in 0..shape.packets {
            let left = u64::from(number) * shape.gap;
            let at = before + seconds(left);
            while cross_at < at {
                free_at = free_at.max(cross_at) + self.octets * 8.0 / self.capacity;
                cross_at += self.gap();
            }
            free_at = free_at.max(at) + f64::from(shape.octets) * 8.0 / self.capacity;
            let noise = self.uniform() * 8e-6;
            let came = crate::shape::whole((free_at - before + noise + 0.01) * 1e9);
            packets.push(Packet { number, left, came });
        }
        packets
    }

    fn stream(&mut self, rate: f64, bounds: &Bounds) -> (Trend, Stretch) {
        let shape = Shape::of(rate, bounds);
        let length = u64::try_from(shape.length().as_nanos()).expect("short");
        let sending = Sending { packets: shape.packets, length, late: 20_000, unsent: 0 };
        let packets = self.carry(&shape);
        (judge(&sending, &packets, 0), Stretch { rate: shape.rate(), growth: growth(&packets) })
    }
}

impl Path {
    /// What a fleet shows, and how much its streams were stretched.
    fn fleet(&mut self, rate: f64, bounds: &Bounds) -> (Verdict, Vec<Stretch>) {
        let (mut fleet, mut stretches) = (Fleet::default(), Vec::new());
        loop {
            let (trend, stretch) = self.stream(rate, bounds);
            fleet.take(trend);
            stretches.push(stretch);
            if let Some(verdict) = fleet.verdict() {
                return (verdict, stretches);
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "below 2^52")]
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

fn measured(mut path: Path) -> (Outcome, u32) {
    let bounds = Bounds { packets: 2_000, rate: 1e9, octets: 1_500 };
    let mut search = Search::new(path.capacity, (1e5, path.capacity * 2.0), 0.0);
    let (mut rate, mut fleets, mut all) = (search.rate(), 1, Vec::new());
    loop {
        let (verdict, stretches) = path.fleet(rate, &bounds);
        if verdict == Verdict::Above {
            all.extend(stretches);
        }
        match search.take(verdict) {
            Next::Fleet(next) => rate = next,
            Next::Over(outcome) => {
                let mut extra = 0;
                while let Some(rate) = search.extra(outcome, fit(&all), extra) {
                    all.extend(path.fleet(rate, &bounds).1);
                    extra += 1;
                }
                return (outcome.narrowed(fit(&all)), fleets + extra);
            }
        }
        fleets += 1;
    }
}

#[test]
fn what_a_simulated_path_has_left_is_within_the_range_nearly_always() {
    let (mut hits, mut all, mut widths) = (0, 0, Vec::new());
    for capacity in [10e6, 50e6, 100e6, 500e6] {
        for part in [0.0, 0.3, 0.6] {
            for seed in 0..10 {
                let cross = capacity * part;
                let octets = 1_500.0;
                let (outcome, fleets) =
                    measured(Path { capacity, cross, octets, random: seed * 7_919 + 1 });
                let free = capacity - cross;
                let Outcome::Range(low, high) = outcome else { panic!("{outcome:?}") };
                let width = (high - low) / free;
                all += 1;
                hits += u32::from(low <= free && free <= high);
                widths.push(width);
                println!(
                    "{:.0} - {:.0} %: {:.2} to {:.2}, free {:.2}, {fleets} fleets",
                    capacity / 1e6,
                    part * 100.0,
                    low / 1e6,
                    high / 1e6,
                    free / 1e6
                );
            }
        }
    }
    widths.sort_by(f64::total_cmp);
    let wide = widths[widths.len() * 9 / 10];
    println!("{hits} of {all}; widths: median {}, nine tenths {wide}", widths[widths.len() / 2]);
    assert!(hits * 10 >= all * 9, "{hits} of {all}");
    assert!(wide < 0.3, "{wide}");
}

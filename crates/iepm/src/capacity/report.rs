//! How full the channel is, in tables and as JSON.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use station::text::{Align, Columns, human_duration};

use super::{
    Claim, Fit, Measured, WHOLE, Window,
    advice::{Advice, advice},
    fits,
};

/// The whole answer to "do these runs fit?"; shares are of the whole time, 1 is all of it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) fits: bool,
    share: f64,
    worst_share: f64,
    measured_share: f64,
    longest_wait_s: u64,
    longest_worst_wait_s: u64,
    specifications: Vec<Line>,
    /// The share that each target is allotted.
    targets: BTreeMap<String, f64>,
    /// The share that each tool is allotted.
    tools: BTreeMap<String, f64>,
    /// Each is enough by itself.
    advice: Vec<Advice>,
}

/// One specification.
#[derive(Debug, Serialize)]
struct Line {
    node: String,
    tool: String,
    variant: String,
    runinterval_s: u32,
    time2run_s: u32,
    limit_s: u64,
    share: f64,
    measured: Option<Measured>,
    window_s: u64,
    wait_s: u64,
    worst_wait_s: u64,
    window: Window,
}

impl Report {
    pub(crate) fn of(claims: &[Claim]) -> Self {
        let fit = Fit::of(claims);
        let longest = |wait: &dyn Fn(&Claim) -> u64| claims.iter().map(wait).max().unwrap_or(0);
        Self {
            fits: fits(claims),
            share: fit.share,
            worst_share: fit.worst_share,
            measured_share: fit.measured_share,
            longest_wait_s: longest(&|claim| fit.wait(claim)),
            longest_worst_wait_s: longest(&|claim| fit.worst_wait(claim)),
            specifications: claims.iter().map(|claim| Line::of(claim, &fit)).collect(),
            targets: shares(claims, |claim| &claim.node),
            tools: shares(claims, |claim| &claim.tool),
            advice: advice(claims),
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        if self.specifications.is_empty() {
            return "no run of this station must be alone\n".to_owned();
        }
        let parts = [self.specifications_text(), self.targets_text(), self.sums(), self.verdict()];
        parts.join("\n")
    }

    fn specifications_text(&self) -> String {
        let mut columns = Columns::new(&[
            ("TOOL", Align::Left),
            ("NODE", Align::Left),
            ("EVERY s", Align::Right),
            ("ALLOTTED s", Align::Right),
            ("TOOK s", Align::Right),
            ("SHARE %", Align::Right),
            ("MAY WAIT s", Align::Right),
            ("WAITS s", Align::Right),
            ("AT WORST s", Align::Right),
            ("WINDOW", Align::Left),
        ]);
        for line in &self.specifications {
            columns.push(line.cells());
        }
        columns.plain()
    }

    fn targets_text(&self) -> String {
        let mut columns =
            Columns::new(&[("TARGET OR TOOL", Align::Left), ("SHARE %", Align::Right)]);
        for (name, share) in self.targets.iter().chain(&self.tools) {
            columns.push([name.clone(), percent(*share)]);
        }
        columns.plain()
    }

    fn sums(&self) -> String {
        let wait = |seconds| human_duration(Duration::from_secs(seconds));
        let measured = if self.specifications.iter().any(|line| line.measured.is_some()) {
            format!("{} % as the last runs went, ", percent(self.measured_share))
        } else {
            String::new()
        };
        format!(
            "{} % of the time is allotted, {measured}{} % if each is ended at its limit\n\
             the longest wait for all others is {}, {} if each is ended at its limit\n",
            percent(self.share),
            percent(self.worst_share),
            wait(self.longest_wait_s),
            wait(self.longest_worst_wait_s),
        )
    }

    fn verdict(&self) -> String {
        let of = |window| self.specifications.iter().filter(|line| line.window == window).count();
        let (missed, in_danger) = (of(Window::NotKept), of(Window::KeptUnlessOthersOverrun));
        let mut text = match (self.fits, in_danger) {
            (true, 0) => "it fits\n".to_owned(),
            (true, _) => format!(
                "it fits, if most runs end in the time that they are allotted: else runs of {} may be missed\n",
                specifications(in_danger)
            ),
            (false, _) if self.share > WHOLE => {
                "it does not fit: some runs will always be missed\n".to_owned()
            }
            (false, _) => format!(
                "it does not fit: runs of {} wait longer than they may, and are missed\n",
                specifications(missed)
            ),
        };
        if !self.advice.is_empty() {
            text += "any of these is enough:\n";
            text.extend(self.advice.iter().map(Advice::line));
        }
        text
    }
}

impl Advice {
    fn line(&self) -> String {
        format!("  {} ({} %)\n", self.what, percent(self.share))
    }
}

fn shares(claims: &[Claim], name: impl Fn(&Claim) -> &String) -> BTreeMap<String, f64> {
    let mut shares = BTreeMap::new();
    for claim in claims {
        *shares.entry(name(claim).clone()).or_default() += claim.share();
    }
    shares
}

fn specifications(count: usize) -> String {
    format!("{count} specification{}", if count == 1 { "" } else { "s" })
}

fn percent(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

impl Line {
    fn of(claim: &Claim, fit: &Fit) -> Self {
        Self {
            node: claim.node.clone(),
            tool: claim.tool.clone(),
            variant: claim.variant.clone(),
            runinterval_s: claim.interval,
            time2run_s: claim.time,
            limit_s: claim.limit(),
            share: claim.share(),
            measured: claim.measured,
            window_s: claim.window(),
            wait_s: fit.wait(claim),
            worst_wait_s: fit.worst_wait(claim),
            window: fit.window(claim),
        }
    }

    fn cells(&self) -> [String; 10] {
        let Self { tool, variant, .. } = self;
        let window = match self.window {
            Window::Kept => "kept",
            Window::KeptUnlessOthersOverrun => "kept, unless others overrun",
            Window::NotKept => "not kept",
        };
        [
            if variant.is_empty() { tool.clone() } else { format!("{tool} ({variant})") },
            self.node.clone(),
            self.runinterval_s.to_string(),
            self.time2run_s.to_string(),
            self.measured.map_or_else(String::new, |it| format!("{:.1}", it.median)),
            percent(self.share),
            self.window_s.to_string(),
            self.wait_s.to_string(),
            self.worst_wait_s.to_string(),
            window.to_owned(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{claim, original};
    use super::*;

    #[test]
    fn a_small_station_is_told_whole() {
        let mut claims = original(1);
        claims[0].measured = Some(Measured { runs: 3, median: 21.04, longest: 22.0 });
        assert_eq!(
            Report::of(&claims).text(),
            "TOOL    NODE  EVERY s  ALLOTTED s  TOOK s  SHARE %  MAY WAIT s  WAITS s  AT WORST s  WINDOW\n\
             iperf   n0       1800          30    21.0      1.7        1790       30          40  kept\n\
             miperf  n0       1800          30              1.7        1790       30          40  kept\n\
             \n\
             TARGET OR TOOL  SHARE %\n\
             n0                  3.3\n\
             iperf               1.7\n\
             miperf              1.7\n\
             \n\
             3.3 % of the time is allotted, 2.8 % as the last runs went, 4.4 % if each is ended at its limit\n\
             the longest wait for all others is 30s, 40s if each is ended at its limit\n\
             \n\
             it fits\n"
        );
        assert_eq!(Report::of(&[]).text(), "no run of this station must be alone\n");
    }

    #[test]
    fn the_verdict_says_what_is_in_danger_and_what_helps() {
        let full = Report::of(&original(30)).text();
        let told = "else runs of 60 specifications may be missed\n";
        assert!(full.contains("100.0 % of the time is allotted") && full.ends_with(told), "{full}");
        let over = Report::of(&original(40));
        assert!(!over.fits && over.advice.len() == 4);
        let told = "it does not fit: some runs will always be missed\n\
             any of these is enough:\n  runinterval 1800 -> 2400 for all (100.0 %)\n";
        assert!(over.text().contains(told), "{}", over.text());
        let late =
            Report::of(&[claim("iperf", 0, 10, 60), claim("pathload", 0, 100, 1_000)]).text();
        assert!(late.contains("it does not fit: runs of 1 specification wait longer"), "{late}");
    }
}

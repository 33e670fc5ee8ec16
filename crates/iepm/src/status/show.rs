//! The picture as text.

use std::time::Duration;

use station::{
    text::{Align, Columns, Timestamp, human_duration},
    world::keepalive,
};

use super::{
    Picture, figures,
    health::{Health, Line, Trouble},
    machine::{Daemon, Machine},
};

const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[31m";
const DIM: &str = "\x1b[2m";

/// The column of the health.
const HEALTH: usize = 2;

/// Everything, in colour if it is wanted.
pub(super) fn text(picture: &Picture, colour: bool) -> String {
    let wrong: Vec<String> = picture.wrong.iter().map(|fault| wrong_row(fault)).collect();
    [
        format!("{} at {}\n\n", picture.station, picture.now_us),
        specifications(&picture.specifications, colour),
        figures::legend(&picture.specifications),
        wrong.concat(),
        "\n".to_owned(),
        machine(&picture.machine, colour),
        picture.last_problem.as_ref().map_or_else(String::new, trouble),
    ]
    .concat()
}

fn wrong_row(fault: &str) -> String {
    format!("a row of TOOLSPECS is wrong: {fault}\n")
}

fn trouble(last: &Trouble) -> String {
    let Trouble { due_us, node, tool, state, reason } = last;
    format!("last problem: {tool} to {node}, due {due_us}, {state}: {reason}\n")
}

fn specifications(lines: &[Line], colour: bool) -> String {
    if lines.is_empty() {
        return "no such specifications: `fetch-toolspecs` shows all, `iepm apply` makes them\n"
            .to_owned();
    }
    let right = |head| (head, Align::Right);
    let left = |head| (head, Align::Left);
    let mut columns = Columns::new(&[
        left("NODE"),
        left("TOOL"),
        left("HEALTH"),
        left("LAST READING"),
        right("AGE"),
        right("LOSS %"),
        right("MIN ms"),
        right("AVG ms"),
        right("MAX ms"),
        left("REMARK"),
    ]);
    for line in lines {
        columns.push(row(line));
    }
    columns.painted(|column, text| (colour && column == HEALTH).then(|| paint(text)))
}

fn row(line: &Line) -> [String; 10] {
    let age = line.age_seconds.map(|seconds| human_duration(Duration::from_secs(seconds)));
    [
        line.node.clone(),
        with_variant(line),
        line.health.as_str().to_owned(),
        line.last_us.map_or_else(String::new, |last: Timestamp| last.to_string()),
        age.unwrap_or_default(),
        line.lossratio.map_or_else(String::new, figures::percent),
        figures::millis(line.min_ms),
        figures::millis(line.avg_ms),
        figures::millis(line.max_ms),
        figures::remark(line),
    ]
}

fn with_variant(line: &Line) -> String {
    if line.variant.is_empty() {
        line.tool.clone()
    } else {
        format!("{} ({})", line.tool, line.variant)
    }
}

fn paint(health: &str) -> &'static str {
    let is = |one: Health| one.as_str() == health;
    if is(Health::Ok) {
        GREEN
    } else if is(Health::Down) || is(Health::Failing) {
        RED
    } else if is(Health::Lossy) || is(Health::Stale) {
        YELLOW
    } else {
        DIM
    }
}

fn machine(machine: &Machine, colour: bool) -> String {
    let mut columns = Columns::new(&[
        ("DAEMON", Align::Left),
        ("", Align::Left),
        ("LAST CYCLE", Align::Right),
        ("DOING", Align::Left),
    ]);
    for daemon in &machine.daemons {
        columns.push(daemon_row(daemon));
    }
    let daemons = columns.painted(|column, text| match text {
        _ if !colour || column != 1 => None,
        "running" => Some(GREEN),
        _ => Some(RED),
    });
    let count = |files: Option<usize>| files.map_or("?".to_owned(), |files| files.to_string());
    let (waiting, rejected) = (count(machine.waiting_files), count(machine.rejected_files));
    format!("{daemons}\nresult files: {waiting} wait for the loader, {rejected} were rejected\n")
}

/// A daemon that runs and has said nothing for so long hangs, or is stopped.
const SILENT: Duration = Duration::from_secs(6 * keepalive::BEAT.as_secs());

fn daemon_row(daemon: &Daemon) -> [String; 4] {
    let silent = daemon.beat_seconds.is_some_and(|seconds| seconds > SILENT.as_secs());
    let running = match daemon.running {
        Some(true) if silent => "silent",
        Some(true) => "running",
        Some(false) => "not running",
        None => "unknown",
    };
    let beat = daemon.beat_seconds.map(|seconds| human_duration(Duration::from_secs(seconds)));
    // What one that has ended was about is of no use any more.
    let doing = if daemon.running == Some(true) { daemon.doing.as_str() } else { "" };
    [daemon.name.to_owned(), running.to_owned(), beat.unwrap_or_default(), doing.to_owned()]
}

#[cfg(test)]
mod tests {
    use crate::{
        status::{
            health,
            reading::{Found, Latest, Reading},
        },
        testing,
    };

    use super::*;

    fn picture() -> Picture {
        let now = Timestamp::from_seconds(1_790_000_100);
        let start = Timestamp::from_seconds(1_790_000_000);
        let specs = testing::specs(
            "s,d,ping,background,15,600,,\ns,d,traceroute,background,15,600,,\ns,e,ping,background,15,600,,\n",
        );
        let ping = Found::Ping {
            received: 9,
            lossratio: Some(0.1),
            min: Some(0.05),
            avg: Some(1.5),
            max: None,
        };
        let route = Found::Route { hops: 1, reached: true, route: Some(2), rtt_us: Some(250.0) };
        let line = |index: usize, found| {
            let reading = |found| Reading {
                start,
                found,
                problem: String::new(),
                unclean: None,
                overlapped: None,
            };
            let seen = Latest { reading: Option::map(found, reading), end: None };
            health::judge(&specs[index].spec, seen, now)
        };
        let daemon = |name, running, beat_seconds| Daemon {
            name,
            running: Some(running),
            beat_seconds,
            doing: "2 running".to_owned(),
        };
        Picture {
            station: "s".to_owned(),
            now_us: now,
            specifications: vec![line(0, Some(ping)), line(1, Some(route)), line(2, None)],
            wrong: Vec::new(),
            last_problem: None,
            machine: Machine {
                daemons: vec![daemon("pingd", true, Some(3)), daemon("traced", false, None)],
                waiting_files: Some(4),
                rejected_files: None,
            },
        }
    }

    #[test]
    fn everything_stands_in_its_column() {
        assert_eq!(
            text(&picture(), false),
            "s at 2026-09-21T14:15:00Z\n\
             \n\
             NODE  TOOL        HEALTH   LAST READING            AGE  LOSS %  MIN ms  AVG ms  MAX ms  REMARK\n\
             d     ping        lossy    2026-09-21T14:13:20Z  1m40s      10   0.050   1.500\n\
             d     traceroute  ok       2026-09-21T14:13:20Z  1m40s                                  1 hop, route 2, 0.250 ms\n\
             e     ping        waiting\n\
             \n\
             DAEMON               LAST CYCLE  DOING\n\
             pingd   running              3s  2 running\n\
             traced  not running\n\
             \n\
             result files: 4 wait for the loader, ? were rejected\n"
        );
    }

    #[test]
    fn colour_is_only_where_it_is_wanted() {
        assert!(!text(&picture(), false).contains('\x1b'));
        let coloured = text(&picture(), true);
        assert!(coloured.contains("\x1b[33mlossy\x1b[0m"), "{coloured}");
        assert!(coloured.contains("\x1b[31mnot running\x1b[0m"), "{coloured}");
    }

    #[test]
    fn json_holds_everything_as_data() {
        let json = serde_json::to_value(picture()).expect("plain values");
        assert_eq!(json["specifications"][0]["health"], "lossy");
        assert_eq!(json["specifications"][0]["max_ms"], serde_json::Value::Null);
        assert_eq!(json["specifications"][1]["rtt_ms"], 0.25);
        assert_eq!(json["daemons"][0]["running"], true);
        assert_eq!(json["waiting_files"], 4);
    }
}

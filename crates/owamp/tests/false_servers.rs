//! `owping` and servers that lie, forget, drag things out, or have another time.
#![expect(clippy::disallowed_methods, reason = "a real program is started and waited for")]

#[path = "common/false_server.rs"]
mod false_server;

use std::{
    io::Write,
    net::TcpStream,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use false_server::{Talk, greeting, serve};
use owamp::protocol::{Finished, Record};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const OWPING: &str = env!("CARGO_BIN_EXE_owping");
const PATIENCE: Duration = Duration::from_secs(60);

fn owping(port: u16, args: &[&str]) -> Command {
    let mut command = Command::new(OWPING);
    command.args(["-p", &port.to_string(), "-c", "10", "-i", "0.01f", "-L", "0.5"]).args(args);
    command.arg("127.0.0.1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// All that it said.
fn text(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr].concat()).expect("UTF-8")
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(output)))
}

fn problem(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", text(output));
    document(output)["problem"].as_str().expect("a reason").to_owned()
}

/// Says this octet by octet, so slowly that it does not come to an end, until nobody listens.
fn drip(stream: &mut TcpStream, octets: &[u8], begun: &Sender<()>) {
    for (place, octet) in octets.iter().enumerate() {
        if stream.write_all(&[*octet]).is_err() {
            return;
        }
        if place == 2 {
            let _ = begun.send(());
        }
        thread::sleep(Duration::from_millis(400));
    }
}

/// Serves a greeting that takes 26 seconds; who waits is told when it has begun.
fn dripping() -> (u16, Receiver<()>) {
    let (tell, told) = channel();
    let (port, _) = serve(move |mut stream| drip(&mut stream, &greeting(), &tell));
    (port, told)
}

/// Asks it to end; how long that took, and what it said.
fn end(child: Child) -> (Duration, Output) {
    let asked = Instant::now();
    kill_process(Pid::from_child(&child), Signal::TERM).expect("sent");
    let output = child.wait_with_output().expect("ended");
    (asked.elapsed(), output)
}

#[test]
fn a_server_that_answers_octet_by_octet_is_given_up_after_ten_seconds() {
    let (port, _) = dripping();
    let begun = Instant::now();
    let output = owping(port, &["--json"]).output().expect("run");
    assert!(problem(&output).contains("no whole answer within 10 s"), "{}", text(&output));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn who_is_asked_to_end_does_not_wait_for_a_server_that_answers_octet_by_octet() {
    let (port, told) = dripping();
    let child = owping(port, &["--json"]).spawn().expect("started");
    told.recv_timeout(PATIENCE).expect("it has begun");
    let (took, output) = end(child);
    assert!(problem(&output).contains("interrupted"), "{}", text(&output));
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn who_is_asked_to_end_at_the_end_waits_three_seconds_and_tells_what_is_known() {
    let (tell, told) = channel();
    let (port, _) = serve(move |stream| {
        let mut talk = Talk::begin(stream);
        talk.agree();
        talk.send(|_| Duration::ZERO);
        talk.hear_stop();
        talk.put_stop();
        let octets = talk.to.take();
        drip(&mut talk.stream, &octets, &tell);
    });
    let child = owping(port, &["--json"]).spawn().expect("started");
    told.recv_timeout(PATIENCE).expect("it has begun");
    let (took, output) = end(child);
    assert!(problem(&output).contains("interrupted"), "{}", text(&output));
    assert!(took < Duration::from_secs(6), "{took:?}");
    let it = document(&output);
    let sessions = it["sessions"].as_array().expect("a list");
    assert_eq!(sessions.len(), 1, "of the way there nobody knows anything: {it}");
    assert_eq!((&sessions[0]["sent"], &sessions[0]["lost"]), (&10.into(), &0.into()));
}

#[test]
fn more_records_than_packets_can_have_are_not_taken() {
    let (port, server) = serve(|stream| {
        let mut talk = Talk::begin(stream);
        talk.agree();
        talk.hear_stop();
        talk.put_stop();
        talk.say();
        talk.hear_fetch();
        talk.promise(Finished::Well, 81);
        talk.say();
        // It goes when it has seen that.
        assert_eq!(talk.hear(), None);
    });
    let output = owping(port, &["-t", "--json"]).output().expect("run");
    let problem = problem(&output);
    assert!(problem.contains("Number of Records: 81 are more than 80"), "{problem}");
    server.join().expect("served");
}

/// A test towards a server that gives these records of it.
fn of_records(
    finished: Finished,
    records: impl FnOnce(&Talk) -> Vec<Record> + Send + 'static,
) -> Output {
    let (port, server) = serve(move |stream| {
        let mut talk = Talk::begin(stream);
        talk.agree();
        talk.hear_stop();
        talk.put_stop();
        talk.say();
        talk.hear_fetch();
        let records = records(&talk);
        talk.give(finished, &records);
    });
    let output = owping(port, &["-t", "--json"]).output().expect("run");
    server.join().expect("served");
    output
}

#[test]
fn packets_without_a_record_are_missed_and_make_the_figures_those_of_a_part() {
    let all = |talk: &Talk| (0..10).map(|seq| talk.record(seq, seq != 5)).collect();
    let output = of_records(Finished::Well, all);
    assert!(output.status.success(), "{}", text(&output));
    let session = &document(&output)["sessions"][0];
    assert_eq!((&session["sent"], &session["lost"]), (&10.into(), &1.into()), "{session}");
    assert_eq!(session["finished"], true);

    let some = |talk: &Talk| [0, 1, 1, 2, 4, 6, 9].map(|seq| talk.record(seq, true)).into();
    let output = of_records(Finished::Well, some);
    let why = problem(&output);
    assert!(why.contains("kept no record of 4 of 10 packets to the target"), "{why}");
    let session = &document(&output)["sessions"][0];
    assert_eq!((&session["sent"], &session["finished"]), (&6.into(), &false.into()), "{session}");

    let output = of_records(Finished::No, all);
    assert!(problem(&output).contains("has not ended"), "{}", text(&output));
    assert_eq!(document(&output)["sessions"][0]["finished"], false);
}

/// A test with a server whose clock is ahead for some packets, and who receives nothing in time.
fn of_another_time(ahead: fn(u32) -> Duration, form: &[&str]) -> Output {
    let (port, server) = serve(move |stream| {
        let mut talk = Talk::begin(stream);
        talk.agree();
        talk.send(ahead);
        talk.hear_stop();
        talk.put_stop();
        talk.say();
        talk.hear_fetch();
        let lost: Vec<_> = (0..10).map(|seq| talk.record(seq, false)).collect();
        talk.give(Finished::Well, &lost);
    });
    let output = owping(port, form).output().expect("run");
    assert!(output.status.success(), "{}", text(&output));
    server.join().expect("served");
    output
}

const PEOPLE: &[&str] = &["-n", "m"];
const TEN_SECONDS: Duration = Duration::from_secs(10);

#[test]
fn clocks_further_apart_than_the_time_out_are_not_told_as_the_networks_loss() {
    let output = of_another_time(|_| TEN_SECONDS, &["--json"]);
    let it = document(&output);
    for session in it["sessions"].as_array().expect("two") {
        assert_eq!((&session["sent"], &session["lost"]), (&10.into(), &10.into()), "{session}");
        assert_eq!(session["verdicts"], serde_json::json!(["clocks apart"]), "{session}");
    }
    assert_eq!(it["sessions"][1]["beyond_timeout"], 10);
    let warnings = it["warnings"].to_string();
    for part in ["10 packets came whose clock differs", "no packet came to the target"] {
        assert!(warnings.contains(part), "{part}: {warnings}");
    }
    for form in [&["-R"][..], &["-M"], PEOPLE] {
        let output = of_another_time(|_| TEN_SECONDS, form);
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        for part in ["10 packets came whose", "to the target: clocks apart", "from the target: "] {
            assert!(said.contains(part), "{form:?}: {part}: {said}");
        }
    }
}

#[test]
fn some_packets_beyond_the_time_out_do_not_speak_for_the_way_there() {
    let ahead = |seq| if seq < 3 { TEN_SECONDS } else { Duration::ZERO };
    let it = document(&of_another_time(ahead, &["--json"]));
    let [to, from] = [0, 1].map(|place| &it["sessions"][place]);
    assert_eq!((&to["lost"], &to["verdicts"]), (&10.into(), &serde_json::json!([])));
    assert_eq!((&from["lost"], &from["beyond_timeout"]), (&3.into(), &3.into()), "{from}");
    assert!(from["verdicts"].to_string().contains("beyond time-out"), "{from}");
}

#[test]
fn delays_below_zero_are_told_beside_the_figures_for_people() {
    let ahead = |_| Duration::from_millis(200);
    let output = of_another_time(ahead, PEOPLE);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(said.contains("from the target: 10 delays are below zero"), "{said}");
}

//! The station's web page is made by the real program of what the real `iepm` tells, and says so when that tells
//! nothing any more.

use std::fs;

use stories::{Program, Station, program::said, until};

fn page(station: &Station) -> Option<String> {
    fs::read_to_string(station.path("www/index.html")).ok()
}

#[test]
fn the_page_shows_what_is_measured_and_goes_on_without_a_database_and_with_it_again() {
    let station = Station::new();
    station.configure("");
    station.measures(&["a,127.0.0.1"], &["a,ping,,-n -c 1 -w 1,1,2,0"]);
    let mut command = station.command("map-updated");
    command.args(["--every", "1"]);
    let server = Program::start(command, &station.path("log/map-updated.log"));
    let shows = |what: &str| until(what, || page(&station).filter(|page| page.contains(what)));
    let first = shows("1 waiting.");
    assert!(
        first.contains("<th scope=\"row\">a</th>") && first.contains("<th>ping</th>"),
        "{first}"
    );

    let database = station.path("db/iepm.db");
    let away = station.path("db/away");
    fs::rename(&database, &away).expect("renamed");
    let troubled = shows("Nothing new since");
    // What was known last is still there, below the word that it is old.
    assert!(troubled.contains("1 waiting."), "{troubled}");
    until("a second page without news", || server.log().contains("status --json").then_some(()));
    fs::rename(&away, &database).expect("renamed");
    until("news", || page(&station).filter(|page| !page.contains("Nothing new since")));
    let log = server.log();
    assert_eq!(
        log.matches(" error").count() + log.matches("there is a status again").count(),
        2,
        "{log}"
    );
}

#[test]
fn who_asks_for_one_page_is_told_why_it_has_no_news() {
    let station = Station::new();
    let once = || station.command("map-updated").arg("--once").output().expect("it starts");
    assert!(once().status.success(), "{}", said(&once()));
    fs::remove_file(station.path("bin/iepm")).expect("a link");
    let output = once();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("bin/iepm status --json"), "{}", said(&output));
    assert!(page(&station).is_some_and(|page| page.contains("Nothing new since")));
}

#[test]
fn a_second_one_leaves_the_page_to_the_first() {
    let station = Station::new();
    let server = Program::start(station.command("map-updated"), &station.path("log/first.log"));
    until("the first page", || page(&station));
    let second = station.command("map-updated").output().expect("it starts");
    assert_eq!(second.status.code(), Some(75), "{}", said(&second));
    drop(server);
    let third = station.command("map-updated").arg("--once").output().expect("it starts");
    assert!(third.status.success(), "{}", said(&third));
}

//! One-way delay with the real owampd and owping, on a path whose delay, losses, duplicates and reordering are known
//! beforehand.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use rustix::process::{Signal, kill_process};
use stories::{
    Host, Lab, Line, Station,
    owamp::{NOTHING_LOST, Served, numbered, packets, write_private},
    program::{binaries, said},
    until,
    wire::Direction,
};

#[test]
#[ignore = "needs root for network namespaces"]
fn delays_are_told_apart_by_direction() {
    let served = Served::on(Lab::with_wire());
    let takes =
        |milliseconds| Line { delay: Duration::from_millis(milliseconds), ..Line::default() };
    served.lab.wire().set(Direction::Out, takes(10));
    served.lab.wire().set(Direction::Back, takes(25));
    let test = served.measures("-c 100 -i 0.01f 192.0.2.2");
    for (direction, least) in [("to", 10.0), ("from", 25.0)] {
        let median = test.figure(direction, "/delay/median_ns") / 1e6;
        assert!((least..least + 8.0).contains(&median), "{direction}: {median} ms");
        let shortest = test.figure(direction, "/delay/min_ns") / 1e6;
        assert!((least..least + 3.0).contains(&shortest), "{direction}: {shortest} ms");
        test.is(direction, &NOTHING_LOST);
        test.is(direction, &[("/sent", 100), ("/hops/min", 1), ("/hops/max", 1)]);
        assert_eq!(test.came(direction), (0..100).collect::<Vec<_>>());
        served.agrees_with_the_wire(&test, direction);
    }
}

#[test]
#[ignore = "needs root for network namespaces"]
fn packets_that_are_lost_are_named_and_their_periods_counted() {
    let served = Served::on(Lab::with_wire());
    let loses = |numbers: &[u32]| Line { loses: numbered(numbers), ..packets() };
    served.lab.wire().set(Direction::Out, loses(&[3, 7, 8, 9]));
    served.lab.wire().set(Direction::Back, loses(&[5]));
    let test = served.measures("-c 30 -i 0.02f 192.0.2.2");
    let periods = [("/loss_periods/count", 2), ("/loss_periods/longest", 3)];
    test.is("to", &[("/sent", 30), ("/lost", 4), ("/duplicates", 0), periods[0], periods[1]]);
    assert_eq!(test.lost("to"), [3, 7, 8, 9]);
    let periods = [("/loss_periods/count", 1), ("/loss_periods/longest", 1)];
    test.is("from", &[("/sent", 30), ("/lost", 1), ("/duplicates", 0), periods[0], periods[1]]);
    assert_eq!(test.lost("from"), [5]);
    served.agrees_with_the_wire(&test, "to");
    served.agrees_with_the_wire(&test, "from");
}

#[test]
#[ignore = "needs root for network namespaces"]
fn packets_that_come_twice_or_late_are_found_by_number() {
    let served = Served::on(Lab::with_wire());
    let late = Duration::from_millis(400);
    let doubles = (numbered(&[4, 6, 20]), Duration::from_millis(1));
    served.lab.wire().set(Direction::Out, Line { doubles, ..packets() });
    let holds = vec![(numbered(&[10, 25]), late)];
    served.lab.wire().set(Direction::Back, Line { holds, ..packets() });
    let test = served.measures("-c 100 -i 0.02f 192.0.2.2");
    test.is(
        "to",
        &[("/sent", 100), ("/lost", 0), ("/duplicates", 3), ("/reordering/reordered", 0)],
    );
    let came = test.came("to");
    let twice = |number: &u64| came.iter().filter(|it| *it == number).count() == 2;
    assert_eq!((0..100).filter(twice).collect::<Vec<_>>(), [4, 6, 20]);

    test.is("from", &NOTHING_LOST);
    test.is("from", &[("/sent", 100), ("/reordering/reordered", 2)]);
    assert_eq!(came_after_a_later_one(&test.came("from")), [10, 25]);
    served.agrees_with_the_wire(&test, "to");
    served.agrees_with_the_wire(&test, "from");
}

/// The reordered ones (RFC 4737 section 3.3).
fn came_after_a_later_one(numbers: &[u64]) -> Vec<u64> {
    let highest = numbers.iter().scan(0, |highest, number| {
        *highest = (*highest).max(*number);
        Some(*highest)
    });
    numbers.iter().zip(highest).filter(|(it, highest)| *it < highest).map(|(it, _)| *it).collect()
}

#[test]
#[ignore = "needs root for network namespaces"]
fn those_who_know_the_passphrase_are_served_over_ipv6_and_no_others() {
    let secrets = "iepm 73746174696f6e2d736563726574\n";
    let conf = "authmode A,E\n";
    let files = [("owamp-server.pfs", secrets), ("owamp-server.conf", conf)];
    let served = Served::with(Lab::up(), &files);
    let (right, wrong) = (served.folder.path().join("right"), served.folder.path().join("wrong"));
    write_private(&right, secrets);
    write_private(&wrong, "iepm 77726f6e67\n");
    for mode in ["A", "E"] {
        let options = |file: &Path| {
            format!("-6 -c 20 -i 0.02f -A {mode} -u iepm -k {} server6.example", file.display())
        };
        let test = served.measures(&options(&right));
        for direction in ["to", "from"] {
            test.is(direction, &NOTHING_LOST);
            test.is(direction, &[("/sent", 20), ("/hops/max", 1)]);
            assert!(test.session(direction)["to"]["address"].as_str().expect("one").contains(':'));
        }
        let output = served.owping(&options(&wrong)).output().expect("starts");
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("passphrase"), "{told}");
        assert!(!told.contains("77726f6e67"), "{told}");
    }
    let output = served.owping("-6 -c 20 -A O server6.example").output().expect("starts");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("no common mode"), "{}", said(&output));
}

/// Ends what runs on a host when it is dropped.
struct Ending(Host);

impl Drop for Ending {
    fn drop(&mut self) {
        for pid in self.0.running() {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_station_keeps_owampd_alive_and_another_has_its_delays_in_a_table() {
    let lab = Lab::up();
    let server = Station::on(Some(lab.host("server")));
    let _ending = Ending(lab.host("server"));
    symlink(binaries().join("owampd"), server.path("bin/owampd")).expect("a link");
    let shipped = fs::read_to_string(server.path("config/servers.alive")).expect("init made it");
    let line = shipped.lines().find(|line| line.starts_with("owampd,")).expect("its line");
    fs::write(server.path("config/servers.alive"), format!("{line}\n")).expect("written");
    let output = server.run("keep-servers-alive", &[]);
    assert!(output.status.success(), "{}\n{}", said(&output), server.logs());
    // It gave up root's rights, and is known all the same: nobody starts a second one.
    let output = server.run("keep-servers-alive", &["-v"]);
    assert!(output.status.success(), "{}\n{}", said(&output), server.logs());
    assert_eq!(lab.host("server").running_as("owampd").len(), 1, "{}", said(&output));

    let station = Station::on(Some(lab.host("client")));
    symlink(binaries().join("owping"), station.path("bin/owping")).expect("a link");
    station.configure("[load]\npause = '1s'");
    station
        .measures(&["server4,server.example,4"], &["server4,owping,,-c 20 -i 0.02 -L 1,10,15,5"]);
    let _daemons = station.start_all(&["load-scheduled", "owpingd", "load-datad"]);
    let wanted = "OWAMPDATA WHERE destNodeID = 'server4' AND to_sent = 20 AND from_sent = 20 AND to_lost = 0 \
                  AND from_lost = 0 AND tmed IS NOT NULL AND fmed IS NOT NULL AND tmin <= tmed AND tmed <= tmax \
                  AND to_hops_max = 1 AND from_hops_max = 1";
    until("delays are in OWAMPDATA", || (station.count(wanted) > 0).then_some(()));
    station.accounts_are_right();
}

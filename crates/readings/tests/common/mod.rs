//! The captures: what real tools left behind in a laboratory network.
//!
//! Each folder under `captures` has an `index.tsv` (case, exit status, times, command line; a negative
//! status is a signal) and for each case its standard output and, if there was any, standard error.

#![allow(dead_code, reason = "each test program uses its part")]

pub(crate) mod throughput;

use std::{
    fs,
    path::{Path, PathBuf},
};

use readings::{End, Output};

pub(crate) mod soundness;

/// One run of one tool.
pub(crate) struct Capture {
    pub(crate) folder: String,
    pub(crate) case: String,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) end: End,
}

impl Capture {
    pub(crate) fn of(folder: &str, case: &str) -> Self {
        let found = all().into_iter().find(|c| c.folder == folder && c.case == case);
        found.unwrap_or_else(|| panic!("there is no capture {folder}/{case}"))
    }

    pub(crate) fn output(&self) -> Output<'_> {
        Output { stdout: &self.stdout, stderr: &self.stderr, end: self.end }
    }

    /// The tool whose reader it is for.
    pub(crate) fn tool(&self) -> &'static str {
        match self.folder.as_str() {
            "ping" | "inetping" | "busyboxping" => "ping",
            "traceroute" | "inettraceroute" | "busyboxtraceroute" => "traceroute",
            "iperf" | "iperf205" | "iperf2013" | "iperfloopback" => "iperf",
            "iperf3" | "iperf3loopback" => "iperf3",
            "owping" | "owpingjson" => "owping",
            "thrulay" | "thrulayjson" => "thrulay",
            "pathload" | "pathloadown" => "pathload",
            "pathchirp" | "pathchirpown" => "pathchirp",
            folder => panic!("whose captures are in {folder}?"),
        }
    }

    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.folder, self.case)
    }

    fn load(folder: &str, line: &str) -> Self {
        let mut columns = line.split('\t');
        let case = columns.next().expect("a case");
        let status: i32 = columns.next().expect("a status").parse().expect("a number");
        let part = |suffix| fs::read(root().join(folder).join(format!("{case}.{suffix}")));
        Self {
            folder: folder.to_owned(),
            case: case.to_owned(),
            stdout: part("txt").expect("standard output"),
            stderr: part("stderr").unwrap_or_default(),
            end: if status < 0 { End::Signalled(-status) } else { End::Exited(status) },
        }
    }
}

/// Every capture of every folder.
pub(crate) fn all() -> Vec<Capture> {
    let mut folders: Vec<String> =
        entries(root()).filter(|name| root().join(name).is_dir()).collect();
    folders.sort();
    folders.iter().flat_map(|folder| of_folder(folder)).collect()
}

fn of_folder(folder: &str) -> Vec<Capture> {
    let index = fs::read_to_string(root().join(folder).join("index.tsv")).expect("an index");
    let captures: Vec<_> = index.lines().skip(1).map(|line| Capture::load(folder, line)).collect();
    let files = entries(root().join(folder)).filter(|name| is_text(name)).count();
    assert_eq!(captures.len(), files, "{folder}: a capture is not in the index");
    captures
}

fn is_text(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "txt")
}

fn entries(folder: PathBuf) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
}

fn root() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "captures"].iter().collect()
}

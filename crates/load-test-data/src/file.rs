//! A result file read and understood, before any database is asked.

use std::io;

use readings::{End, Output, Reading};
use station::{
    words::run::{self, Header, Parts},
    world::inbox::Inbox,
};

use crate::beside::{self, Beside};

/// A file and what is in it.
#[derive(Debug)]
pub struct Prepared {
    /// Its name in the inbox.
    pub name: String,
    /// The run that its name stands for.
    pub schedule_id: i64,
    /// The tool that its name stands for.
    pub tool: String,
    /// Its content.
    pub content: Content,
}

impl Prepared {
    /// The specification that its header names; 0 for what has none.
    #[must_use]
    pub fn spec_id(&self) -> i64 {
        match &self.content {
            Content::Reading(measured) => measured.header.spec_id,
            Content::Rejected(Some(header), _) => header.spec_id,
            Content::Rejected(None, _) | Content::Unreachable(_) => 0,
        }
    }
}

/// What a run measured.
#[derive(Debug)]
pub struct Measured {
    /// What the file says of the run.
    pub header: Header,
    /// What its tool's output says.
    pub reading: Reading,
    /// What the ping beside it says, if there was one.
    pub beside: Option<Beside>,
}

/// What is in a result file.
#[derive(Debug)]
pub enum Content {
    /// A reading.
    Reading(Box<Measured>),
    /// It was not understood; the header, if there is one, and why.
    Rejected(Option<Box<Header>>, String),
    /// It cannot be read now; nothing is known of it.
    Unreachable(io::Error),
}

/// Reads the file of a run; `bytes` is room for it that is used again and again.
#[must_use]
pub fn prepare(inbox: &Inbox, name: String, bytes: &mut Vec<u8>) -> Prepared {
    let Some((schedule_id, tool)) = run::parse_file_name(&name) else {
        let why = "a result file is named scheduleid.probetype".to_owned();
        let content = Content::Rejected(None, why);
        return Prepared { name, schedule_id: 0, tool: String::new(), content };
    };
    let content = match inbox.read(&name, bytes) {
        Ok(()) => content(schedule_id, tool.as_str(), bytes),
        Err(error) => Content::Unreachable(error),
    };
    Prepared { name, schedule_id, tool: tool.to_string(), content }
}

fn content(schedule_id: i64, tool: &str, file: &[u8]) -> Content {
    let parts = match run::take_apart(file) {
        Ok(parts) => parts,
        Err(why) => return Content::Rejected(None, why),
    };
    if (parts.header.schedule_id, parts.header.probetype.as_str()) != (schedule_id, tool) {
        let Header { schedule_id, probetype, .. } = &parts.header;
        let why = format!("its header is of {schedule_id}.{probetype}");
        return Content::Rejected(None, why);
    }
    match readings::read(tool, &output(&parts)) {
        Ok(reading) => {
            let beside = beside::read(&parts);
            Content::Reading(Box::new(Measured { header: parts.header, reading, beside }))
        }
        Err(unreadable) => {
            let how = parts.header.ended.remark();
            let how = how.map_or_else(String::new, |remark| format!("{remark}; "));
            let why = format!("{how}the output of {tool} was not understood: {unreadable}");
            Content::Rejected(Some(Box::new(parts.header)), why)
        }
    }
}

/// What the readers are told of a run.
#[must_use]
pub fn output<'a>(parts: &Parts<'a>) -> Output<'a> {
    Output { stdout: parts.stdout, stderr: parts.stderr, end: End::from(&parts.header.ended) }
}

//! What is told, and when: cron mails each line.

use station::{
    app::{self, Exit, Failure},
    text::{Align, Columns, human_duration},
    world::processes::Process,
};

use crate::{
    Case,
    judge::{Memory, Pulse, Verdict},
    look::Look,
    memory::Memories,
    start::Outcome,
};

/// Tells what begins and what ends, and counts what needs a person.
#[derive(Debug)]
pub(crate) struct Teller {
    troubles: usize,
    /// What is down was stopped on purpose.
    on_purpose: bool,
}

impl Teller {
    /// `on_purpose`: what is down was stopped, and did not die.
    pub(crate) fn new(on_purpose: bool) -> Self {
        Self { troubles: 0, on_purpose }
    }

    /// 1 when some daemon needs a person, told now or before.
    pub(crate) fn exit(&self) -> Exit {
        if self.troubles == 0 { Exit::Well } else { Exit::NeedsPerson }
    }

    /// The configuration is broken, or is so no more.
    pub(crate) fn configuration(broken: Option<&Failure>, memories: &mut Memories) {
        let now = broken.map(ToString::to_string).unwrap_or_default();
        if now == memories.told {
            return;
        }
        if now.is_empty() {
            log::warn!("the configuration is good again");
        } else {
            log::error!("{now}\nthe last good configuration goes on");
        }
        memories.told = now;
    }

    /// A daemon hangs and is about to be ended: what it was doing is of use only now.
    pub(crate) fn hangs(case: &Case, look: &Look, process: &Process) {
        let Verdict::Hangs(age) = case.verdict else { return };
        let state = process.state_now().ok().flatten().unwrap_or('?');
        let waits = Some(process.waits_in()).filter(|name| !name.is_empty());
        let waits = waits.map_or_else(String::new, |name| format!(", waits in {name}"));
        let doing =
            if look.doing.is_empty() { String::new() } else { format!(", was at: {}", look.doing) };
        let file = match look.seen.pulse {
            Pulse::Silent(why) => format!("; its keep-alive file says nothing: {why}"),
            Pulse::Beat(_) | Pulse::Touched(_) => String::new(),
        };
        log::warn!(
            "{} ({}) has not come round for {}: state {state}{waits}{doing}{file}; it is ended and started again",
            case.name,
            process.identity.pid,
            human_duration(age)
        );
    }

    /// A daemon was started.
    pub(crate) fn started(
        &mut self,
        case: &Case,
        outcome: &Outcome,
        looped: bool,
        memory: &mut Memory,
    ) {
        let (name, times) = (&case.name, memory.restarts.in_a_row());
        if looped {
            let what = format!(
                "did not stay up, {times} times in a row; it is started more and more seldom"
            );
            self.trouble(name, "loops", &what, memory);
        } else if let Some((word, trouble)) = outcome.trouble() {
            self.trouble(name, word, &trouble, memory);
        } else if let Outcome::NotNow(why) = outcome {
            log::info!("{name}: not now: {why}");
        } else if !self.on_purpose
            && matches!(case.verdict, Verdict::Start)
            && (case.was_up() || times > 1)
        {
            log::warn!("{name} had ended and was started again");
        } else {
            log::info!("{name} was started");
        }
    }

    /// A daemon was left as it is.
    pub(crate) fn found(&mut self, case: &Case, stuck: bool, memory: &mut Memory) {
        let name = &case.name;
        if let Err(why) = &case.found {
            self.trouble(name, "unseen", &format!("cannot be looked at: {why}"), memory);
        } else if stuck {
            self.trouble(
                name,
                "stuck",
                "hangs and cannot be ended, not even by KILL: the kernel holds it",
                memory,
            );
        } else if let Some(trouble) = case.verdict.trouble() {
            // Of a crash loop, of a wrong configuration it was told when it began.
            let word =
                if memory.told.is_empty() { case.verdict.word() } else { &memory.told.clone() };
            self.trouble(name, word, &trouble, memory);
        } else if case.verdict == Verdict::Well
            && !memory.told.is_empty()
            && (memory.well_again || memory.restarts.in_a_row() <= 1)
        {
            log::warn!("{name} is well again");
            memory.told.clear();
        }
    }

    /// Tells of a trouble, unless the last that was told of this daemon is the same.
    fn trouble(&mut self, name: &str, word: &str, what: &str, memory: &mut Memory) {
        self.troubles += 1;
        if memory.told == word {
            log::info!("{name}: {what}");
        } else {
            log::error!("{name}: {what}");
            word.clone_into(&mut memory.told);
        }
    }
}

impl Outcome {
    /// What a person should know of a start: a word for it, and what it is.
    fn trouble(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Up | Self::Unsure | Self::NotNow(_) => None,
            Self::Failed(why) => Some(("failed", format!("cannot be started: {why}"))),
            Self::Wrong(why) => Some((
                "wrong",
                format!(
                    "its configuration or the schema is wrong; it is started when that has changed: {why}"
                ),
            )),
            Self::Ended(why) => Some(("ended", why.clone())),
        }
    }
}

impl Case {
    /// Whether it ran before in this boot: its keep-alive file is of this boot.
    fn was_up(&self) -> bool {
        matches!(&self.found, Ok(look) if matches!(look.seen.pulse, Pulse::Beat(_) | Pulse::Touched(_)))
    }

    fn remark(&self) -> String {
        match (&self.found, &self.verdict) {
            (Err(why), _) => format!("cannot be looked at: {why}"),
            (Ok(_), Verdict::Suspect(age)) => {
                format!("has not come round for {}; the next look decides", human_duration(*age))
            }
            (Ok(_), Verdict::Hangs(age)) => {
                format!(
                    "has not come round for {}; would be ended and started",
                    human_duration(*age)
                )
            }
            (Ok(_), Verdict::Start) => "would be started".to_owned(),
            (Ok(look), verdict) => verdict.trouble().unwrap_or_else(|| look.doing.clone()),
        }
    }
}

/// Shows how daemons are, for `--dry-run`.
pub(crate) fn show(cases: &[Case], json: bool) -> Result<Exit, Failure> {
    let pid = |case: &Case| {
        case.found.as_ref().ok().and_then(|look| Some(look.process.as_ref()?.identity.pid))
    };
    let text = if json {
        let object = |case: &Case| {
            serde_json::json!({
                "daemon": case.name, "pid": pid(case), "verdict": case.verdict.word(), "remark": case.remark(),
            })
        };
        format!("{:#}\n", cases.iter().map(object).collect::<serde_json::Value>())
    } else {
        let mut columns = Columns::new(&[
            ("DAEMON", Align::Left),
            ("PID", Align::Right),
            ("IS", Align::Left),
            ("REMARK", Align::Left),
        ]);
        for case in cases {
            let pid = pid(case).map(|pid| pid.to_string()).unwrap_or_default();
            columns.push([case.name.clone(), pid, case.verdict.word().to_owned(), case.remark()]);
        }
        columns.plain()
    };
    app::print(&text)?;
    let well = cases.iter().all(|case| case.verdict == Verdict::Well && case.found.is_ok());
    Ok(if well { Exit::Well } else { Exit::NeedsPerson })
}

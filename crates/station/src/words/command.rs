//! The command line of a run: built word by word from validated words; no shell ever reads it.

use crate::text::{Family, Host, ToolName, word_fault};

use super::{node::Node, toolspec::ToolSpec};

/// An option word that stands for the target's host name or address, where a tool wants it in a
/// place of its own.
const TARGET: &str = "%dest";
/// The longest command line, in words: far above any real one, far below what `exec` takes.
const MOST_WORDS: usize = 200;

/// The words of the command that measures to `node` as `spec` says.
#[must_use]
pub fn words(spec: &ToolSpec, node: &Node) -> Vec<String> {
    let placed = spec.opts.iter().any(|opts| opts.contains(TARGET));
    let options = spec.opts.iter().flat_map(|opts| opts.split_ascii_whitespace());
    let target = || node.host.as_str().to_owned();
    let form = Form::of(&spec.key.tool);
    let mut words = Vec::with_capacity(16);
    words.push(spec.path.as_str().to_owned());
    words.extend(form.family(node.family).map(str::to_owned));
    if !placed && let Some(flag) = form.target_flag {
        words.extend([flag.to_owned(), target()]);
    }
    if placed {
        words.extend(options.map(|word| word.replace(TARGET, node.host.as_str())));
    } else {
        words.extend(options.map(str::to_owned));
    }
    if !placed && form.target_flag.is_none() {
        words.push(target());
    }
    words
}

/// The words of the ping to `target` beside a run, with these options; none without options.
///
/// # Errors
/// Says what is wrong with the options or the target.
pub fn beside(options: &str, family: Family, target: &str) -> Result<Vec<String>, String> {
    if options.is_empty() {
        return Ok(Vec::new());
    }
    let target: Host = target.parse().map_err(|fault| format!("the target: {fault}"))?;
    let mut words = vec!["ping".to_owned()];
    words.extend(
        Form { target_flag: None, v4: Some("-4"), v6: Some("-6") }
            .family(family)
            .map(str::to_owned),
    );
    words.extend(options.split_ascii_whitespace().map(str::to_owned));
    words.push(target.as_str().to_owned());
    match words.iter().find_map(|word| word_fault(word)) {
        Some(fault) => Err(format!("pingbeside: {fault}")),
        None => Ok(words),
    }
}

/// How a tool is told its target and its protocol.
struct Form {
    /// The option before the target; without one the target is the last word.
    target_flag: Option<&'static str>,
    v4: Option<&'static str>,
    v6: Option<&'static str>,
}

impl Form {
    /// The tools of the original, and iperf3. What else there may be gets the target as its last word.
    fn of(tool: &ToolName) -> Self {
        let (target_flag, v4, v6) = match tool.as_str() {
            "ping" | "traceroute" | "owping" | "thrulay" | "tlaytcp" | "mtlaytcp" => {
                (None, Some("-4"), Some("-6"))
            }
            "iperf" | "miperf" => (Some("-c"), None, Some("-V")),
            "iperf3" => (Some("-c"), Some("-4"), Some("-6")),
            "pathchirp" => (Some("-S"), Some("-4"), Some("-6")),
            "pathload" => (Some("-s"), Some("-4"), Some("-6")),
            _ => (None, None, None),
        };
        Self { target_flag, v4, v6 }
    }

    fn family(&self, family: Family) -> Option<&'static str> {
        match family {
            Family::Any => None,
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }
}

/// The words as SCHEDULE holds them: a JSON array.
#[must_use]
pub fn to_column(words: &[String]) -> String {
    // A list of texts has nothing that JSON cannot hold.
    serde_json::to_string(words).unwrap_or_default()
}

/// The words that SCHEDULE holds, checked again: whoever can write to the database must not be able
/// to make a command of something that never was one.
///
/// # Errors
/// Says what is wrong with the column's text.
pub fn from_column(column: &str, target: &str) -> Result<Vec<String>, String> {
    let words: Vec<String> = serde_json::from_str(column)
        .map_err(|error| format!("the command is no list of words: {error}"))?;
    let target: Host = target.parse().map_err(|fault| format!("the target: {fault}"))?;
    if words.len() > MOST_WORDS {
        return Err(format!("the command has {} words, at most {MOST_WORDS} are run", words.len()));
    }
    if !words.iter().any(|word| word.contains(target.as_str())) {
        return Err(format!("the command does not name its target {target}"));
    }
    let program = words.first().map_or("", String::as_str);
    program.parse::<crate::text::ToolPath>().map_err(|fault| format!("the command: {fault}"))?;
    match words.iter().find_map(|word| word_fault(word)) {
        Some(fault) => Err(format!("the command: {fault}")),
        None => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use crate::words::{node, toolspec};

    use super::*;

    fn command(tool: &str, opts: &str, node_row: &str) -> String {
        let nodes = format!("TABLENAME=NODES\n#nodeID,hostName,ipVersion\n{node_row}\n");
        let specs = format!(
            "TABLENAME=TOOLSPECS\n#srcNodeID,destNodeID,toolName,testtype,time2run,runinterval,toolOpts1\n\
             s,d,{tool},background,15,600,{opts}\n"
        );
        let (nodes, mistakes) = node::parse(&nodes);
        assert_eq!(mistakes, []);
        let (specs, mistakes) = toolspec::parse(&specs);
        assert_eq!(mistakes, []);
        words(&specs[0].spec, &nodes[0]).join(" ")
    }

    #[test]
    fn a_ping_beside_a_run_has_the_options_of_its_specification() {
        let words =
            |options, target| beside(options, Family::V4, target).map(|words| words.join(" "));
        assert_eq!(
            words("-i 0.2 -s 16", "192.0.2.1"),
            Ok("ping -4 -i 0.2 -s 16 192.0.2.1".to_owned())
        );
        assert_eq!(words("", "192.0.2.1"), Ok(String::new()));
        assert!(words("-i $(x)", "192.0.2.1").is_err() && words("-i 1", "-f").is_err());
    }

    #[test]
    fn each_tool_is_told_its_target_in_its_own_way() {
        assert_eq!(command("ping", "-c 10", "d,::1,6"), "ping -6 -c 10 ::1");
        assert_eq!(command("iperf", "-p 5000", "d,h.example,"), "iperf -c h.example -p 5000");
        assert_eq!(
            command("pathchirp", "-t 10", "d,192.0.2.1,4"),
            "pathchirp_rcv -4 -S 192.0.2.1 -t 10"
        );
        assert_eq!(command("mtlaytcp", "-m 8", "d,h,6"), "mtlaytcp -6 -m 8 h");
        assert_eq!(command("own", "-x", "d,h,"), "own -x h");
        assert_eq!(command("own", "--to %dest -x", "d,h,"), "own --to h -x");
    }

    #[test]
    fn a_command_from_the_database_is_checked_again() {
        let good = vec!["/bin/ping".to_owned(), "-c".to_owned(), "::1".to_owned()];
        assert_eq!(from_column(&to_column(&good), "::1"), Ok(good));
        for (column, target) in [
            ("not json", "::1"),
            ("[]", "::1"),
            (r#"["ping","::1"]"#, "-c"),
            (r#"["ping","::1"]"#, "::2"),
            (r#"["-ping","::1"]"#, "::1"),
            (r#"["ping","a;b","::1"]"#, "::1"),
            (r#"["ping","\u0000","::1"]"#, "::1"),
        ] {
            assert!(from_column(column, target).is_err(), "{column} {target}");
        }
    }
}

//! A plan as a diff, for people.

use super::plan::{Change, Changes, Difference, Plan};

/// All changes, and what became of them.
pub(super) fn text(plan: &Plan, done: &str) -> String {
    let nodes = lines(&plan.nodes, node, ("", "  (it was here before)"));
    let specs = lines(
        &plan.specs,
        spec,
        ("  (its readings stay)", "  (it was here before; its readings go on)"),
    );
    let summary = match plan.len() {
        0 => "nothing to change\n".to_owned(),
        1 => format!("1 change, {done}\n"),
        count => format!("{count} changes, {done}\n"),
    };
    let elsewhere = match plan.elsewhere {
        0 => String::new(),
        1 => "1 specification is another station's, which applies it itself\n".to_owned(),
        count => {
            format!("{count} specifications are other stations', which apply them themselves\n")
        }
    };
    nodes + &specs + &elsewhere + &summary
}

/// A line for each change; `remarks` are made of a row that is retired and of one that returns.
fn lines(
    changes: &Changes,
    name: fn(&[String]) -> String,
    (retired, returned): (&str, &str),
) -> String {
    let line = |(key, change): &(Vec<String>, Change)| {
        let name = name(key);
        match change {
            Change::Add(_) => format!("+ {name}\n"),
            Change::Return(_) => format!("+ {name}{returned}\n"),
            Change::Alter(_, differences) => format!("~ {name}: {}\n", shown(differences)),
            Change::Retire => format!("- {name}{retired}\n"),
            Change::Leave => format!("- {name}  (other stations have it still: it stays)\n"),
        }
    };
    changes.iter().map(line).collect()
}

fn node(key: &[String]) -> String {
    format!("node {}", key.concat())
}

fn spec(key: &[String]) -> String {
    match key {
        [src, dest, tool, variant] if variant.is_empty() => format!("{tool} {src} -> {dest}"),
        [src, dest, tool, variant] => format!("{tool} {src} -> {dest} ({variant})"),
        _ => key.join(" "),
    }
}

fn shown(differences: &[Difference]) -> String {
    let one = |difference: &Difference| {
        let [old, new] = [&difference.old, &difference.new].map(|text| quoted(text));
        format!("{} {old} -> {new}", difference.column)
    };
    differences.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// A text as it is when it is one word, else in quotes.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:%".contains(c);
    let word = !text.is_empty() && text.chars().all(plain);
    if word { text.to_owned() } else { format!("{text:?}") }
}

//! `fetch-toolspecs` prints what TOOLSPECS holds: for the analysis, or as the csv that made it.

use std::time::Duration;

use clap::Parser;
use serde::Serialize;
use station::{
    app::{self, Common, Exit, Failure},
    filter::Filter,
    text::{Align, Columns},
    words::toolspec::{SHAPE, ToolSpec},
    world::store::{self, Error, Session, Store},
};

/// How long it waits for the database.
const PATIENCE: Duration = Duration::from_secs(15);

const EXITS: &str = "Exit statuses:
   0  all is well
   1  a specification is wrong: it is said on the standard error
   2  the command line made no sense
  75  not now: the database is locked or away
  78  the configuration, or the database's schema, is not right";

/// Prints the specifications of TOOLSPECS: node, tool, testtype, and what is analysed
#[derive(Debug, Parser)]
#[command(name = "fetch-toolspecs", version, after_help = EXITS)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    filter: Filter,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print all columns of this station's rows, those that are off included, as `iepm apply` reads them
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// What the analysis asks of a specification.
#[derive(Debug, Serialize)]
struct Line<'a> {
    destnode: &'a str,
    toolname: &'a str,
    testtype: &'a str,
    datatoanalyze: &'a str,
    daystoanalyze: u32,
}

/// The program.
///
/// # Errors
/// As the configuration and the database say.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let config = args.common.load()?;
    let mut store = Store::of(&config.database, PATIENCE);
    let (mut specs, faults) = store
        .read(|session| specs(session, config.node.as_str()))
        .map_err(|error| Failure::store("reading TOOLSPECS", error))?;
    specs.retain(|spec| args.takes(spec));
    app::print(&args.shown(&specs)?)?;
    for fault in &faults {
        log::error!("{fault}");
    }
    Ok(if faults.is_empty() { Exit::Well } else { Exit::NeedsPerson })
}

impl Args {
    fn takes(&self, spec: &ToolSpec) -> bool {
        let key = &spec.key;
        (self.csv || spec.on) && self.filter.takes(key.dest.as_str(), key.tool.as_str())
    }

    fn shown(&self, specs: &[ToolSpec]) -> Result<String, Failure> {
        if self.csv {
            return csv(specs).map_err(|error| {
                Failure::new(Exit::NeedsPerson, "writing the csv").because(error)
            });
        }
        let lines: Vec<Line<'_>> = specs.iter().map(line).collect();
        // Texts and numbers have nothing that JSON cannot hold.
        let json = || serde_json::to_string_pretty(&lines).unwrap_or_default() + "\n";
        Ok(if self.json { json() } else { text(&lines) })
    }
}

/// The specifications of a station that were not taken out of its file, and what is wrong with rows that are none.
///
/// # Errors
/// What the database says.
pub fn specs(
    session: &mut dyn Session,
    station: &str,
) -> Result<(Vec<ToolSpec>, Vec<String>), Error> {
    let (mut specs, mut faults) = (Vec::new(), Vec::new());
    let all = store::specs(session, station)?;
    for stored in all.into_iter().filter(|stored| !stored.retired) {
        match stored.spec {
            Ok(spec) => specs.push(spec),
            Err(fault) => faults.push(format!("toolspecsID {} is wrong: {fault}", stored.id)),
        }
    }
    Ok((specs, faults))
}

fn line(spec: &ToolSpec) -> Line<'_> {
    Line {
        destnode: spec.key.dest.as_str(),
        toolname: spec.key.tool.as_str(),
        testtype: spec.testtype.as_str(),
        datatoanalyze: &spec.datatoanalyze,
        daystoanalyze: spec.daystoanalyze,
    }
}

fn text(lines: &[Line<'_>]) -> String {
    let mut columns = Columns::new(&[
        ("DESTNODE", Align::Left),
        ("TOOLNAME", Align::Left),
        ("TESTTYPE", Align::Left),
        ("DAYS", Align::Right),
        ("DATATOANALYZE", Align::Left),
    ]);
    for line in lines {
        let Line { destnode, toolname, testtype, datatoanalyze, daystoanalyze } = *line;
        let texts = [destnode, toolname, testtype].map(str::to_owned);
        let [dest, tool, testtype] = texts;
        columns.push([dest, tool, testtype, daystoanalyze.to_string(), datatoanalyze.to_owned()]);
    }
    columns.plain()
}

/// The specifications in the form of `config/toolspecs.csv`.
///
/// # Errors
/// None that a list in memory could cause.
pub fn csv(specs: &[ToolSpec]) -> Result<String, csv::Error> {
    let columns: Vec<&str> = SHAPE.required.iter().chain(SHAPE.optional).copied().collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    for spec in specs {
        writer.write_record(columns.iter().map(|column| field(spec, column)))?;
    }
    let rows = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    let rows = String::from_utf8_lossy(&rows).into_owned();
    Ok(format!("TABLENAME={}\n#{}\n{rows}", SHAPE.name, columns.join(",")))
}

/// The text of one column.
fn field(spec: &ToolSpec, column: &str) -> String {
    let key = &spec.key;
    match column {
        "srcNodeID" => key.src.to_string(),
        "destNodeID" => key.dest.to_string(),
        "toolName" => key.tool.to_string(),
        "variant" => key.variant.clone(),
        _ => {
            let fields = spec.fields();
            let found = fields.into_iter().find(|(name, _)| *name == column);
            found.map_or_else(String::new, |(_, text)| text)
        }
    }
}

#[cfg(test)]
mod tests {
    use station::{text::Timestamp, words::toolspec};

    use super::*;

    const FILE: &str = "TABLENAME=TOOLSPECS\n\
        #srcNodeID,destNodeID,toolName,toolPath,toolDo,testtype,toolOpts1,time2run,runinterval,variant,phase,jitter,latestart,grace,daystoanalyze,datatoanalyze\n\
        s,d,ping,/bin/ping,1,background,-s 1000 -c 10 -w 20,15,600,,,,,,7,ping:avg=w p lt 2 pt 5\n\
        s,d,ping,ping,0,background,,15,600,large,5,6,7,8,,\"one, \"\"two\"\"\"\n\
        x,s,iperf,bw-iperf-client,1,background-syn,-p 5000,30,1800,,,,,,,\n";

    fn of(text: &str) -> Vec<ToolSpec> {
        let (specs, mistakes) = toolspec::parse(text);
        assert_eq!(mistakes, []);
        specs.into_iter().map(|placed| placed.spec).collect()
    }

    #[test]
    fn the_csv_is_read_back_as_the_very_same_specifications() {
        let specs = of(FILE);
        let written = csv(&specs).expect("written");
        assert_eq!(of(&written), specs);
        // These are what `iepm apply` compares.
        let fields = |specs: &[ToolSpec]| specs.iter().map(ToolSpec::fields).collect::<Vec<_>>();
        assert_eq!(fields(&of(&written)), fields(&specs));
    }

    #[test]
    fn every_column_of_the_table_is_written() {
        let written = csv(&of(FILE)).expect("written");
        let row = "x,s,iperf,background-syn,30,1800,bw-iperf-client,1,-p 5000,,,28,,,,0,,10,,,,";
        assert_eq!(written.lines().last(), Some(row));
        assert_eq!(
            written.lines().nth(1),
            Some(
                "#srcNodeID,destNodeID,toolName,testtype,time2run,runinterval,toolPath,toolDo,toolOpts1,toolOpts2,\
                 toolopts3,daystoanalyze,datatoanalyze,variant,phase,jitter,latestart,grace,dailybytes,dailyseconds,\
                 hours,pingbeside"
            )
        );
    }

    #[test]
    fn the_originals_columns_are_shown() {
        let specs = of(FILE);
        let lines: Vec<Line<'_>> = specs[..1].iter().map(line).collect();
        assert_eq!(
            text(&lines),
            "DESTNODE  TOOLNAME  TESTTYPE    DAYS  DATATOANALYZE\n\
             d         ping      background     7  ping:avg=w p lt 2 pt 5\n"
        );
    }

    #[test]
    fn what_was_retired_is_left_out_and_what_is_wrong_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = Store::of(&store::of_test(folder.path()), PATIENCE);
        store.create().expect("made");
        store.unchecked(|session| store::migrate(session, Timestamp(0))).expect("migrated");
        store
            .transaction(|session| {
                session.execute(
                    "INSERT INTO TOOLSPECS (srcNodeID, destNodeID, toolName, toolPath, testtype, time2run, \
                     runinterval, retiredepoch) VALUES ('s', 'd', 'ping', 'ping', 'background', 15, 600, NULL), \
                     ('s', 'e', 'ping', 'ping', 'background', 15, 600, 5), \
                     ('s', 'f', 'ping', 'ping', 'background', 15, 0, NULL), \
                     ('o', 'f', 'ping', 'ping', 'background', 15, 0, NULL)",
                    &[],
                )
            })
            .expect("written");
        let (specs, faults) = store.read(|session| specs(session, "s")).expect("read");
        assert_eq!(specs.len(), 1);
        assert_eq!(specs[0].key.dest.as_str(), "d");
        assert!(faults[0].starts_with("toolspecsID 3 is wrong: runinterval"), "{faults:?}");
    }
}

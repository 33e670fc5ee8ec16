//! A test over TCP: what is agreed upon, the streams, and the end.

use socket2::SockRef;
use station::world::signals::Stop;

use super::{
    Args, kernel, line::Line, run::Test, screen::Screen, stream::Stream, trouble::Trouble,
};
use crate::{
    protocol::{AcceptedTcp, Answer, Join, Request, TcpProposal, Wrong},
    report::{Outcome, Run, TcpSetup},
};

const USUAL_BLOCK: u32 = 64 << 10;
/// Streams that are joined side by side: on a long path it would take minutes one after the other. A server holds 64
/// connections of an address that have said nothing, and others come from there too.
const SIDE_BY_SIDE: usize = 16;

/// Carries out a test. What came of it is in `run` then, also where it did not come to its end.
pub(super) fn measure(
    args: &Args,
    stop: &Stop,
    screen: &mut Screen,
    run: &mut Run,
) -> Result<(), Trouble> {
    let mut line = Line::to(&args.addresses()?, args, stop)?;
    run.server = Some(line.server);
    run.from = line.stream.local_addr().ok();
    let accepted = propose(args, &mut line)?;
    if accepted.duration_s < args.duration {
        let (granted, wanted) = (accepted.duration_s, args.duration);
        run.warnings.push(format!("the server lets a test last {granted} s, and not {wanted}"));
    }
    let (streams, remote_window) = join(args, &accepted, &line, stop)?;
    let setup = setup(args, &accepted, &streams, remote_window)?;
    screen.begin(&setup)?;
    let mut test = Test::of(setup, streams);
    let ended = test.carry_out(&mut line, stop, screen);
    let sent = test.sent();
    let mut outcome = test.conclude(screen)?;
    let reported = ended.and_then(|()| report(&mut line, &sent));
    outcome.server_octets = reported.as_ref().ok().copied();
    run.outcome = Some(Outcome::Tcp(outcome));
    reported.map(drop)
}

fn propose(args: &Args, line: &mut Line<'_>) -> Result<AcceptedTcp, Trouble> {
    line.say(&Request::Tcp(TcpProposal {
        streams: args.streams,
        duration_s: args.duration,
        block: args.length.unwrap_or(USUAL_BLOCK),
        window: args.window,
    }))?;
    match line.hear("proposing a test")? {
        Answer::Tcp(accepted) if (1..=args.duration).contains(&accepted.duration_s) => Ok(accepted),
        Answer::Refused(cause, why) => Err(Trouble::Refused(cause, why)),
        _ => Err(senseless("answering a proposal")),
    }
}

pub(super) fn senseless(doing: &str) -> Trouble {
    Trouble::Broken(format!("{doing}: the server says what has no place there"))
}

/// Connects the streams; gives the first one's receive buffer at the server as well.
fn join(
    args: &Args,
    accepted: &AcceptedTcp,
    control: &Line<'_>,
    stop: &Stop,
) -> Result<(Vec<Stream>, u32), Trouble> {
    let (mut streams, mut window) = (Vec::new(), 0);
    let numbers: Vec<u16> = (0..args.streams).collect();
    for numbers in numbers.chunks(SIDE_BY_SIDE) {
        let begun = numbers.iter().map(|_| Line::begin(control.server, args, stop));
        let begun = begun.collect::<Result<Vec<_>, _>>()?;
        let mut asked = Vec::new();
        for (line, number) in begun.into_iter().zip(numbers) {
            let mut line = line.greeted()?;
            line.say(&Request::Join(Join { token: accepted.token, stream: *number }))?;
            asked.push(line);
        }
        for mut line in asked {
            let Answer::Joined(theirs) = line.hear("joining a stream")? else {
                return Err(senseless("joining a stream"));
            };
            window = if streams.is_empty() { theirs } else { window };
            streams.push(Stream::of(line.stream));
        }
    }
    Ok((streams, window))
}

fn setup(
    args: &Args,
    accepted: &AcceptedTcp,
    streams: &[Stream],
    remote_window: u32,
) -> Result<TcpSetup, Trouble> {
    let ours = Trouble::ours("asking for a stream's properties");
    let first = &streams.first().ok_or_else(|| senseless("joining streams"))?.socket;
    let window = SockRef::from(first).send_buffer_size().map_err(ours)?;
    let view = kernel::look(first).unwrap_or_default();
    Ok(TcpSetup {
        local_window: u32::try_from(window).unwrap_or(u32::MAX),
        remote_window,
        block: args.length.unwrap_or(USUAL_BLOCK),
        mtu: view.mtu,
        mss: view.mss,
        duration_s: accepted.duration_s,
        interval_s: args.interval,
        streams: args.streams,
    })
}

/// The end of a test as the server knows it: octets that it has received, of those of each stream that were sent.
fn report(line: &mut Line<'_>, sent: &[u64]) -> Result<u64, Trouble> {
    line.say(&Request::Finished)?;
    let Answer::TcpReport(octets) = line.hear("waiting for the server's word at the test's end")?
    else {
        return Err(senseless("ending the test"));
    };
    if octets.len() != sent.len() {
        let (told, streams) = (octets.len(), sent.len());
        return Err(
            Wrong::new("a report", format!("of {told} streams, where {streams} are")).into()
        );
    }
    if let Some((octets, sent)) = octets.iter().zip(sent).find(|(octets, sent)| octets > sent) {
        let what = format!("{octets} octets of a stream came, of which {sent} were sent");
        return Err(Wrong::new("a report", what).into());
    }
    Ok(octets.iter().sum())
}

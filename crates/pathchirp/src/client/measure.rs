//! The socket of a client: chirps are taken as they come, and each is answered.

use std::{io, net::SocketAddr, os::fd::AsFd, time::Duration};

use station::world::signals::{Stop, wait_for};
use timed_udp::{
    clock::{Moment, Mono},
    inbox::{Inbox, StampedBy},
};

use super::{
    Args,
    agree::{self, Agreed},
    book::{Arrived, Book, Came},
    course::{Course, Estimate},
    tell,
    trouble::Trouble,
};
use crate::protocol::{
    message::{self, Answer, Asked, End, Wish},
    packet::{self, Packet},
    pause,
};

/// The sender is to hear of us so often.
const BEAT: Duration = Duration::from_millis(500);
/// When a chirp is due, it may be so much later.
const PATIENCE: Duration = Duration::from_secs(5);
/// However long the pauses are.
const MOST_PATIENCE: Duration = Duration::from_secs(600);
/// The network may say so often that the sender is gone while something of it still waits to be taken: as often as
/// chirps wait that are answered, and these are few.
const MOST_FAILURES: u32 = 1_000;

/// What there is in the end.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) sender: SocketAddr,
    pub(super) wish: Wish,
    pub(super) granted: Wish,
    pub(super) course: Course,
    /// Packets that our own queue dropped.
    pub(super) own_drops: u32,
    /// Packets that had no stamp of the kernel.
    pub(super) unstamped: u64,
    /// Packets that were no part of it.
    pub(super) strange: u64,
}

impl Measured {
    /// What is to be known of the figures.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = tell::granted(&self.wish, &self.granted);
        warnings.extend(self.course.warnings());
        if self.unstamped > 0 {
            warnings.push(format!(
                "{} of {} packets had no stamp of the kernel: they were stamped when they were read, which is late",
                self.unstamped, self.course.received
            ));
        }
        warnings
    }
}

/// Carries out the measurement: what there is of it, and what stood in its way.
pub(super) fn measure(args: &Args, stop: &Stop) -> (Option<Measured>, Option<Trouble>) {
    let agreed = agree::find(args).and_then(|all| {
        let agreed = agree::agree(args, &all, stop);
        tell::sender(agree::whose(&agreed, all[0]).ip());
        agreed
    });
    let agreed = match agreed {
        Ok(agreed) => agreed,
        Err(trouble) => return (None, Some(trouble)),
    };
    let mut run = Run::new(args, &agreed, stop);
    let outcome = check(args, &agreed).and_then(|()| run.run());
    run.send(&Asked::End { session: agreed.session, why: End::Stopped });
    (Some(run.measured()), outcome.err())
}

/// Whether what was granted is enough.
fn check(args: &Args, agreed: &Agreed) -> Result<(), Trouble> {
    let granted = &agreed.granted;
    let average = message::rate(granted.average);
    let shape = granted.shape(granted.low, granted.high, agreed.headers());
    let seconds = granted.duration / 1_000;
    if shape.bits() * super::LEAST_CHIRPS <= average * f64::from(seconds)
        || seconds >= args.duration
    {
        Ok(())
    } else {
        Err(Trouble::TooLittle(average / 1e6, seconds))
    }
}

fn granted_time(args: &Args, agreed: &Agreed) -> Duration {
    let granted = Duration::from_millis(agreed.granted.duration.into());
    granted.min(Duration::from_secs(args.duration.into()))
}

/// A rate as it is asked for.
pub(super) fn whole(rate: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped")]
    let rate = rate as u64;
    rate.clamp(message::LEAST_RATE, message::MOST_RATE)
}

struct Run<'a> {
    args: &'a Args,
    agreed: &'a Agreed,
    stop: &'a Stop,
    book: Book,
    course: Course,
    inbox: Inbox,
    dropped: u32,
    unstamped: u64,
    last_chirp: u32,
    /// When we said something last.
    said: Mono,
    /// When we heard something last.
    heard: Mono,
    /// When a session as long as was granted, and no longer than was asked for, is over.
    over: Mono,
}

impl<'a> Run<'a> {
    fn new(args: &'a Args, agreed: &'a Agreed, stop: &'a Stop) -> Self {
        let now = Mono::now();
        let (granted, headers) = (agreed.granted, agreed.headers());
        Self {
            args,
            agreed,
            stop,
            book: Book::new(agreed.session, granted, headers),
            course: Course::new(args.plan(&granted, headers)),
            inbox: Inbox::new(packet::LEAST),
            dropped: agreed.socket.dropped(),
            unstamped: 0,
            last_chirp: 0,
            said: now,
            heard: now,
            over: now + granted_time(args, agreed),
        }
    }

    fn run(&mut self) -> Result<(), Trouble> {
        loop {
            if self.stop.asked() {
                return Err(Trouble::Interrupted);
            }
            let beat = self.said + BEAT;
            let next = self.book.until().map_or(beat, |until| until.min(beat));
            wait_for(&[self.agreed.socket.as_fd(), self.stop.fd()], next.since(Mono::now()));
            let ended = self.receive()?;
            let now = Mono::now();
            if let Some(came) = self.book.look(now) {
                self.finish(&came)?;
            }
            if now >= self.said + BEAT {
                self.feedback();
            }
            if let Some(why) = ended {
                return self.ended(why);
            }
            // Where the sender's last word was lost, the time is over all the same.
            if now >= self.over + PATIENCE && self.course.chirps > 0 {
                return self.ended(End::Over);
            }
            self.is_anybody_there(now)?;
        }
    }

    /// Takes all that is there. The sender's word if it ended the session.
    fn receive(&mut self) -> Result<Option<End>, Trouble> {
        let (mut failed, mut failures) = (None, 0);
        loop {
            match self.inbox.receive(&self.agreed.socket) {
                Ok(0) => return failed.map_or(Ok(None), |error| Err(self.gone(&error))),
                Ok(_) => {
                    let ended = self.take()?;
                    if ended.is_some() {
                        return Ok(ended);
                    }
                }
                // Each answer of ours may have met a closed port, and the kernel tells that before it gives what had
                // come until then, the sender's last word among it.
                Err(error) if failures < MOST_FAILURES => {
                    failures += 1;
                    failed = Some(error);
                }
                Err(error) => return Err(self.gone(&error)),
            }
        }
    }

    /// Takes the batch that was received.
    fn take(&mut self) -> Result<Option<End>, Trouble> {
        let now = Moment::now();
        self.heard = now.mono;
        let (mut finished, mut ended) = (Vec::new(), None);
        for (arrival, octets) in self.inbox.batch() {
            if Packet::is_one(octets) {
                let Ok(packet) = Packet::read(octets) else { continue };
                self.unstamped += u64::from(arrival.stamped_by == StampedBy::Reader);
                let arrived = Arrived { wall: arrival.received, mono: now.mono };
                self.last_chirp = self.last_chirp.max(packet.chirp);
                finished.extend(self.book.take(&packet, arrived));
            } else if let Ok(Answer::End { session, why }) = Answer::read(octets)
                && session == self.agreed.session
            {
                ended = Some(why);
            }
        }
        for came in finished {
            self.finish(&came)?;
        }
        Ok(ended)
    }

    /// A chirp is finished: what it says, and what is to be next.
    fn finish(&mut self, came: &Came) -> Result<(), Trouble> {
        let dropped = self.agreed.socket.dropped();
        let drops = dropped.wrapping_sub(self.dropped);
        self.dropped = dropped;
        let before = self.course.range();
        let estimate = self.course.take(came, drops);
        tell::chirp(came, estimate.as_ref());
        if let Some(estimate) = estimate.filter(|_| !self.args.json) {
            print(&estimate)?;
        }
        if self.course.range() != before {
            tell::range(self.course.range());
        }
        self.feedback();
        Ok(())
    }

    fn feedback(&mut self) {
        let range = self.course.range();
        self.send(&Asked::Feedback {
            session: self.agreed.session,
            chirp: self.last_chirp,
            low: whole(range.low),
            high: whole(range.high),
        });
        self.said = Mono::now();
    }

    fn send(&self, asked: &Asked) {
        // What the network says of it is heard when something is received.
        let _ = self.agreed.socket.send(&asked.octets());
    }

    fn ended(&mut self, why: End) -> Result<(), Trouble> {
        if let Some(came) = self.book.finish() {
            self.finish(&came)?;
        }
        let sender = self.agreed.sender;
        match why {
            End::Over => Ok(()),
            End::Stopped => Err(Trouble::Stopped(sender)),
            End::Silence => Err(Trouble::Unheard(sender)),
        }
    }

    fn is_anybody_there(&self, now: Mono) -> Result<(), Trouble> {
        let range = self.course.range();
        let shape = crate::shape::Shape {
            low: range.low,
            high: range.high,
            ..self.agreed.granted.shape(1, 1, self.agreed.headers())
        };
        let pause = pause::longest(&shape, message::rate(self.agreed.granted.average));
        let patience = PATIENCE + pause.min(MOST_PATIENCE);
        if now.since(self.heard) >= patience {
            let why = format!("nothing has come for {} s", patience.as_secs());
            return Err(Trouble::Gone(self.agreed.sender, why));
        }
        Ok(())
    }

    fn gone(&self, error: &io::Error) -> Trouble {
        let why = if error.kind() == io::ErrorKind::ConnectionRefused {
            format!("nobody has UDP port {} there any more", self.agreed.sender.port())
        } else {
            error.to_string()
        };
        Trouble::Gone(self.agreed.sender, why)
    }

    fn measured(mut self) -> Measured {
        self.course.close();
        Measured {
            sender: self.agreed.sender,
            wish: self.args.wish(),
            granted: self.agreed.granted,
            own_drops: self.agreed.socket.dropped(),
            unstamped: self.unstamped,
            strange: self.book.strange,
            course: self.course,
        }
    }
}

fn print(estimate: &Estimate) -> Result<(), Trouble> {
    station::app::print(&tell::line(estimate)).map_err(|error| Trouble::Output(error.to_string()))
}

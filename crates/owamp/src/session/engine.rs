//! The engine: all test sessions of a process, in one thread.
//!
//! One loop: the nearest alarm of any session, packets that came, commands. Between them it sleeps, or watches the
//! clock ([`Precision`]). Another thread writes records and hands out what has ended, so neither a disk nor
//! whoever takes the events can hold up a packet.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver as Channel, TryRecvError, channel},
    },
    thread,
    time::Duration,
};

use rustix::{
    buffer::spare_capacity,
    event::{EventfdFlags, PollFd, PollFlags, Timespec, epoll, eventfd, poll},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use timed_udp::{
    clock::{KnownState, Moment, Mono, StepWatch},
    inbox::Inbox,
    pace::{Pacer, Precision, Wait},
};

use super::{
    Event, Handle,
    clocks::{ClockReport, Steps},
    handle::{Command, MOST_PADDING},
    receiver::{LOOKED_AT, Receiver},
    sender::{Press, Sender},
    sessions::{Role, Session, Sessions, Tools},
    store::Writer,
    timers::{Timers, Token},
};

/// How an engine works.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// What matters more.
    pub precision: Precision,
    /// Where records are written that are too many for the memory; in files without names.
    pub folder: PathBuf,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self { precision: Precision::Saving, folder: std::env::temp_dir() }
    }
}

/// Starts an engine; what it tells comes out of the channel.
///
/// # Errors
/// As [`start_with`].
pub fn start(settings: &EngineSettings) -> io::Result<(Handle, Channel<Event>)> {
    let (sender, events) = channel();
    // Who has no more interest in the events drops his end.
    let handle = start_with(settings, move |event| drop(sender.send(event)))?;
    Ok((handle, events))
}

/// Starts an engine that gives what it tells to `take`, in a thread where that may take its time.
///
/// # Errors
/// The process has no more threads or descriptors, or the machine no random numbers.
pub fn start_with(
    settings: &EngineSettings,
    take: impl FnMut(Event) + Send + 'static,
) -> io::Result<Handle> {
    raise_descriptors();
    let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
    let mut random = vec![0; MOST_PADDING + 64];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let (handle, commands) = Handle::new(Arc::clone(&wake));
    let (writer, jobs) = Writer::new(&settings.folder);
    let precision = settings.precision;
    thread::Builder::new().name("records".into()).spawn(move || jobs.work(take))?;
    let work = move || Engine::new(precision, (epoll, wake), commands, random, writer).run();
    thread::Builder::new().name("sessions".into()).spawn(work)?;
    Ok(handle)
}

/// A session has a socket, and may have a file: as many as the system allows, and not the 1,024 of old.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised, opening a socket will tell.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// The event of commands; no session has this token.
const WAKE: u64 = u64::MAX;
/// While it watches the clock or is late, packets that came are looked for this often.
const POLL_EVERY: Duration = Duration::from_micros(200);
/// Alarms that go off before packets are looked for.
const MOST_ALARMS: usize = 256;
/// The wall clock is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const MOST_EVENTS: usize = 64;

struct Engine {
    pacer: Pacer,
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    commands: Channel<Command>,
    sessions: Sessions,
    timers: Timers,
    tools: Tools,
    steps: Steps,
    watch: StepWatch,
    next_look: Mono,
    polled: Mono,
}

impl Engine {
    /// In its own thread, whose timers it sets right.
    fn new(
        precision: Precision,
        (epoll, wake): (OwnedFd, Arc<OwnedFd>),
        commands: Channel<Command>,
        random: Vec<u8>,
        writer: Writer,
    ) -> Self {
        let now = Moment::now();
        let (inbox, press) = (Inbox::new(LOOKED_AT), Press::new(random));
        Self {
            pacer: Pacer::new(precision),
            epoll,
            wake,
            commands,
            sessions: Sessions::default(),
            timers: Timers::default(),
            tools: Tools { inbox, press, state: KnownState::ask(now.mono), writer },
            steps: Steps::default(),
            watch: StepWatch::begin(now),
            next_look: now.mono,
            polled: now.mono,
        }
    }

    fn run(mut self) {
        let mut events = Vec::with_capacity(MOST_EVENTS);
        loop {
            self.look_at_clock();
            self.sound_alarms();
            let is_told = self.rest(&mut events);
            if is_told && !self.obey() {
                return;
            }
        }
    }

    fn look_at_clock(&mut self) {
        if Mono::now() >= self.next_look {
            let now = Moment::now();
            self.next_look = now.mono + LOOK_EVERY;
            if let Some(step) = self.watch.look(now) {
                self.steps.note(step);
            }
        }
    }

    fn sound_alarms(&mut self) {
        for _ in 0..MOST_ALARMS {
            let Some((at, token)) = self.timers.pop(Mono::now()) else { return };
            let Some(session) = self.sessions.get(token).filter(|it| it.alarm == at) else {
                continue;
            };
            match session.role.act(&mut self.tools) {
                Some(next) => {
                    session.alarm = next;
                    self.timers.set(next, token);
                }
                None => self.finish(token),
            }
        }
    }

    /// Waits for what comes next, and receives packets; whether there are commands.
    fn rest(&mut self, events: &mut Vec<epoll::Event>) -> bool {
        let now = Mono::now();
        let wait = self.timers.next().map(|next| self.pacer.wait(now, next));
        match wait {
            None => self.poll(None, events),
            Some(Wait::Sleep(wake)) => self.poll(Some((now, wake)), events),
            Some(Wait::Watch | Wait::Over) if now.since(self.polled) >= POLL_EVERY => {
                self.poll(Some((now, now)), events)
            }
            Some(Wait::Watch) => {
                std::hint::spin_loop();
                false
            }
            Some(Wait::Over) => false,
        }
    }

    fn poll(&mut self, until: Option<(Mono, Mono)>, events: &mut Vec<epoll::Event>) -> bool {
        let is_there = sleep(&self.epoll, until);
        self.polled = Mono::now();
        if !is_there {
            if let Some((_, wake)) = until.filter(|(now, wake)| wake > now) {
                self.pacer.woke(wake, self.polled);
            }
            return false;
        }
        events.clear();
        // It is interrupted by a signal, or has something at once.
        let _ = epoll::wait(&self.epoll, spare_capacity(events), Some(&NO_TIME));
        let mut is_told = false;
        for event in events.iter() {
            match event.data.u64() {
                WAKE => is_told = true,
                token => self.receive(Token::from_u64(token)),
            }
        }
        is_told
    }

    fn receive(&mut self, token: Token) {
        let Tools { inbox, state, writer, .. } = &mut self.tools;
        if let Some(Session { role: Role::Receiver(receiver), .. }) = self.sessions.get(token) {
            receiver.take(inbox, state, writer);
        }
    }

    /// Does what it is told; false if nobody is left to tell anything.
    fn obey(&mut self) -> bool {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.wake, &mut count);
        loop {
            match self.commands.try_recv() {
                Ok(Command::Send(spec, now)) => {
                    let (id, sender) = (spec.id, Sender::new(*spec, now));
                    self.begin(id, Role::Sender(Box::new(sender)));
                }
                Ok(Command::Receive(spec, now)) => {
                    let (id, receiver) = (spec.id, Receiver::new(*spec, now));
                    self.begin(id, Role::Receiver(Box::new(receiver)));
                }
                Ok(Command::Stop { id, linger, next }) => self.stop(id, linger, next),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn begin(&mut self, id: u64, role: Role) {
        let now = Mono::now();
        let clock = self.tools.state.at(now);
        let steps = self.steps.count();
        let token = self.sessions.add(Session { id, role, alarm: now, clock, steps });
        if let Some(Session { role: Role::Receiver(receiver), .. }) = self.sessions.get(token) {
            let data = epoll::EventData::new_u64(token.to_u64());
            // Fails only for want of memory; the session is looked after once a second all the same.
            let _ = epoll::add(&self.epoll, receiver.socket.as_fd(), data, epoll::EventFlags::IN);
        }
        self.timers.set(now, token);
    }

    fn stop(&mut self, id: u64, linger: Duration, next: Option<u32>) {
        let now = Mono::now();
        let Some(token) = self.sessions.token(id) else { return };
        match self.sessions.get(token) {
            Some(Session { role: Role::Receiver(receiver), alarm, .. }) => {
                receiver.stop(now + linger, next);
                *alarm = now;
                self.timers.set(now, token);
            }
            _ => self.finish(token),
        }
    }

    fn finish(&mut self, token: Token) {
        // A step of the last second belongs to it, too.
        self.next_look = Mono::default();
        self.look_at_clock();
        let Some(session) = self.sessions.remove(token) else { return };
        let Session { id, role, clock: at_start, steps, .. } = session;
        let at_end = self.tools.state.at(Mono::now());
        let clock = ClockReport { at_start, at_end, steps: self.steps.after(steps) };
        self.tools.writer.hand_out(match role {
            Role::Sender(sender) => Event::Sent { id, report: sender.report(), clock },
            Role::Receiver(receiver) => Event::Received { id, report: receiver.report(), clock },
        });
    }
}

const NO_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// Waits until something is there or the time is; whether something is. To the nanosecond, which `epoll_wait` does
/// not.
fn sleep(epoll: &OwnedFd, until: Option<(Mono, Mono)>) -> bool {
    let time = until.map(|(now, wake)| {
        let length = wake.since(now);
        Timespec {
            tv_sec: i64::try_from(length.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: length.subsec_nanos().into(),
        }
    });
    poll(&mut [PollFd::new(epoll, PollFlags::IN)], time.as_ref()).is_ok_and(|count| count > 0)
}

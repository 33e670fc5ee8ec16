//! The records of a session: in memory as long as they are few, then in a file that has no name. The thread that
//! keeps the time never waits for a disk: another one writes, and hands out what has ended.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
};

use super::Event;
use crate::protocol::Record;

/// Records that a session keeps in memory; then they go to its file together. 16 kB.
const IN_MEMORY: usize = 640;
/// Octets of these: a part of the file.
const PART: usize = IN_MEMORY * Record::LENGTH;
/// Parts that may wait for the disk, of all sessions: 8 MB. What comes while the disk is that far behind is counted
/// and not kept.
const MOST_WAITING: usize = 512;
const RECORD: u64 = Record::LENGTH as u64;

/// The records of one session.
#[derive(Debug)]
pub struct Records {
    memory: Vec<u8>,
    overflow: Option<Arc<Overflow>>,
    /// Octets that were given to the file: whole parts.
    given: u64,
    most: u64,
    not_kept: u64,
}

impl Records {
    /// None yet; at most `most` will be kept.
    pub(crate) const fn new(most: u64) -> Self {
        Self { memory: Vec::new(), overflow: None, given: 0, most, not_kept: 0 }
    }

    /// How many are kept.
    #[must_use]
    pub const fn count(&self) -> u64 {
        (self.given + self.memory.len() as u64) / RECORD
    }

    /// Octets of memory that they take.
    pub(crate) const fn memory(&self) -> usize {
        self.memory.capacity()
    }

    /// How many there would have been besides: beyond the most that were to be kept, or when the disk was full or
    /// too slow.
    #[must_use]
    pub const fn not_kept(&self) -> u64 {
        self.not_kept
    }

    /// The records, in the order in which they were made. An error says that the file cannot be read, and is the
    /// last item.
    #[must_use]
    pub const fn iter(&self) -> Iter<'_> {
        Iter { records: self, part: Vec::new(), at: 0, read: 0, is_over: false }
    }

    pub(super) fn push(&mut self, record: &Record, writer: &Writer) {
        let is_full = self.count() >= self.most || self.is_broken();
        if is_full || (self.memory.len() >= PART && !self.give(writer)) {
            self.not_kept += 1;
            return;
        }
        self.memory.extend_from_slice(&record.to_bytes());
    }

    fn is_broken(&self) -> bool {
        self.overflow.as_ref().is_some_and(|overflow| overflow.is_broken.load(Ordering::Relaxed))
    }

    /// Has what is in memory written; whether that can be.
    fn give(&mut self, writer: &Writer) -> bool {
        if self.overflow.is_none() {
            self.overflow = writer.overflow().ok().map(Arc::new);
        }
        let Some(overflow) = self.overflow.clone().filter(|_| writer.has_room()) else {
            return false;
        };
        let octets = std::mem::replace(&mut self.memory, Vec::with_capacity(PART));
        self.given += octets.len() as u64;
        writer.write(Part { overflow, octets });
        true
    }

    /// After the last part was written: if the disk failed, what lies behind is gone.
    fn settle(&mut self) {
        let Some(overflow) = self.overflow.as_ref().filter(|_| self.is_broken()) else { return };
        let written = overflow.written.load(Ordering::Relaxed);
        self.not_kept += (self.given - written + self.memory.len() as u64) / RECORD;
        self.given = written;
        self.memory.clear();
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = io::Result<Record>;
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Goes through the records of a session.
#[derive(Debug)]
pub struct Iter<'a> {
    records: &'a Records,
    part: Vec<u8>,
    at: usize,
    read: u64,
    is_over: bool,
}

impl Iter<'_> {
    /// Takes up the next part of the file, or what is in memory; whether there was any.
    fn next_part(&mut self) -> io::Result<bool> {
        if self.is_over {
            return Ok(false);
        }
        self.at = 0;
        match &self.records.overflow {
            Some(overflow) if self.read < self.records.given => {
                self.part.resize(PART, 0);
                overflow.file.read_exact_at(&mut self.part, self.read)?;
                self.read += PART as u64;
            }
            _ => {
                self.part.clone_from(&self.records.memory);
                self.is_over = true;
            }
        }
        Ok(true)
    }
}

impl Iterator for Iter<'_> {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(octets) = self.part.get(self.at..).and_then(<[u8]>::first_chunk) {
                self.at += Record::LENGTH;
                return Some(Ok(Record::from_bytes(octets)));
            }
            match self.next_part() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    (self.is_over, self.at) = (true, self.part.len());
                    return Some(Err(error));
                }
            }
        }
    }
}

/// A file, and how much of it could be written.
#[derive(Debug)]
struct Overflow {
    file: File,
    written: AtomicU64,
    is_broken: AtomicBool,
}

/// Records as octets, on their way to a file.
#[derive(Debug)]
struct Part {
    overflow: Arc<Overflow>,
    octets: Vec<u8>,
}

impl Part {
    fn write(&self) {
        let Part { overflow, octets } = self;
        let written = overflow.written.load(Ordering::Relaxed);
        let is_broken = overflow.is_broken.load(Ordering::Relaxed)
            || overflow.file.write_all_at(octets, written).is_err();
        overflow.is_broken.store(is_broken, Ordering::Relaxed);
        if !is_broken {
            overflow.written.store(written + octets.len() as u64, Ordering::Relaxed);
        }
    }
}

#[derive(Debug)]
enum Job {
    Write(Part),
    HandOut(Event),
}

/// The way to the thread that writes and hands out: one after the other, so that a session is handed out when its
/// records are written.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Sender<Job>,
    waiting: Arc<AtomicUsize>,
    folder: Box<Path>,
}

/// What that thread works through.
#[derive(Debug)]
pub(super) struct Jobs {
    jobs: Receiver<Job>,
    waiting: Arc<AtomicUsize>,
}

impl Writer {
    /// With files in `folder`.
    pub(super) fn new(folder: &Path) -> (Self, Jobs) {
        let (sender, jobs) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let writer = Self { jobs: sender, waiting: Arc::clone(&waiting), folder: folder.into() };
        (writer, Jobs { jobs, waiting })
    }

    pub(super) fn hand_out(&self, event: Event) {
        // The thread lives as long as anybody can give it something to do.
        let _ = self.jobs.send(Job::HandOut(event));
    }

    fn has_room(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < MOST_WAITING
    }

    fn overflow(&self) -> io::Result<Overflow> {
        let file = tempfile::tempfile_in(&self.folder)?;
        Ok(Overflow { file, written: AtomicU64::new(0), is_broken: AtomicBool::new(false) })
    }

    fn write(&self, part: Part) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _ = self.jobs.send(Job::Write(part));
    }
}

impl Jobs {
    /// Works until there is nobody left to give something to do.
    pub(super) fn work(self, mut take: impl FnMut(Event)) {
        for job in &self.jobs {
            match job {
                Job::Write(part) => {
                    part.write();
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                }
                Job::HandOut(mut event) => {
                    if let Event::Received { report, .. } = &mut event {
                        report.records.settle();
                    }
                    take(event);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use timed_udp::ntp::NtpTime;

    use super::*;

    fn record(seq: u32) -> Record {
        Record {
            seq,
            sent: NtpTime(seq.into()),
            send_error: None,
            received: None,
            receive_error: None,
            ttl: 255,
        }
    }

    fn numbers(records: &Records) -> Vec<u32> {
        records.iter().map(|record| record.expect("it is read").seq).collect()
    }

    #[test]
    fn records_come_back_in_their_order_from_file_and_memory() {
        let folder = tempfile::tempdir().expect("a folder");
        let (writer, jobs) = Writer::new(folder.path());
        let mut records = Records::new(u64::MAX);
        for seq in 0..5_000 {
            records.push(&record(seq), &writer);
        }
        drop(writer);
        jobs.work(|_| {});
        records.settle();
        assert!(records.memory.len() <= PART && records.given > 0);
        assert!(numbers(&records).into_iter().eq(0..5_000));
        assert_eq!((records.count(), records.not_kept()), (5_000, 0));
        let left = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(left, 0, "the file has no name");
    }

    #[test]
    fn no_more_are_kept_than_were_asked_for() {
        let (writer, _jobs) = Writer::new(Path::new("/nowhere"));
        let mut records = Records::new(3);
        (0..10).for_each(|seq| records.push(&record(seq), &writer));
        assert_eq!((numbers(&records), records.not_kept()), (vec![0, 1, 2], 7));
    }

    #[test]
    fn without_a_disk_there_are_those_in_memory_and_the_rest_is_counted() {
        let (writer, _jobs) = Writer::new(Path::new("/nowhere"));
        let mut records = Records::new(u64::MAX);
        (0..1_000).for_each(|seq| records.push(&record(seq), &writer));
        assert_eq!((records.count(), records.not_kept()), (640, 360));
    }

    #[test]
    fn a_disk_that_is_too_slow_stops_nobody_and_a_full_one_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let (writer, jobs) = Writer::new(folder.path());
        let mut records = Records::new(u64::MAX);
        let most = u32::try_from((MOST_WAITING + 1) * IN_MEMORY).expect("small");
        // Nobody writes yet.
        (0..most + 100).for_each(|seq| records.push(&record(seq), &writer));
        assert_eq!((records.count(), records.not_kept()), (most.into(), 100));
        let full = File::open("/dev/null").expect("a file that cannot be written");
        let (written, is_broken) = (AtomicU64::new(0), AtomicBool::new(false));
        let overflow = Arc::new(Overflow { file: full, written, is_broken });
        Part { overflow: Arc::clone(&overflow), octets: vec![0; 25] }.write();
        assert!(overflow.is_broken.load(Ordering::Relaxed));
        records.overflow = Some(overflow);
        records.settle();
        assert_eq!((records.count(), records.not_kept()), (0, u64::from(most) + 100));
        drop((writer, jobs));
    }
}

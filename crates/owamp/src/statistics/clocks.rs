//! What the clocks of both ends are worth.

use timed_udp::ntp::ErrorEstimate;

use super::{
    Known,
    packets::{self, Packet, Packets},
};

/// What both clocks said of themselves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Clocks {
    /// Whether both were held to be synchronised, with every packet; of a lost one its receiver's alone tells. None
    /// if neither told.
    pub synchronised: Option<bool>,
    /// The largest error that a packet's two time stamps together admit to, seconds; none if neither told.
    pub error_s: Option<f64>,
    /// Packets whose delay is below zero by more than the error that they admit to: an estimate is wrong.
    pub impossible: u64,
    /// How often our clock was set meanwhile.
    pub steps: u64,
    /// The largest of these steps, nanoseconds, with its sign.
    pub largest_step: Option<i64>,
}

impl Clocks {
    pub(super) fn of(known: &Known, packets: &Packets<'_>) -> Self {
        let steps = known.clock_steps.iter().copied();
        let mut clocks = Self {
            steps: super::count(steps.clone()),
            largest_step: steps.max_by_key(|step| step.unsigned_abs()),
            ..Self::default()
        };
        packets.all.iter().for_each(|packet| clocks.note(packet));
        clocks
    }

    fn note(&mut self, packet: &Packet<'_>) {
        // What stands for the sender of a lost packet is its receiver's guess.
        let sender = packet.record.send_error.filter(|_| packet.came);
        let told = || sender.into_iter().chain(packet.record.receive_error);
        if told().next().is_none() {
            return;
        }
        let known = told().count() == 1 + usize::from(packet.came);
        let synchronised = known && told().all(|estimate| estimate.synchronised);
        self.synchronised = Some(self.synchronised.unwrap_or(true) && synchronised);
        let error_s: f64 = told().map(ErrorEstimate::seconds).sum();
        self.error_s = Some(self.error_s.unwrap_or(0.0).max(error_s));
        if packet.came {
            let delay = packets::delay(packet.record).unwrap_or(0);
            #[expect(
                clippy::cast_precision_loss,
                reason = "of what is nearly equal either will do"
            )]
            let is_impossible = (delay as f64) / 1e9 < -error_s;
            self.impossible += u64::from(is_impossible);
        }
    }
}

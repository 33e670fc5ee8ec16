//! What of a Request-Session is granted, before anything is opened. Pure.

use std::{net::IpAddr, time::Duration};

use timed_udp::ntp::NtpTime;

use super::{classes::Class, rate::Rate, usage::Amount};
use crate::{
    protocol::{Accept, Mode, Record, RequestSession},
    session::{MOST_OPEN, OPEN, nanos_of_units},
};

/// Whose request it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) peer: IpAddr,
    /// Our address of the control connection.
    pub(super) local: IpAddr,
    pub(super) mode: Mode,
    pub(super) class: &'a Class,
    pub(super) now: NtpTime,
}

/// What is to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// Our address.
    pub(super) ours: IpAddr,
    /// The other one.
    pub(super) theirs: IpAddr,
    pub(super) dscp: u8,
    pub(super) timeout: Duration,
    /// What we send is not sent any more when it is later than this.
    pub(super) too_late: Duration,
    /// What goes on as long as the session.
    pub(super) going: Amount,
    /// The most records that it may have.
    pub(super) records: u64,
}

impl Plan {
    /// What its records take.
    pub(super) fn room(&self) -> Amount {
        Amount { disk: self.records * Record::LENGTH as u64, ..Amount::default() }
    }
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) accept: Accept,
    pub(super) why: String,
}

impl Refused {
    pub(super) fn new(accept: Accept, why: impl Into<String>) -> Self {
        Self { accept, why: why.into() }
    }
}

const LONGEST_TIMEOUT: Duration = Duration::from_secs(86_400);
/// Packets may come more than once, and have a record each time: there is room for so many of each.
const COPIES: u64 = 2;
/// Sessions that we send begin at most so long ago: what is past would leave at once.
const OLDEST_START: Duration = Duration::from_secs(5);

/// What is granted.
pub(super) fn judge(request: &RequestSession, asker: &Asker<'_>) -> Result<Plan, Refused> {
    if request.server_sends == request.server_receives {
        let why = "the server is to be either the sender or the receiver of a session";
        return Err(Refused::new(Accept::NotSupported, why));
    }
    let (ours, theirs) = ends(request, asker)?;
    let rate = Rate::of(request, asker.mode)?;
    if request.server_sends {
        starts_soon(request.start, asker.now)?;
        rate.is_steady()?;
    }
    let timeout = Duration::from_nanos(nanos_of_units(request.timeout));
    if timeout > LONGEST_TIMEOUT {
        let why = format!("a time-out of {} s, where a day is the longest", timeout.as_secs());
        return Err(Refused::new(Accept::PermanentLimit, why));
    }
    let records = if request.server_receives { COPIES * u64::from(request.packets) } else { 0 };
    Ok(Plan {
        ours,
        theirs,
        dscp: dscp(request.type_p)?,
        timeout,
        too_late: timeout.min(rate.too_late()),
        going: Amount {
            bandwidth: rate.bandwidth(request.server_sends),
            disk: undecided(request),
            sessions: 1,
        },
        records,
    })
}

/// Octets of memory for the packets of which it is not known yet whether they come.
fn undecided(request: &RequestSession) -> u64 {
    let most = u64::from(request.packets).min(MOST_OPEN as u64);
    if request.server_receives { most * OPEN as u64 } else { 0 }
}

/// Our address and theirs. Packets go to who asks for them, and to nobody else, unless the class is allowed to.
fn ends(request: &RequestSession, asker: &Asker<'_>) -> Result<(IpAddr, IpAddr), Refused> {
    let (sender, receiver) =
        (request.sender.ip().to_canonical(), request.receiver.ip().to_canonical());
    let (ours, theirs) = if request.server_sends { (sender, receiver) } else { (receiver, sender) };
    let ours = if ours.is_unspecified() { asker.local } else { ours };
    let theirs = if theirs.is_unspecified() { asker.peer } else { theirs };
    if ours.is_ipv4() != theirs.is_ipv4() {
        let why = format!("{ours} and {theirs} are of different families");
        return Err(Refused::new(Accept::NotSupported, why));
    }
    if theirs != asker.peer && !asker.class.allow_third_party {
        let why = format!(
            "a session with {theirs}, where class {} may only have sessions with the client itself",
            asker.class.name
        );
        return Err(Refused::new(Accept::PermanentLimit, why));
    }
    Ok((ours, theirs))
}

/// Clocks may differ a little, and agreeing upon sessions takes its time.
fn starts_soon(start: NtpTime, now: NtpTime) -> Result<(), Refused> {
    let ago = Duration::from_nanos(now.nanos_since(start).try_into().unwrap_or(0));
    if ago <= OLDEST_START {
        return Ok(());
    }
    let (ago, most) = (ago.as_secs_f64(), OLDEST_START.as_secs());
    let why = format!(
        "it was to begin {ago:.1} s ago, where {most} s are the most: the clocks of the two hosts may differ"
    );
    Err(Refused::new(Accept::Failure, why))
}

/// RFC 4656 section 3.5: two bits of zero, and a DSCP in the next six.
fn dscp(type_p: u32) -> Result<u8, Refused> {
    if let [dscp @ 0..64, 0, 0, 0] = type_p.to_be_bytes() {
        return Ok(dscp);
    }
    let why = format!("packets of type {type_p:#010x}: only a DSCP can be asked for");
    Err(Refused::new(Accept::NotSupported, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        protocol::{Sid, Slot},
        server::classes::Classes,
        session::units_of,
    };

    const NOW: NtpTime = NtpTime(0xe000_0000_0000_0000);

    fn request() -> RequestSession {
        RequestSession {
            server_sends: true,
            server_receives: false,
            packets: 10,
            sender: "0.0.0.0:0".parse().expect("a place"),
            receiver: "192.0.2.7:9000".parse().expect("a place"),
            sid: Sid::default(),
            padding: 58,
            start: NOW,
            timeout: 2 << 32,
            type_p: 46 << 24,
            slots: vec![Slot::Exponential { mean: units_of(Duration::from_millis(100)) + 1 }],
        }
    }

    /// The same, where we receive.
    fn received(request: RequestSession) -> RequestSession {
        let (sender, receiver) = (request.receiver, request.sender);
        RequestSession { server_sends: false, server_receives: true, sender, receiver, ..request }
    }

    fn judged(request: &RequestSession) -> Result<Plan, Accept> {
        let classes = Classes::default();
        let class = classes.class(0).expect("everybody");
        let (peer, local) = ("192.0.2.7".parse().expect("a"), "192.0.2.1".parse().expect("b"));
        let asker = Asker { peer, local, mode: Mode::Open, class, now: NOW };
        judge(request, &asker).map_err(|refused| refused.accept)
    }

    #[test]
    fn a_session_with_the_client_is_granted_and_costs_what_it_costs() {
        let plan = judged(&request()).expect("granted");
        assert_eq!(
            (plan.ours.to_string(), plan.theirs.to_string()),
            ("192.0.2.1".into(), "192.0.2.7".into())
        );
        assert_eq!((plan.dscp, plan.timeout.as_secs(), plan.records), (46, 2, 0));
        assert!((7_990..=8_000).contains(&plan.going.bandwidth), "{:?}", plan.going);
        let plan = judged(&received(request())).expect("granted");
        assert_eq!((plan.room().disk, plan.going.disk), (500, 90));
        let endless = RequestSession { packets: u32::MAX, ..received(request()) };
        assert_eq!(judged(&endless).expect("granted").going.disk, 36_000_000);
    }

    #[test]
    fn nobody_is_sent_packets_that_somebody_else_asked_for() {
        let mut third = request();
        third.receiver.set_ip("192.0.2.8".parse().expect("another"));
        assert_eq!(judged(&third), Err(Accept::PermanentLimit));
        third.receiver.set_ip("::ffff:192.0.2.7".parse().expect("the same"));
        assert!(judged(&third).is_ok());
    }

    #[test]
    fn what_cannot_be_is_refused_by_the_number_that_tells_why() {
        let change = |change: fn(&mut RequestSession)| {
            let mut request = request();
            change(&mut request);
            judged(&request).expect_err("refused")
        };
        assert_eq!(change(|it| it.server_receives = true), Accept::NotSupported);
        assert_eq!(change(|it| it.server_sends = false), Accept::NotSupported);
        assert_eq!(change(|it| it.type_p = 0x8000_0000), Accept::NotSupported);
        assert_eq!(change(|it| it.type_p = 1), Accept::NotSupported);
        assert_eq!(change(|it| it.padding = u32::MAX), Accept::PermanentLimit);
        assert_eq!(change(|it| it.timeout = u64::MAX), Accept::PermanentLimit);
        assert_eq!(
            change(|it| it.slots = vec![Slot::Fixed { offset: 0 }; 3]),
            Accept::PermanentLimit
        );
        assert_eq!(change(|it| it.sender = "[::1]:0".parse().expect("v6")), Accept::NotSupported);
    }

    #[test]
    fn what_is_sent_is_not_all_past_already() {
        let ago = |seconds| {
            let start = NtpTime(NOW.0 - units_of(Duration::from_secs(seconds)));
            RequestSession { start, timeout: 86_400 << 32, ..request() }
        };
        assert_eq!(judged(&ago(3_590)), Err(Accept::Failure));
        assert_eq!(judged(&ago(6)), Err(Accept::Failure));
        let plan = judged(&ago(4)).expect("the clocks differ a little");
        assert_eq!((plan.timeout.as_secs(), plan.too_late.as_secs()), (86_400, 2));
        assert!(judged(&received(ago(3_590))).is_ok(), "what we receive is another's matter");
        let far = RequestSession { start: NtpTime(NOW.0 + (3_600 << 32)), ..request() };
        assert!(judged(&far).is_ok());
    }

    #[test]
    fn bursts_are_refused_where_we_send_them_only() {
        let mut slots = vec![Slot::Fixed { offset: 0 }; 999];
        slots.push(Slot::Fixed { offset: units_of(Duration::from_secs(300)) });
        let burst = RequestSession { slots, padding: 65_000, ..request() };
        assert_eq!(judged(&burst), Err(Accept::PermanentLimit));
        assert!(judged(&received(burst)).is_ok());
    }
}

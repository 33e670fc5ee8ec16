//! What of a Request-Session is granted, before anything is opened. Pure.

use std::{net::IpAddr, time::Duration};

use super::{classes::Class, usage::Amount};
use crate::{
    protocol::{Accept, Mode, PacketKey, Record, RequestSession},
    session::{MOST_PADDING, nanos_of_units},
};

/// Whose request it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) peer: IpAddr,
    /// Our address of the control connection.
    pub(super) local: IpAddr,
    pub(super) mode: Mode,
    pub(super) class: &'a Class,
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
/// Headers of IP and UDP.
const HEADERS: [u64; 2] = [28, 48];

/// What is granted.
pub(super) fn judge(request: &RequestSession, asker: &Asker<'_>) -> Result<Plan, Refused> {
    if request.server_sends == request.server_receives {
        let why = "the server is to be either the sender or the receiver of a session";
        return Err(Refused::new(Accept::NotSupported, why));
    }
    let (ours, theirs) = ends(request, asker)?;
    let bandwidth = bandwidth(request, asker.mode)?;
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
        going: Amount { bandwidth, disk: 0, sessions: 1 },
        records,
    })
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

/// Bits a second, with headers.
fn bandwidth(request: &RequestSession, mode: Mode) -> Result<u64, Refused> {
    if request.padding as usize > MOST_PADDING {
        let why = format!("{} octets of padding do not fit a packet", request.padding);
        return Err(Refused::new(Accept::PermanentLimit, why));
    }
    let headers = HEADERS[usize::from(request.receiver.is_ipv6())];
    let octets = PacketKey::shortest(mode) as u64 + u64::from(request.padding) + headers;
    let packets = request.slots.len() as u64;
    let units: u128 = request.slots.iter().map(|slot| u128::from(slot.mean())).sum();
    let bits = u128::from(octets * 8 * packets) << 32;
    bits.checked_div(units).and_then(|rate| u64::try_from(rate).ok()).ok_or_else(|| {
        Refused::new(Accept::PermanentLimit, "a schedule without any time between packets")
    })
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
    use timed_udp::ntp::NtpTime;

    use super::*;
    use crate::{
        protocol::{Sid, Slot},
        server::classes::Classes,
        session::units_of,
    };

    fn request() -> RequestSession {
        RequestSession {
            server_sends: true,
            server_receives: false,
            packets: 10,
            sender: "0.0.0.0:0".parse().expect("a place"),
            receiver: "192.0.2.7:9000".parse().expect("a place"),
            sid: Sid::default(),
            padding: 58,
            start: NtpTime(0),
            timeout: 2 << 32,
            type_p: 46 << 24,
            slots: vec![Slot::Exponential { mean: units_of(Duration::from_millis(100)) + 1 }],
        }
    }

    fn judged(request: &RequestSession) -> Result<Plan, Accept> {
        let classes = Classes::default();
        let class = classes.class(0).expect("everybody");
        let (peer, local) = ("192.0.2.7".parse().expect("a"), "192.0.2.1".parse().expect("b"));
        let asker = Asker { peer, local, mode: Mode::Open, class };
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
        let mut receives = request();
        (receives.server_sends, receives.server_receives) = (false, true);
        std::mem::swap(&mut receives.sender, &mut receives.receiver);
        assert_eq!(judged(&receives).expect("granted").room().disk, 500);
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
}

//! What is known of one packet of a session.

use timed_udp::ntp::{ErrorEstimate, NtpTime};

/// One packet, as its receiver keeps it and as Fetch-Session carries it (RFC 4656 section 3.9). A packet that came
/// more than once has a record for each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Its number in the session, from 0.
    pub seq: u32,
    /// When it was sent; of a lost one, when it was to be sent.
    pub sent: NtpTime,
    /// How far that may be wrong; none if nobody told (a lost packet told nothing).
    pub send_error: Option<ErrorEstimate>,
    /// When it came; none if it was lost: not here within the session's time-out.
    pub received: Option<NtpTime>,
    /// How far that may be wrong.
    pub receive_error: Option<ErrorEstimate>,
    /// TTL or hop limit that it came with; 255 if that is not known, or the packet was lost.
    pub ttl: u8,
}

impl Record {
    /// Octets of a record on the wire.
    pub const LENGTH: usize = 25;

    /// As on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let estimate = |it: Option<ErrorEstimate>| it.map_or([0; 2], ErrorEstimate::to_bytes);
        let mut bytes = [0; Self::LENGTH];
        bytes[..4].copy_from_slice(&self.seq.to_be_bytes());
        bytes[4..6].copy_from_slice(&estimate(self.send_error));
        bytes[6..8].copy_from_slice(&estimate(self.receive_error));
        bytes[8..16].copy_from_slice(&self.sent.to_bytes());
        bytes[16..24].copy_from_slice(&self.received.unwrap_or_default().to_bytes());
        bytes[24] = self.ttl;
        bytes
    }

    /// From the wire. A receive time of zero says that the packet was lost.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Self {
        let [s0, s1, s2, s3, e0, e1, f0, f1, rest @ ..] = *bytes;
        let [t0, t1, t2, t3, t4, t5, t6, t7, r0, r1, r2, r3, r4, r5, r6, r7, ttl] = rest;
        let received = NtpTime::from_bytes([r0, r1, r2, r3, r4, r5, r6, r7]);
        Self {
            seq: u32::from_be_bytes([s0, s1, s2, s3]),
            sent: NtpTime::from_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            send_error: ErrorEstimate::from_bytes([e0, e1]),
            received: (received.0 != 0).then_some(received),
            receive_error: ErrorEstimate::from_bytes([f0, f1]),
            ttl,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_goes_to_the_wire_and_back() {
        let estimate = Some(ErrorEstimate::at_least(504_000, true));
        let came = Record {
            seq: 7,
            sent: NtpTime(17_198_707_820_227_989_921),
            send_error: estimate,
            received: Some(NtpTime(17_198_707_820_274_659_035)),
            receive_error: estimate,
            ttl: 252,
        };
        let lost =
            Record { received: None, send_error: None, receive_error: None, ttl: 255, ..came };
        for record in [came, lost] {
            assert_eq!(Record::from_bytes(&record.to_bytes()), record);
        }
    }
}

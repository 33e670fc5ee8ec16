//! Test packets of STAMP in unauthenticated mode (RFC 8762 sections 4.2.1 and 4.3.1), which are TWAMP's (RFC 5357
//! sections 4.1.2 and 4.2.1) with three octets more.
//!
//! | octets | asked | answered |
//! |---|---|---|
//! | 0-3 | number | the reflector's own number |
//! | 4-11, 12-13 | when it was sent, and error | when the answer was sent, and error |
//! | 14-15 | session identifier (RFC 8972), or zero | the same |
//! | 16-23 | zero | when the packet came |
//! | 24-27, 28-35, 36-37 | zero | number, time and error of the packet |
//! | 40 | zero | TTL or hop limit of the packet |
//! | 41-43 | zero | zero |
//! | from 44 | TLVs (RFC 8972), or TWAMP's padding | the same |
//!
//! TWAMP senders may put anything behind octet 13, and end with octet 40.

use timed_udp::ntp::{ErrorEstimate, NtpTime};

/// Octets of a packet of STAMP without anything behind it.
pub const BASE: usize = 44;
/// Octets of an answer of TWAMP without padding. What is shorter cannot be answered without sending more than came.
pub const SHORTEST: usize = 41;

/// Writes what is asked into `octets`; what is behind [`BASE`] stays as it is. None if they are fewer than that.
#[must_use]
pub fn ask(octets: &mut [u8], number: u32, sent: NtpTime, error: ErrorEstimate) -> Option<()> {
    let base = octets.first_chunk_mut::<BASE>()?;
    *base = [0; BASE];
    base[..4].copy_from_slice(&number.to_be_bytes());
    base[4..12].copy_from_slice(&sent.to_bytes());
    base[12..14].copy_from_slice(&error.to_bytes());
    Some(())
}

/// Octets of a TLV's head: flags, type, length (RFC 8972 section 4).
const TLV_HEAD: usize = 4;
/// Flag: whoever sends it does not know whether it will be recognised.
const UNRECOGNISED: u8 = 0x80;
/// Extra Padding (RFC 8972 section 4.1).
const EXTRA_PADDING: u8 = 1;

/// Makes padding of all octets behind [`BASE`]: a TLV, if there is room for one, else zeros. Reflectors of TWAMP
/// take either for padding.
pub fn pad(octets: &mut [u8]) {
    let Some(padding) = octets.get_mut(BASE..) else { return };
    padding.fill(0);
    let length = padding.len().checked_sub(TLV_HEAD).and_then(|it| u16::try_from(it).ok());
    if let (Some(length), Some(head)) = (length, padding.first_chunk_mut::<TLV_HEAD>()) {
        let [high, low] = length.to_be_bytes();
        *head = [UNRECOGNISED, EXTRA_PADDING, high, low];
    }
}

/// The number of a packet that asks; none if it is too short to be answered.
#[must_use]
pub fn number(octets: &[u8]) -> Option<u32> {
    octets
        .first_chunk::<SHORTEST>()
        .and_then(|it| it.first_chunk())
        .map(|it| u32::from_be_bytes(*it))
}

/// An answer leaves that soon after its packet came, seconds.
const AT_ONCE: u32 = 60;

/// Whether this is an answer of some reflector, and not a packet that asks: where STAMP wants zeros, and TWAMP's
/// padding is seldom, there is a time from shortly before it was sent. Who answers answers plays ping-pong.
#[must_use]
pub fn is_answer(octets: &[u8]) -> bool {
    let Some(packet) = octets.first_chunk::<SHORTEST>() else { return false };
    let seconds = |at: usize| {
        u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]])
    };
    let (sent, came) = (seconds(4), seconds(16));
    // A clock that is set back in between must not hide it.
    let apart = sent.wrapping_sub(came).min(came.wrapping_sub(sent));
    came != 0 && apart <= AT_ONCE && packet[38..40] == [0, 0]
}

/// Makes the answer of a packet in its place, but for when it is sent, which [`stamp`] puts in: with the reflector's
/// `number`, when it `came`, and with what TTL. An answer is as long as its packet. None if that is too short.
#[must_use]
pub fn answer(octets: &mut [u8], number: u32, came: NtpTime, ttl: u8) -> Option<()> {
    let session = session_identifier(octets);
    let packet = octets.first_chunk_mut::<SHORTEST>()?;
    let mut asked = [0; 14];
    asked.copy_from_slice(&packet[..14]);
    *packet = [0; SHORTEST];
    packet[..4].copy_from_slice(&number.to_be_bytes());
    packet[14..16].copy_from_slice(&session);
    packet[16..24].copy_from_slice(&came.to_bytes());
    packet[24..38].copy_from_slice(&asked);
    packet[40] = ttl;
    octets.iter_mut().take(BASE).skip(SHORTEST).for_each(|octet| *octet = 0);
    Some(())
}

/// RFC 8972 section 3. Where STAMP's zeros do not follow, it is TWAMP's padding.
fn session_identifier(octets: &[u8]) -> [u8; 2] {
    let Some(base) = octets.first_chunk::<BASE>() else { return [0; 2] };
    let is_stamp = base[16..].iter().all(|octet| *octet == 0);
    if is_stamp { [base[14], base[15]] } else { [0; 2] }
}

/// Puts in when the answer is sent, and how far the reflector's clock may be wrong. None if it is too short.
#[must_use]
pub fn stamp(octets: &mut [u8], sent: NtpTime, error: ErrorEstimate) -> Option<()> {
    let packet = octets.first_chunk_mut::<SHORTEST>()?;
    packet[4..12].copy_from_slice(&sent.to_bytes());
    packet[12..14].copy_from_slice(&error.to_bytes());
    Some(())
}

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The reflector's own number; of one that keeps no state, the packet's.
    pub number: u32,
    /// When it was sent, by the reflector's clock.
    pub sent: NtpTime,
    /// How far that clock may be wrong; none if it does not tell (multiplier zero, which the RFCs forbid).
    pub error: Option<ErrorEstimate>,
    /// When the packet came, by the same clock.
    pub came: NtpTime,
    /// The number of the packet.
    pub of: u32,
    /// When that was sent, as it says.
    pub of_sent: NtpTime,
    /// TTL or hop limit that the packet came with, as the reflector says.
    pub ttl: u8,
}

impl Answer {
    /// Reads an answer, with whatever behind it. Times in the form of PTP (RFC 8762's Z) are made NTP's. None if it is
    /// too short.
    #[must_use]
    pub fn read(octets: &[u8]) -> Option<Self> {
        let packet = octets.first_chunk::<SHORTEST>()?;
        let time = |at: usize| packet[at..].first_chunk().map(|it| NtpTime::from_bytes(*it));
        let number = |at: usize| packet[at..].first_chunk().map(|it| u32::from_be_bytes(*it));
        let error = ErrorEstimate::from_bytes([packet[12], packet[13]]);
        let is_ptp = packet[12] & 0x40 != 0;
        let theirs = |at| time(at).map(|time| if is_ptp { of_ptp(time) } else { time });
        Some(Self {
            number: number(0)?,
            sent: theirs(4)?,
            error,
            came: theirs(16)?,
            of: number(24)?,
            of_sent: time(28)?,
            ttl: packet[40],
        })
    }

    /// Whether the reflector's clock can be compared with another: it is synchronised, and on UTC's scale. PTP's is
    /// mostly TAI, and nobody says which it is.
    #[must_use]
    pub fn is_comparable(&self) -> bool {
        self.error.is_some_and(|error| error.synchronised && !error.z)
    }
}

/// PTP's truncated form: seconds, and nanoseconds (IEEE 1588, RFC 8186).
fn of_ptp(NtpTime(raw): NtpTime) -> NtpTime {
    let (seconds, nanos) = (i128::from(raw >> 32), i128::from(raw & 0xffff_ffff));
    NtpTime::from_unix_nanos(seconds * 1_000_000_000 + nanos)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const SENT: NtpTime = NtpTime(0xeeae_1c8d_70fd_3b29);
    const ERROR: ErrorEstimate =
        ErrorEstimate { synchronised: true, z: false, scale: 5, multiplier: 9 };

    fn asked(length: usize, number: u32) -> Vec<u8> {
        let mut packet = vec![0; length];
        ask(&mut packet, number, SENT, ERROR).expect("room");
        pad(&mut packet);
        packet
    }

    #[test]
    fn padding_is_a_tlv_where_there_is_room_for_one_and_comes_back_as_it_went() {
        assert_eq!(asked(47, 1)[44..], [0, 0, 0]);
        let mut packet = asked(60, 1);
        assert_eq!(packet[44..49], [0x80, 1, 0, 12, 0]);
        let there = packet.clone();
        answer(&mut packet, 7, SENT, 250).expect("long enough");
        assert_eq!(packet[44..], there[44..]);
    }

    #[test]
    fn a_session_identifier_comes_back_and_what_is_paddings_does_not() {
        let mut packet = asked(44, 1);
        packet[14..16].copy_from_slice(&[3, 4]);
        answer(&mut packet, 1, SENT, 250).expect("long enough");
        assert_eq!(packet[14..16], [3, 4]);
        let mut packet = asked(44, 1);
        packet[14..44].fill(0xa5);
        answer(&mut packet, 1, SENT, 250).expect("long enough");
        assert_eq!((&packet[14..16], &packet[41..44]), (&[0; 2][..], &[0; 3][..]));
    }

    #[test]
    fn an_answer_is_seen_to_be_one_in_whatever_form_its_times_are() {
        let mut packet = asked(44, 1);
        assert!(!is_answer(&packet));
        answer(&mut packet, 1, SENT, 250).expect("long enough");
        stamp(&mut packet, NtpTime(SENT.0 + 70_000), ERROR).expect("long enough");
        assert!(is_answer(&packet));
        // Its clock was set back by two seconds meanwhile.
        stamp(&mut packet, NtpTime(SENT.0 - (2 << 32)), ERROR).expect("long enough");
        assert!(is_answer(&packet) && is_answer(&packet[..41]));
        assert!(!is_answer(&packet[..40]));
    }

    #[test]
    fn times_of_ptp_are_read() {
        let mut packet = asked(44, 1);
        let time = NtpTime((1_783_000_000 << 32) + 500_000_000);
        answer(&mut packet, 1, time, 250).expect("long enough");
        stamp(&mut packet, time, ErrorEstimate { z: true, ..ERROR }).expect("long enough");
        let answer = Answer::read(&packet).expect("an answer");
        assert_eq!(answer.came.unix_nanos(), 1_783_000_000_500_000_000);
        assert_eq!(
            (answer.sent, answer.of_sent, answer.is_comparable()),
            (answer.came, SENT, false)
        );
    }

    proptest! {
        #[test]
        fn every_packet_that_is_long_enough_gets_an_answer_of_its_length_that_says_what_it_asked(
            mut packet in vec(any::<u8>(), 0..90), number: u32, sent: u64, came: u64, ttl: u8,
        ) {
            let there = packet.clone();
            let is_answered = answer(&mut packet, number, NtpTime(came), ttl).is_some();
            prop_assert_eq!(is_answered, there.len() >= SHORTEST);
            prop_assert_eq!(packet.len(), there.len());
            prop_assert_eq!(stamp(&mut packet, NtpTime(sent), ERROR).is_some(), is_answered);
            if let Some(read) = Answer::read(&packet) {
                prop_assert_eq!((read.number, read.sent.0, read.came.0, read.ttl), (number, sent, came, ttl));
                prop_assert_eq!((Some(read.of), read.error), (super::number(&there), Some(ERROR)));
                prop_assert_eq!(&packet[24..38], &there[..14]);
                prop_assert_eq!(packet.get(BASE..), there.get(BASE..));
            }
        }
    }
}

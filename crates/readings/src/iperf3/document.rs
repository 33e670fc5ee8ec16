//! The document of `-J`, as far as it is of use.

use serde::{Deserialize, de::IgnoredAny};

use crate::{
    flows::{MOST_INTERVALS, MOST_STREAMS},
    kept::Kept,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Document {
    pub(super) start: Start,
    pub(super) intervals: Kept<Part, MOST_INTERVALS>,
    pub(super) end: Totals,
    pub(super) error: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Start {
    pub(super) connected: Kept<Connected, 1>,
    pub(super) connecting_to: Option<Target>,
    pub(super) accepted_connection: Option<IgnoredAny>,
    #[serde(rename = "test_start")]
    pub(super) test: Test,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Connected {
    pub(super) remote_host: Option<String>,
    pub(super) remote_port: Option<u16>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Target {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Test {
    pub(super) protocol: Option<String>,
    pub(super) num_streams: Option<u32>,
    pub(super) reverse: Option<u32>,
    pub(super) bidir: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Part {
    pub(super) sum: Option<Sum>,
    pub(super) sum_bidir_reverse: Option<Sum>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Totals {
    pub(super) streams: Kept<Ends, MOST_STREAMS>,
    /// Both sides in one, all that there was before 3.7 over UDP: the bytes are the sender's.
    pub(super) sum: Option<Sum>,
    pub(super) sum_sent: Option<Sum>,
    pub(super) sum_received: Option<Sum>,
    pub(super) sum_sent_bidir_reverse: Option<Sum>,
    pub(super) sum_received_bidir_reverse: Option<Sum>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Ends {
    pub(super) sender: Option<Sum>,
    pub(super) receiver: Option<Sum>,
    pub(super) udp: Option<Sum>,
}

/// Whatever was counted. Numbers that cannot be, such as a NaN, are `null`.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub(super) struct Sum {
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) bytes: Option<f64>,
    pub(super) bits_per_second: Option<f64>,
    pub(super) retransmits: Option<f64>,
    pub(super) min_rtt: Option<f64>,
    pub(super) mean_rtt: Option<f64>,
    pub(super) max_rtt: Option<f64>,
    pub(super) jitter_ms: Option<f64>,
    pub(super) lost_packets: Option<f64>,
    pub(super) packets: Option<f64>,
    pub(super) out_of_order: Option<f64>,
    pub(super) omitted: bool,
    pub(super) sender: Option<bool>,
}

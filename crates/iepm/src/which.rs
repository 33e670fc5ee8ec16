//! Which specification of the station a command is about.

use station::words::toolspec::SpecKey;

#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// The node that is measured to
    pub(crate) node: String,
    /// The tool
    pub(crate) tool: String,
    /// Which of several specifications of this tool and node
    #[arg(long, default_value = "")]
    variant: String,
}

impl Which {
    /// Whether a specification of the station is the one that is meant.
    pub(crate) fn is(&self, key: &SpecKey) -> bool {
        (key.dest.as_str(), key.tool.as_str(), key.variant.as_str())
            == (self.node.as_str(), self.tool.as_str(), self.variant.as_str())
    }
}

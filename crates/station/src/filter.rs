//! The choice of some nodes and tools, as several programs offer it.

use crate::text::{NodeId, ToolName};

/// What is shown: everything, unless it is narrowed.
#[derive(Debug, Default, Clone, clap::Args)]
pub struct Filter {
    /// Only what is measured to this node
    #[arg(long, value_name = "NAME")]
    node: Option<NodeId>,
    /// Only what is measured by this tool
    #[arg(long, value_name = "TOOL")]
    tool: Option<ToolName>,
}

impl Filter {
    /// Whether what `tool` measures to `node` is shown.
    #[must_use]
    pub fn takes(&self, node: &str, tool: &str) -> bool {
        self.node.as_ref().is_none_or(|name| name.as_str() == node)
            && self.tool.as_ref().is_none_or(|name| name.as_str() == tool)
    }

    /// The node and the tool; empty for any.
    #[must_use]
    pub fn texts(&self) -> (&str, &str) {
        let node = self.node.as_ref().map_or("", NodeId::as_str);
        (node, self.tool.as_ref().map_or("", ToolName::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_takes_everything_until_it_is_narrowed() {
        let all = Filter::default();
        assert!(all.takes("gw", "ping"));
        let narrow = Filter { node: "gw".parse().ok(), tool: "ping".parse().ok() };
        assert!(narrow.takes("gw", "ping"));
        assert!(!narrow.takes("gw", "traceroute") && !narrow.takes("far", "ping"));
    }
}

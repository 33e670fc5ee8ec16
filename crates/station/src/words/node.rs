//! NODES: every target and monitoring host.

use std::collections::{BTreeMap, btree_map::Entry};

use crate::text::{Family, Host, Mistake, NodeId};

use super::table::{self, Row, Shape};

/// The form of `config/nodes.csv`.
pub const SHAPE: Shape = Shape {
    name: "NODES",
    required: &["nodeID", "hostName"],
    optional: &["ipVersion", "siteName", "comments"],
};

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name here, and in TOOLSPECS.
    pub id: NodeId,
    /// What tools are told: a host name or an address.
    pub host: Host,
    /// The protocol to measure it over.
    pub family: Family,
    /// For people.
    pub site: String,
    /// For people.
    pub comments: String,
}

impl Node {
    /// The fields beside the key, as NODES holds them, with their columns.
    #[must_use]
    pub fn fields(&self) -> [(&'static str, String); 4] {
        [
            ("hostName", self.host.to_string()),
            ("ipVersion", self.family.as_str().to_owned()),
            ("siteName", self.site.clone()),
            ("comments", self.comments.clone()),
        ]
    }
}

/// Reads `nodes.csv`: all right nodes, all mistakes.
#[must_use]
pub fn parse(text: &str) -> (Vec<Node>, Vec<Mistake>) {
    let (table, mut mistakes) = table::parse(&SHAPE, text);
    let mut nodes = BTreeMap::new();
    for row in &table.rows {
        let Some(node) = from_row(row, &mut mistakes) else { continue };
        if let Entry::Vacant(place) = nodes.entry(node.id.clone()) {
            place.insert(node);
        } else {
            let message = format!("the node {} is there twice", node.id);
            mistakes.push(Mistake::new(row.span("nodeID"), message));
        }
    }
    (nodes.into_values().collect(), mistakes)
}

/// One row made into a node; what is wrong with it is noted.
pub fn from_row(row: &Row<'_>, mistakes: &mut Vec<Mistake>) -> Option<Node> {
    let id = row.value("nodeID", mistakes);
    let host: Option<Host> = row.value("hostName", mistakes);
    let family = row.value_or("ipVersion", Family::Any, mistakes);
    let node = Node {
        id: id?,
        host: host?,
        family: family?,
        site: row.text("siteName").to_owned(),
        comments: row.text("comments").to_owned(),
    };
    match family_fault(&node) {
        None => Some(node),
        Some(fault) => {
            mistakes.push(Mistake::new(row.span("ipVersion"), fault));
            None
        }
    }
}

/// An address of one family cannot be measured over the other.
fn family_fault(node: &Node) -> Option<String> {
    let wrong = match (node.host.address(), node.family) {
        (Some(address), Family::V4) => address.is_ipv6(),
        (Some(address), Family::V6) => address.is_ipv4(),
        _ => false,
    };
    wrong.then(|| format!("{} is no address of IP version {}", node.host, node.family.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_a_name_a_host_and_perhaps_a_protocol() {
        let text = "TABLENAME=NODES\n#nodeID,hostName,ipVersion\na,localhost,6\nb,::1,\n";
        let (nodes, mistakes) = parse(text);
        assert_eq!(mistakes, []);
        assert_eq!(nodes[0].family, Family::V6);
        assert_eq!(nodes[1].family, Family::Any);
    }

    #[test]
    fn all_wrong_nodes_are_told_at_once() {
        let text = "TABLENAME=NODES\n#nodeID,hostName,ipVersion\n-a,localhost,4\nb,b c,5\nc,::1,4\nd,x,\nd,y,\n";
        let (nodes, mistakes) = parse(text);
        assert_eq!(nodes.len(), 1);
        assert_eq!(mistakes.len(), 5);
    }
}

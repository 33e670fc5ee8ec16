//! `nodes.csv` and `toolspecs.csv`, read together.

use std::path::Path;

use station::words::{
    node::{self, Node},
    toolspec::{self, Placed},
};

use crate::{invariants, source::Source};

/// Both files, with all their mistakes, those between them included.
#[derive(Debug)]
pub(crate) struct Tables {
    /// The file of the nodes.
    pub(crate) nodes_file: Source,
    /// The file of the specifications.
    pub(crate) specs_file: Source,
    /// The nodes that are right.
    pub(crate) nodes: Vec<Node>,
    /// The specifications that are right, each by itself.
    pub(crate) specs: Vec<Placed>,
}

impl Tables {
    /// Reads the files in `folder`.
    pub(crate) fn read(folder: &Path) -> Self {
        let file = |name| Source::read(&folder.join(name));
        Self::of(file("nodes.csv"), file("toolspecs.csv"))
    }

    /// Reads the texts.
    pub(crate) fn of(mut nodes_file: Source, mut specs_file: Source) -> Self {
        let nodes = nodes_file.parse(node::parse);
        let specs = specs_file.parse(toolspec::parse);
        invariants::nodes_are_there(&nodes_file, &mut specs_file, &specs);
        invariants::somebody_runs_it(&mut specs_file, &specs);
        Self { nodes_file, specs_file, nodes, specs }
    }

    /// How many mistakes there are.
    pub(crate) fn mistakes(&self) -> usize {
        self.nodes_file.mistakes() + self.specs_file.mistakes()
    }
}

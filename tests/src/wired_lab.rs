//! The lab with a [`Wire`] between its router and its server.

use crate::{
    lab::{Host, Lab},
    wire::{Plug, Wire},
};

/// The network; [`Direction::Out`](crate::wire::Direction::Out) of its wire leads to the server. It is taken
/// down when this is dropped.
#[derive(Debug)]
pub struct WiredLab {
    /// The wire.
    pub wire: Wire,
    lab: Lab,
}

impl WiredLab {
    /// Sets up the network. The wire lets everything through at once until it is told otherwise.
    #[track_caller]
    pub fn up() -> Self {
        let lab = Lab::hosts();
        lab.link_client();
        let (router, server) = (lab.host("router"), lab.host("server"));
        let ends = [Plug { host: &router, device: "s0" }, Plug { host: &server, device: "eth0" }];
        let wire = Wire::join(&lab.named("wire"), ends);
        lab.address_server();
        lab.routes();
        Self { wire, lab }
    }

    /// The lab.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// A host: `client`, `router` or `server`.
    pub fn host(&self, name: &str) -> Host {
        self.lab.host(name)
    }
}

//! The first words of a conversation: who the client is, and what protects the rest.

use std::{
    io::{Read, Write},
    net::IpAddr,
};

use station::news::Cause;

use super::{Server, patience::Patient, shelf::Owner, who::Who};
use crate::protocol::{
    Accept, BLOCK, Derivation, Failed, Inbound, Kind, Mode, Modes, Outbound, PassPhrase,
    ServerGreeting, ServerStart, SessionKeys, SetUpResponse,
};

/// Why a conversation ended before its end.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) cause: Cause,
    pub(super) why: String,
}

impl Ended {
    pub(super) fn new(cause: Cause, why: impl Into<String>) -> Self {
        Self { cause, why: why.into() }
    }
}

impl From<Failed> for Ended {
    fn from(failed: Failed) -> Self {
        let cause = match &failed {
            Failed::Wrong(wrong) if wrong.kind == Kind::NotAuthentic => Cause::NotAuthentic,
            _ => Cause::Broken,
        };
        Self::new(cause, failed.to_string())
    }
}

impl From<std::io::Error> for Ended {
    fn from(error: std::io::Error) -> Self {
        Failed::Read(error).into()
    }
}

/// A client that was let in.
pub(super) struct Client {
    pub(super) mode: Mode,
    pub(super) class: usize,
    pub(super) owner: Owner,
    pub(super) keys: Option<SessionKeys>,
    pub(super) from: Inbound<Patient>,
    pub(super) to: Outbound,
    pub(super) out: Patient,
}

/// Which modes a client of this address is offered.
fn offered(server: &Server, address: IpAddr) -> Modes {
    let class = server.classes.of_address(address).and_then(|it| server.classes.class(it));
    let has_users = !server.secrets.is_empty();
    let is_offered = |mode: &Mode| match mode {
        Mode::Open => class.is_some_and(|class| class.allow_open_mode),
        Mode::Authenticated | Mode::Encrypted => has_users,
    };
    let ours = server.settings.modes;
    Mode::ALL.into_iter().filter(|mode| ours.has(*mode)).filter(is_offered).collect()
}

/// Greets a client.
pub(super) fn greet(
    server: &Server,
    mut stream: Patient,
    address: IpAddr,
) -> Result<Client, Ended> {
    let modes = offered(server, address);
    let (challenge, salt) = (server.random()?, server.random()?);
    let greeting = ServerGreeting { modes, challenge, salt, count: server.settings.rounds };
    stream.write_all(&greeting.to_bytes())?;
    if modes == Modes::default() {
        return Err(Ended::new(Cause::NotServed, "it is in no class that is served"));
    }
    let mut bytes = [0; SetUpResponse::LENGTH];
    if let Err(error) = stream.read_exact(&mut bytes[..1]) {
        // Whoever only looks whether there is a server is no news.
        return Err(if error.kind() == std::io::ErrorKind::UnexpectedEof {
            Ended::new(Cause::Gone, "it went without a word")
        } else {
            error.into()
        });
    }
    stream.read_exact(&mut bytes[1..])?;
    let response = SetUpResponse::from_bytes(&bytes).map_err(Failed::Wrong)?;
    match admitted(server, &greeting, &response, address) {
        Ok((class, owner, keys)) => welcome(server, stream, &response, class, owner, keys),
        Err((accept, ended)) => {
            let start = ServerStart { accept, server_iv: [0; BLOCK] };
            stream.write_all(&start.to_bytes())?;
            stream.write_all(&[0; BLOCK])?;
            Err(ended)
        }
    }
}

type Admitted = (usize, Owner, Option<SessionKeys>);

/// Whether the client is who it says, and may come in.
fn admitted(
    server: &Server,
    greeting: &ServerGreeting,
    response: &SetUpResponse,
    address: IpAddr,
) -> Result<Admitted, (Accept, Ended)> {
    if !greeting.modes.has(response.mode) {
        let why = format!("it wants {} mode, which it was not offered", response.mode);
        return Err((Accept::NotSupported, Ended::new(Cause::NotServed, why)));
    }
    if response.mode == Mode::Open {
        let class = server.classes.of_address(address).unwrap_or(0);
        return Ok((class, Owner::Address(address), None));
    }
    let turn = server.turns.take(Who::at(address)).ok_or_else(|| {
        let why = "too many clients say who they are at once";
        (Accept::TemporaryLimit, Ended::new(Cause::Crowd, why))
    })?;
    let (user, keys) = keys_of(server, greeting, response)
        .map_err(|why| (Accept::Failure, Ended::new(Cause::NotAuthentic, why)))?;
    drop(turn);
    let Some(class) = server.classes.of_user(user, address) else {
        let why = format!("user {user} is in no class");
        return Err((Accept::Failure, Ended::new(Cause::NotServed, why)));
    };
    Ok((class, Owner::User(user.to_owned()), Some(keys)))
}

/// The user and the keys in a Token. One who is not known takes as long as one with another passphrase.
fn keys_of<'a>(
    server: &Server,
    greeting: &ServerGreeting,
    response: &'a SetUpResponse,
) -> Result<(&'a str, SessionKeys), String> {
    let how = Derivation::new(greeting.salt, greeting.count).map_err(|wrong| wrong.to_string())?;
    let user = response.key_id.name().unwrap_or_default();
    let nobody = PassPhrase(Vec::new());
    let secret = server.secrets.of(user);
    let keys = SessionKeys::from_token(
        &response.token,
        &greeting.challenge,
        secret.unwrap_or(&nobody),
        &how,
    );
    match (secret, keys) {
        (Some(_), Ok(keys)) => Ok((user, keys)),
        _ => Err(format!("user {user:?} is not known, or has another passphrase")),
    }
}

fn welcome(
    server: &Server,
    mut stream: Patient,
    response: &SetUpResponse,
    class: usize,
    owner: Owner,
    keys: Option<SessionKeys>,
) -> Result<Client, Ended> {
    let server_iv = if keys.is_some() { server.random()? } else { [0; BLOCK] };
    let mut to = match &keys {
        Some(keys) => Outbound::sealed(keys, &server_iv),
        None => Outbound::open(),
    };
    stream.write_all(&ServerStart { accept: Accept::Yes, server_iv }.to_bytes())?;
    ServerStart::put_start_time(&mut to, server.since);
    stream.write_all(&to.take())?;
    let out = stream.other()?;
    let from = match &keys {
        Some(keys) => Inbound::sealed(stream, keys, &response.client_iv),
        None => Inbound::open(stream),
    };
    Ok(Client { mode: response.mode, class, owner, keys, from, to, out })
}

//! `owamp-server.limits`: what which clients may use.
//!
//! `limit NAME with parent=NAME, bandwidth=900m, ...` makes a class; `assign net 10.0.0.0/8 NAME`, `assign user U NAME`
//! and `assign default NAME` put clients into classes. What a class uses, its parents use as well.

use std::{collections::HashMap, net::IpAddr};

use station::text::Mistake;

use super::{
    lines::{Parts, Word, amount, lines, switch},
    secrets::Secrets,
};

/// What a class may use, all its clients together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) name: String,
    /// The place of its parent in the list.
    pub(super) parent: Option<usize>,
    /// Bits a second of test packets with their headers, sent and received; none: no limit.
    pub(super) bandwidth: Option<u64>,
    /// Octets of records.
    pub(super) disk: Option<u64>,
    /// Test sessions at once.
    pub(super) sessions: Option<u64>,
    /// Percent that one client may have of what others leave of each of these.
    pub(super) share: u8,
    /// What was fetched whole is not kept.
    pub(super) delete_on_fetch: bool,
    /// Clients without a passphrase are served.
    pub(super) allow_open_mode: bool,
    /// Test packets may go to other addresses than the client's (RFC 4656 section 6.2 tells what that opens).
    pub(super) allow_third_party: bool,
}

/// The share of a client, unless told otherwise.
pub(super) const SHARE: u8 = 75;

/// All classes, and who is in which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Classes {
    list: Vec<Class>,
    nets: Vec<(Net, usize)>,
    users: HashMap<String, usize>,
    default: Option<usize>,
}

/// Addresses with a common beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Net {
    address: IpAddr,
    bits: u8,
}

impl Default for Classes {
    /// What holds without a file: everybody is served, and nobody much.
    fn default() -> Self {
        let everybody = Class {
            bandwidth: Some(20_000_000),
            disk: Some(100 << 20),
            sessions: Some(2_000),
            allow_open_mode: true,
            ..Class::named("everybody", None)
        };
        Self { list: vec![everybody], nets: Vec::new(), users: HashMap::new(), default: Some(0) }
    }
}

impl Class {
    fn named(name: &str, parent: Option<usize>) -> Self {
        Self {
            name: name.to_owned(),
            parent,
            bandwidth: None,
            disk: None,
            sessions: None,
            share: SHARE,
            delete_on_fetch: false,
            allow_open_mode: false,
            allow_third_party: false,
        }
    }
}

impl Classes {
    /// A class by its place.
    pub(super) fn class(&self, place: usize) -> Option<&Class> {
        self.list.get(place)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// That of a client: of its net with the most bits; none if it is not to be served.
    pub(super) fn of_address(&self, address: IpAddr) -> Option<usize> {
        let nets = self.nets.iter().filter(|(net, _)| net.has(address));
        nets.max_by_key(|(net, _)| net.bits).map(|(_, class)| *class).or(self.default)
    }

    /// That of a user; of one who is not assigned, that of the address.
    pub(super) fn of_user(&self, user: &str, address: IpAddr) -> Option<usize> {
        self.users.get(user).copied().or_else(|| self.of_address(address))
    }

    /// A class and its parents, up to the first.
    pub(super) fn line_of(&self, class: usize) -> impl Iterator<Item = (usize, &Class)> {
        let with_place = |place: usize| self.list.get(place).map(|class| (place, class));
        std::iter::successors(with_place(class), move |(_, class)| {
            class.parent.and_then(with_place)
        })
    }
}

impl Net {
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        let (ours, theirs) = match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (left(a.to_bits()), left(b.to_bits())),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits()),
            _ => return false,
        };
        let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
        (ours ^ theirs) & mask == 0
    }
}

fn left(bits: u32) -> u128 {
    u128::from(bits) << 96
}

impl std::str::FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("\"{text}\" is no net such as 10.0.0.0/8 or 2001:db8::/32");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        let net = Self { address, bits };
        let beyond = match address {
            IpAddr::V4(v4) => left(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let beyond = beyond.checked_shl(bits.into()).unwrap_or(0);
        if bits > most {
            return Err(wrong());
        }
        if beyond != 0 {
            return Err(format!("{text} has bits behind its first {bits}"));
        }
        Ok(net)
    }
}

/// Reads the file: all that is right in it, and all mistakes. Users are those who have passphrases.
pub(super) fn parse(text: &str, secrets: &Secrets) -> (Classes, Vec<Mistake>) {
    let empty = Classes { list: Vec::new(), default: None, ..Classes::default() };
    let mut reader = Reader { classes: empty, mistakes: Vec::new(), secrets };
    for line in lines(text, Parts::Options) {
        let read = match line[0].text {
            "limit" => reader.limit(&line),
            "assign" => reader.assign(&line),
            other => Err(line[0].mistake(format!("expected limit or assign, found \"{other}\""))),
        };
        if let Err(mistake) = read {
            reader.mistakes.push(mistake);
        }
    }
    (reader.classes, reader.mistakes)
}

struct Reader<'a> {
    classes: Classes,
    mistakes: Vec<Mistake>,
    secrets: &'a Secrets,
}

impl Reader<'_> {
    fn limit(&mut self, line: &[Word<'_>]) -> Result<(), Mistake> {
        let (name, options) = match line {
            [_, name] => (name, &[][..]),
            [_, name, with, options @ ..] if with.text == "with" => (name, options),
            _ => return Err(line[0].mistake("expected \"limit NAME with OPTION=VALUE, ...\"")),
        };
        if self.place(name.text).is_some() {
            return Err(name.mistake(format!("there is a class \"{}\" already", name.text)));
        }
        let mut class = Class::named(name.text, None);
        // A parent's switches hold first, wherever it is named.
        let mut options: Vec<&[Word<'_>]> = options.chunks(3).collect();
        options.sort_by_key(|option| option[0].text != "parent");
        for option in options {
            let read = match option {
                [option, equals, value] if equals.text == "=" => {
                    self.option(&mut class, option, value)
                }
                _ => Err(option[0].mistake("expected OPTION=VALUE")),
            };
            if let Err(mistake) = read {
                self.mistakes.push(mistake);
            }
        }
        if class.parent.is_none() && !self.classes.list.is_empty() {
            let first = &self.classes.list[0].name;
            let what = format!("only the first class has no parent: say parent={first}");
            self.mistakes.push(name.mistake(what));
        }
        self.classes.list.push(class);
        Ok(())
    }

    fn option(&self, class: &mut Class, name: &Word<'_>, value: &Word<'_>) -> Result<(), Mistake> {
        let switched = || {
            switch(value.text).ok_or_else(|| {
                value.mistake(format!("expected on or off, found \"{}\"", value.text))
            })
        };
        match name.text {
            "parent" => self.parent(class, value)?,
            "bandwidth" => class.bandwidth = limited(value, 1000)?,
            "disk" => class.disk = limited(value, 1024)?,
            "sessions" => class.sessions = limited(value, 1000)?,
            "share" => class.share = value.within(1..=100)?,
            "delete_on_fetch" => class.delete_on_fetch = switched()?,
            "allow_open_mode" => class.allow_open_mode = switched()?,
            "allow-third-party" | "allow_third_party" => class.allow_third_party = switched()?,
            other => return Err(name.mistake(format!("there is no option \"{other}\""))),
        }
        Ok(())
    }

    /// A child begins with what its parent says of switches.
    fn parent(&self, class: &mut Class, name: &Word<'_>) -> Result<(), Mistake> {
        let place = self.known(name)?;
        let parent = &self.classes.list[place];
        class.parent = Some(place);
        class.delete_on_fetch |= parent.delete_on_fetch;
        class.allow_open_mode |= parent.allow_open_mode;
        class.allow_third_party |= parent.allow_third_party;
        Ok(())
    }

    fn assign(&mut self, line: &[Word<'_>]) -> Result<(), Mistake> {
        match line {
            [_, kind, class] if kind.text == "default" => {
                self.classes.default = Some(self.known(class)?);
            }
            [_, kind, net, class] if kind.text == "net" => {
                let read = net.text.parse().map_err(|why: String| net.mistake(why))?;
                self.classes.nets.push((read, self.known(class)?));
            }
            [_, kind, user, class] if kind.text == "user" => {
                if !self.secrets.users().any(|it| it == user.text) {
                    let what = format!("\"{}\" has no passphrase in owamp-server.pfs", user.text);
                    return Err(user.mistake(what));
                }
                self.classes.users.insert(user.text.to_owned(), self.known(class)?);
            }
            _ => {
                let forms = "\"assign net NET CLASS\", \"assign user USER CLASS\" or \"assign default CLASS\"";
                return Err(line[0].mistake(format!("expected {forms}")));
            }
        }
        Ok(())
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.classes.list.iter().position(|class| class.name == name)
    }

    fn known(&self, name: &Word<'_>) -> Result<usize, Mistake> {
        self.place(name.text)
            .ok_or_else(|| name.mistake(format!("there is no class \"{}\" above", name.text)))
    }
}

/// Zero is no limit, as in the reference.
fn limited(value: &Word<'_>, thousand: u64) -> Result<Option<u64>, Mistake> {
    let amount = amount(value.text, thousand).ok_or_else(|| {
        value.mistake(format!("expected a number such as 900m, found \"{}\"", value.text))
    })?;
    Ok(Some(amount).filter(|amount| *amount > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        super::super::secrets::parse("joe 00\n").0
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    const FILE: &str = "limit root with bandwidth=900m, disk=2g, delete_on_fetch=on, allow_open_mode=on\n\
        limit jail with allow_open_mode=off, parent=root, bandwidth=1m, \\\n  disk = 1\n\
        limit peers with parent=root, allow-third-party=on\n\
        assign net 10.0.0.0/8 jail\nassign net 10.1.0.0/16 peers\nassign net 2001:db8::/32 peers\n\
        assign user joe peers\nassign default root\n";

    #[test]
    fn clients_are_put_into_classes_by_the_longest_net_or_their_name() {
        let (classes, mistakes) = parse(FILE, &secrets());
        assert_eq!(mistakes, []);
        let name = |place: Option<usize>| {
            place.and_then(|it| classes.class(it)).map(|it| it.name.as_str())
        };
        for (client, class) in [
            ("10.2.0.1", "jail"),
            ("10.1.255.255", "peers"),
            ("11.0.0.1", "root"),
            ("2001:db8::1", "peers"),
            ("::1", "root"),
        ] {
            assert_eq!(name(classes.of_address(address(client))), Some(class), "{client}");
        }
        assert_eq!(name(classes.of_user("joe", address("10.2.0.1"))), Some("peers"));
        assert_eq!(name(classes.of_user("ann", address("10.2.0.1"))), Some("jail"));
    }

    #[test]
    fn a_class_uses_what_its_parents_have() {
        let (classes, _) = parse(FILE, &secrets());
        let jail = classes.of_address(address("10.2.0.1")).expect("a class");
        let line: Vec<&str> = classes.line_of(jail).map(|(_, class)| class.name.as_str()).collect();
        assert_eq!(line, ["jail", "root"]);
        let jail = classes.class(jail).expect("a class");
        assert_eq!((jail.bandwidth, jail.disk), (Some(1_000_000), Some(1)));
        assert!(jail.delete_on_fetch && !jail.allow_open_mode && !jail.allow_third_party);
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let text = "limit root with disk=x, nosuch=1, delete_on_fetch=maybe\nlimit b with parent=none\nassign net 10.0.0.1/8 root\n\
                    assign user ann root\nassign default nosuch\nallow all\nassign what\nlimit root\n";
        let (_, mistakes) = parse(text, &secrets());
        let lines: Vec<usize> = mistakes.iter().map(|mistake| mistake.span.line).collect();
        assert_eq!(lines, [1, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn who_is_in_no_class_is_not_served_and_without_a_file_everybody_is() {
        let (classes, _) = parse("limit root with disk=1\n", &secrets());
        assert_eq!(classes.of_address(address("10.0.0.1")), None);
        let everybody = Classes::default();
        let class = everybody.of_address(address("10.0.0.1")).and_then(|it| everybody.class(it));
        assert!(class.is_some_and(|class| class.allow_open_mode && !class.allow_third_party));
    }
}

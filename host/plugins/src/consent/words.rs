//! The entries of scopes in words: people, rooms, servers, nodes.

use parlor_base::escape::escape_untrusted;
use parlor_session::permissions::{Scope, ServerPlace};

use super::place::Place;

/// The most single addresses of a scope that a sentence about several permissions names. The sentence of each permission names all.
const FEW: usize = 3;

/// The words of sentences for the accounts that they are about.
#[derive(Debug)]
pub(super) struct Words {
    /// The account.
    pub(super) account: &'static str,
    /// The rooms of the account.
    pub(super) rooms: String,
}

impl Words {
    pub(super) fn of(places: &[Place]) -> Self {
        let account = if places.len() > 1 { "each account" } else { "this account" };
        let rooms = match places {
            [Place { rooms: Some(1), .. }] => "its room".to_owned(),
            [Place { rooms: Some(rooms @ 2..), .. }] => format!("its {rooms} rooms"),
            _ => "its rooms".to_owned(),
        };
        Self { account, rooms }
    }
}

/// Escapes an entry. It is never shortened, since the owner consents to all of it.
pub(super) fn escaped(entry: &str) -> String {
    escape_untrusted(entry, usize::MAX)
}

/// Joins words: `a, b and c`.
pub(super) fn listed(words: impl IntoIterator<Item = String>) -> String {
    let words: Vec<_> = words.into_iter().collect();
    match words.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// Joins the entries of a scope in words. With `*` the others say nothing more.
fn all(entries: &[String], everything: &str, one: impl Fn(&str) -> String) -> String {
    if is_everything(entries) {
        return everything.to_owned();
    }
    listed(entries.iter().map(|entry| one(entry)))
}

/// Returns whether a scope covers everything of its kind.
pub(super) fn is_everything(entries: &[String]) -> bool {
    entries.iter().any(|entry| entry == "*")
}

/// Returns the entries in words. If many of them are single addresses, it says their number instead.
pub(super) fn few(entries: &[String], words: impl Fn(&[String]) -> String, what: &str) -> String {
    listed(each_of_few(entries, words, what))
}

/// Returns the same as [`few`], each entry by itself, to be listed with others. An entry that covers more than one address is never
/// counted as one.
pub(super) fn each_of_few(entries: &[String], words: impl Fn(&[String]) -> String, what: &str) -> Vec<String> {
    if is_everything(entries) {
        return vec![words(entries)];
    }
    let single = entries.iter().filter(|entry| !covers_many(entry)).count();
    let named = entries.iter().filter(|entry| single <= FEW || covers_many(entry));
    let mut all: Vec<_> = named.map(|entry| words(std::slice::from_ref(entry))).collect();
    if single > FEW {
        all.push(format!("{single} {what}"));
    }
    all
}

/// Returns whether an entry covers more than one address: all of a domain, all contacts, or all servers that match a pattern.
fn covers_many(entry: &str) -> bool {
    entry.starts_with('@') || entry == "contacts" || entry.contains('*')
}

pub(super) fn people(entries: &[String]) -> String {
    all(entries, "anybody", person)
}

fn person(entry: &str) -> String {
    match entry.strip_prefix('@') {
        Some(domain) => format!("anybody at {}", escaped(domain)),
        None if entry == "*" => "anybody".to_owned(),
        None => escaped(entry),
    }
}

pub(super) fn rooms(entries: &[String]) -> String {
    all(entries, "all rooms", |entry| match entry.strip_prefix('@') {
        Some(domain) => format!("all rooms of {}", escaped(domain)),
        None => escaped(entry),
    })
}

/// The servers of a scope. No other entry covers those without TLS and those in the owner's own network, so a sentence always names them.
#[derive(Debug)]
pub(super) struct Servers {
    /// Those of the public network over TLS.
    pub(super) public: Vec<String>,
    /// Those of the public network without TLS, in words.
    pub(super) plain: Vec<String>,
    /// Those in the owner's own network, in words.
    pub(super) own: Vec<String>,
}

impl Servers {
    pub(super) fn of(scope: &Scope) -> Self {
        let mut all = Self { public: Vec::new(), plain: Vec::new(), own: Vec::new() };
        for (entry, place) in scope.servers() {
            match place {
                ServerPlace::Public => all.public.push(entry),
                ServerPlace::Plain => all.plain.push(format!("{} (without TLS)", escaped(&entry))),
                ServerPlace::Own => all.own.push(escaped(&entry)),
            }
        }
        all
    }

    /// Describes those of the public network.
    pub(super) fn others(&self) -> String {
        let public = (!self.public.is_empty()).then(|| servers(&self.public));
        listed(public.into_iter().chain(self.plain.iter().cloned()))
    }

    /// Describes each for a list of several permissions, where only their number is said of many of the public network.
    pub(super) fn each_of_few(&self) -> Vec<String> {
        let public = each_of_few(&self.public, servers, "servers of the web");
        let own = self.own.iter().map(|entry| format!("{entry} (in your own network)"));
        public.into_iter().chain(self.plain.iter().cloned()).chain(own).collect()
    }
}

fn servers(entries: &[String]) -> String {
    all(entries, "any server of the public web", escaped)
}

pub(super) fn plugins(entries: &[String]) -> String {
    all(entries, "any other plugin", escaped)
}

pub(super) fn namespaces(entries: &[String]) -> String {
    all(entries, "every XML namespace that its manifest lists", escaped)
}

pub(super) fn files(entries: &[String]) -> String {
    all(entries, "files of any kind and size", |entry| match entry.split_once(' ') {
        Some((kind, most)) if kind.contains('/') => format!("{} up to {}", escaped(kind), escaped(most)),
        _ if entry.contains('/') => escaped(entry),
        _ => format!("files up to {}", escaped(entry)),
    })
}

pub(super) fn nodes(entries: &[String], account: &str) -> String {
    all(entries, "every node of every service", |entry| {
        let (service, node) = entry.split_once('/').unwrap_or((entry, "*"));
        let service = match service {
            "own" => account.to_owned(),
            "*" => "every service".to_owned(),
            service => person(service),
        };
        if node == "*" { format!("every node of {service}") } else { format!("{} of {service}", escaped(node)) }
    })
}

/// Describes the stanzas that are read: they are granted by kind.
pub(super) fn stanzas_read(entries: &[String]) -> String {
    listed(entries.iter().map(|kind| match kind.as_str() {
        "iq" => "every request and answer (IQ)".to_owned(),
        kind => format!("every {}", escaped(kind)),
    }))
}

/// Describes the stanzas that are sent, each kind with its recipients.
pub(super) fn stanzas_sent(entries: &[String]) -> String {
    listed(entries.iter().map(|entry| {
        let (kind, to) = entry.split_once(':').unwrap_or((entry.as_str(), "*"));
        let kind = match kind {
            "message" => "messages",
            "iq" => "requests (IQs)",
            kind => kind,
        };
        format!("{} to {}", escaped(kind), person(to))
    }))
}

/// Returns the recipients of stanzas that are sent, of whichever kind, each once.
pub(super) fn recipients(entries: &[String]) -> Vec<String> {
    let mut to: Vec<_> =
        entries.iter().map(|entry| entry.split_once(':').map_or("*", |(_, to)| to).to_owned()).collect();
    to.sort_unstable();
    to.dedup();
    to
}

//! Requests about what other nodes of the cluster have.
//!
//! A request comes to one node, and [`way`](way::way) says for which nodes it is. Those get it over NATS, as [`passed`] writes it,
//! and [`merge`] makes one answer of theirs. A node that was passed a request carries it out itself, and records it in its own
//! audit.

pub(super) mod in_chat;
mod merge;
mod passed;
mod serving;
mod way;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use hyper::StatusCode;
use parlor_base::escape::escape_untrusted;
use parlor_config::{AccountName, Config};
use parlor_nats::{PutError, RequestError, StateError};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use self::merge::{Form, Merged};
use self::passed::Given;
use self::way::{Meant, Way};
use super::http::Answer;
use super::links;
use super::refusal::Refusal;
use super::request::Request;
use super::routes::Routes;
use crate::cluster::Member;

pub(super) use serving::serve;

/// How long another node may take for a question, and for a change. Clients of the control socket wait a little longer.
const QUESTION: Duration = Duration::from_secs(10);
const CHANGE: Duration = Duration::from_mins(4);
/// How long it may take for a comparison of secrets, for which somebody is waited for.
const COMPARISON: Duration = Duration::from_mins(9);
/// The most of a reason that is shown, in bytes.
const LONGEST: usize = 1 << 10;

/// Answers a request that came to this node.
pub(super) async fn answer(
    routes: &Routes,
    member: &Member,
    mut request: Request,
    client: impl AsyncRead + Unpin + Send + 'static,
    peer: u32,
) -> Result<Answer, Refusal> {
    let host = &routes.handle.host;
    let mut to = way::way(&request)?;
    // Another node must not ask for a third one.
    request.query.remove("at");
    if let Way::Meant(meant) = &to {
        to = Way::Holder(account_of(routes, member, meant, peer).await?);
    }
    let account = match to {
        Way::Here | Way::Meant(_) => return routes.answer(request, client, peer).await,
        Way::All => return all(routes, member, &request, peer).await,
        Way::Node(node) if node == member.node => return routes.answer(request, client, peer).await,
        Way::Node(node) => return pass(member, &node, &request, client, peer).await,
        Way::Holder(name) => name,
        Way::Owner(owner) => {
            let config = host.config();
            // The refusal is the same on each node.
            let names = links::with_owner(&config, request.value("account"), &owner)?;
            // An account of this node saves the way.
            match names.iter().find(|name| host.account(name).is_some()).or(names.first()) {
                Some(name) => AccountName::clone(name),
                None => return routes.answer(request, client, peer).await,
            }
        }
    };
    match holder(routes, member, &account).await? {
        Some(node) => pass(member, &node, &request, client, peer).await,
        None => routes.answer(request, client, peer).await,
    }
}

/// Returns the other node that has an account; `None` if this one has it, or if there is no such account.
async fn holder(routes: &Routes, member: &Member, name: &AccountName) -> Result<Option<String>, Refusal> {
    let (host, config) = (&routes.handle.host, routes.handle.host.config());
    let Some(account) = config.accounts.get(name).filter(|_| host.account(name).is_none()) else { return Ok(None) };
    let jid = account.link.jid.to_bare();
    let node = member.holder(&jid).await.map_err(|error| unread(&error))?;
    match node {
        Some(node) if node != member.node => return Ok(Some(node)),
        Some(_) => return Err(Refusal::Passing(format!("account {name} starts on this node; try again in a moment"))),
        None => {}
    }
    Err(match member.away(&jid).await.map_err(|error| unread(&error))? {
        Some(why) => Refusal::Cluster(format!("no node may run account {name}: {why}")),
        None => Refusal::Passing(format!(
            "account {name} goes from one node of the cluster to another; try again in a few seconds"
        )),
    })
}

/// Returns the refusal if the state of the cluster cannot be read.
fn unread(error: &StateError) -> Refusal {
    let says = error.to_string();
    match error {
        StateError::Put(PutError::Unknown) | StateError::Silent(_) => Refusal::Passing(says),
        _ => Refusal::Cluster(says),
    }
}

/// Returns the refusal if another node has not answered.
fn unanswered(error: &RequestError) -> Refusal {
    let says = shown(error);
    match error {
        RequestError::Cut
        | RequestError::Absent(_)
        | RequestError::Silent(_)
        | RequestError::Late(_)
        // It may be busy.
        | RequestError::Refused { .. } => Refusal::Passing(says),
        RequestError::TooLarge { .. } | RequestError::Sealed { .. } | RequestError::Strange(_) => Refusal::Cluster(says),
    }
}

fn shown(error: &RequestError) -> String {
    escape_untrusted(&error.to_string(), LONGEST)
}

/// Has another node carry out a request.
async fn pass(
    member: &Member,
    node: &str,
    request: &Request,
    mut client: impl AsyncRead + Unpin,
    peer: u32,
) -> Result<Answer, Refusal> {
    let disconnects = async {
        let mut nothing = [0; 1];
        // The rest of a request, an end and an error all mean that nobody waits.
        _ = client.read(&mut nothing).await;
    };
    let asked = if way::is_comparison(request) {
        ask(member, node, request, peer, COMPARISON, disconnects).await
    } else {
        let within = if request.method == hyper::Method::GET { QUESTION } else { CHANGE };
        ask(member, node, request, peer, within, std::future::pending()).await
    };
    asked.map(|given| given.answer(way::kind(request))).map_err(|error| unanswered(&error))
}

/// Asks another node.
async fn ask(
    member: &Member,
    node: &str,
    request: &Request,
    peer: u32,
    within: Duration,
    withdrawn: impl Future<Output = ()>,
) -> Result<Given, RequestError> {
    let body = passed::write(request, peer);
    let answer = member.requests().ask(node, &body, within, withdrawn).await?;
    passed::read_answer(&answer).ok_or_else(|| RequestError::Strange(node.to_owned()))
}

/// Has all nodes carry out a request, and puts their answers together.
async fn all(routes: &Routes, member: &Member, request: &Request, peer: u32) -> Result<Answer, Refusal> {
    let (own, others) = of_all(routes, member, request, peer).await;
    let config = routes.handle.host.config();
    merge::merge(&Form::of(request), own, others, &|jids| named(&config, jids)).map(Merged::answer)
}

/// Returns the names of accounts with these addresses.
fn named(config: &Config, jids: &BTreeSet<String>) -> BTreeMap<String, String> {
    let all = config.accounts.iter().map(|(name, account)| (account.link.jid.to_bare().to_string(), name.to_string()));
    all.filter(|(jid, _)| jids.contains(jid)).collect()
}

/// The answer of a node, or a sentence about why there is none.
struct Part {
    node: String,
    given: Result<Given, String>,
}

/// Returns the answers of this node and of the others.
async fn of_all(routes: &Routes, member: &Member, request: &Request, peer: u32) -> (Part, Vec<Part>) {
    let name = escape_untrusted(&member.node, LONGEST);
    let own = way::of_node(request, &name);
    let here = async { Given::of(routes.answer(own, tokio::io::empty(), peer).await).await };
    let (others, own) = tokio::join!(of_others(member, request, peer), here);
    (Part { node: name, given: Ok(own) }, others)
}

/// Returns the answers of the other nodes.
async fn of_others(member: &Member, request: &Request, peer: u32) -> Vec<Part> {
    let within = if request.method == hyper::Method::GET { QUESTION } else { CHANGE };
    let names = match member.nodes().await {
        Ok(names) => names,
        Err(error) => {
            let given = Err(format!("the other nodes are not known: {error}"));
            return vec![Part { node: "?".to_owned(), given }];
        }
    };
    let others = names.into_iter().filter(|name| *name != member.node);
    let asked = others.map(|node| async move {
        let name = escape_untrusted(&node, LONGEST);
        let given = ask(member, &node, &way::of_node(request, &name), peer, within, std::future::pending()).await;
        Part { node: name, given: given.map_err(|error| shown(&error)) }
    });
    join_all(asked).await
}

/// Returns the account that is meant, or the only one: as on a single host, but on whatever node it is.
async fn account_of(routes: &Routes, member: &Member, meant: &Meant, peer: u32) -> Result<AccountName, Refusal> {
    let config = routes.handle.host.config();
    if let (1, Some(name)) = (config.accounts.len(), config.accounts.keys().next()) {
        return Ok(name.clone());
    }
    let (own, others) = of_all(routes, member, &meant.question(), peer).await;
    only(meant, others.into_iter().chain([own]))?.ok_or_else(|| unnamed(&config))
}

/// Returns the only account that is meant by the answers of all nodes; `None` if there are several, or none.
fn only(meant: &Meant, parts: impl Iterator<Item = Part>) -> Result<Option<AccountName>, Refusal> {
    let mut found = Vec::new();
    for part in parts {
        match part.given {
            Ok(Given { status: StatusCode::OK, body, .. }) => found.extend(meant.accounts(&body)),
            Ok(_) => {}
            // It may have one that is meant, too.
            Err(reason) => return Err(Refusal::Cluster(format!("{reason}; name the account with --account"))),
        }
    }
    Ok(found.pop().filter(|_| found.is_empty()))
}

fn unnamed(config: &Config) -> Refusal {
    let names: Vec<_> = config.accounts.keys().map(ToString::to_string).collect();
    Refusal::unnamed("name the account", &names)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn part(status: StatusCode, body: &Value) -> Part {
        Part { node: "one".to_owned(), given: Ok(Given { status, body: body.to_string().into() }) }
    }

    fn people(account: &str, jid: &str, asks: bool) -> Value {
        let person =
            json!({ "jid": jid, "name": "", "subscription": "none", "status": "offline", "asks": asks, "groups": [] });
        json!({ "account": account, "known": true, "contacts": [person] })
    }

    #[test]
    fn the_account_that_a_person_asks_is_found_on_any_node() {
        let meant = Meant::AskedBy("juliet@example.org".parse().unwrap());
        let of = |parts: Vec<Part>| only(&meant, parts.into_iter());
        let asked = |account: &str| people(account, "juliet@example.org", true);
        let contact = people("friend", "juliet@example.org", false);
        let other = people("other", "romeo@example.org", true);
        let first = || part(StatusCode::OK, &json!([contact, other]));
        let found = of(vec![first(), part(StatusCode::OK, &json!([asked("main")]))]).unwrap();
        assert_eq!(found, Some("main".parse().unwrap()));
        // Nobody is asked, two are, or one node does not say.
        assert_eq!(of(vec![first(), part(StatusCode::CONFLICT, &json!([asked("main")]))]).unwrap(), None);
        assert_eq!(of(vec![part(StatusCode::OK, &json!([asked("main"), asked("two")]))]).unwrap(), None);
        let silent = Part { node: "two".to_owned(), given: Err("node two does not answer".to_owned()) };
        let refused = of(vec![part(StatusCode::OK, &json!([asked("main")])), silent]).unwrap_err();
        assert_eq!(refused.to_string(), "node two does not answer; name the account with --account");
    }

    /// Commands ask again for a while then.
    #[test]
    fn what_may_pass_has_a_status_of_its_own() {
        let node = || "two".to_owned();
        let of = |error: RequestError| unanswered(&error).status().as_u16();
        let reason = "it is busy with other requests; try again in a moment".to_owned();
        let refused = RequestError::Refused { node: node(), reason };
        let passing = [RequestError::Cut, RequestError::Absent(node()), RequestError::Silent(node())];
        assert_eq!(passing.map(of), [503; 3]);
        assert_eq!([RequestError::Late(node()), refused].map(of), [503; 2]);
        assert_eq!([RequestError::Strange(node()), RequestError::TooLarge { found: 2, most: 1 }].map(of), [409; 2]);
        let of = |error: StateError| unread(&error).status().as_u16();
        assert_eq!([StateError::Silent(node()), StateError::Put(PutError::Unknown)].map(of), [503; 2]);
        let damaged = StateError::Unreadable { subject: String::new(), revision: 7, cause: String::new() };
        assert_eq!(of(damaged), 409);
    }

    #[test]
    fn the_account_that_knows_a_room_is_found_on_any_node() {
        let meant = Meant::Knowing("hall@rooms.example.org".parse().unwrap());
        let room = json!({ "account": "main", "room": "hall@rooms.example.org", "state": "joined", "kept": false });
        let parts = vec![part(StatusCode::NOT_FOUND, &json!({ "error": "" })), part(StatusCode::OK, &room)];
        assert_eq!(only(&meant, parts.into_iter()).unwrap(), Some("main".parse().unwrap()));
    }
}

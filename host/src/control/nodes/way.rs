//! For which nodes of the cluster a request is.

use std::collections::BTreeMap;

use hyper::Method;
use jid::{BareJid, Jid};
use parlor_config::AccountName;
use parlor_session::Secret;

use crate::control::http::{JSON, LINES};
use crate::control::refusal::Refusal;
use crate::control::request::Request;
use crate::control::views::{People, Room};

/// For which nodes a request is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// For the one that it came to.
    Here,
    /// For the one of this name.
    Node(String),
    /// For the one that has this account.
    Holder(AccountName),
    /// For one that has an account with this owner.
    Owner(BareJid),
    /// For the one that has the account which is meant.
    Meant(Meant),
    /// For all of them.
    All,
}

/// The address by which a request means an account that it does not name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// The account knows this room or contact.
    Knowing(BareJid),
    /// This person asks the account to be a contact.
    AskedBy(BareJid),
}

impl Meant {
    /// Returns the question by which nodes say which of their accounts may be meant.
    pub(super) fn question(&self) -> Request {
        match self {
            Self::Knowing(address) => question(&["v1", "rooms", "show"], "room", address),
            Self::AskedBy(person) => question(&["v1", "contacts"], "jid", person),
        }
    }

    /// Returns the accounts that are meant by the answer of a node to this question.
    pub(super) fn accounts(&self, answer: &[u8]) -> Vec<AccountName> {
        let names = match self {
            Self::Knowing(_) => serde_json::from_slice(answer).map(|room: Room| vec![room.account]),
            Self::AskedBy(person) => serde_json::from_slice(answer).map(|mut all: Vec<People>| {
                // A node with an earlier version answers with all contacts.
                all.retain(|one| one.contacts.iter().any(|contact| contact.asks && contact.jid == person.as_str()));
                all.into_iter().map(|one| one.account).collect()
            }),
        };
        names.unwrap_or_default().into_iter().filter_map(|name| name.parse().ok()).collect()
    }
}

/// Returns for which nodes a request is. A request with a value that cannot be read is for this node, which refuses it.
pub(super) fn way(request: &Request) -> Result<Way, Refusal> {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let is_get = request.method == Method::GET;
    if let Some(at) = request.value("at") {
        return chosen(request, at, is_get, &path);
    }
    let account = request.value("account").and_then(|name| name.parse().ok());
    let of = |account: Option<AccountName>| account.map_or(Way::All, Way::Holder);
    Ok(match (is_get, &path[..]) {
        // Each node counts its entries by itself.
        (true, ["v1", "audit"]) if request.value("after").is_some() || has_one_number(request) => Way::Here,
        // The lines about an account are at the node that has it. Only the own log can be followed.
        (true, ["v1", "logs"]) if !is_followed(request) => account.map_or(Way::Here, Way::Holder),
        (_, ["v1", "rooms", "show" | "join" | "leave"]) => met(request, "room", account, Meant::Knowing),
        (false, ["v1", "say"]) => met(request, "to", account, Meant::Knowing),
        (false, ["v1", "contacts", "accept" | "deny"]) => met(request, "jid", account, Meant::AskedBy),
        (false, ["v1", "web", "link"]) => {
            request.value("to").and_then(|to| BareJid::new(to).ok()).map_or(Way::Here, Way::Owner)
        }
        (false, ["v1", "plugins", _, "webhooks", "replay" | "drop"]) => {
            // Each account counts its requests by itself, so a number alone could mean several of them.
            let unnamed = || Refusal::Value("name the account of the request with --account".to_owned());
            Way::Holder(account.ok_or_else(unnamed)?)
        }
        // One account, which the path names or the query.
        (_, ["v1", "accounts", name, "keys", ..]) => name.parse().map_or(Way::Here, Way::Holder),
        (true, ["v1", "plugins", _, "data"] | ["v1", "plugins", _, "data", "show"])
        | (false, ["v1", "plugins", _, "data", "import"]) => account.map_or(Way::Here, Way::Holder),
        (true, ["v1", "rooms" | "contacts"])
        | (
            false,
            ["v1", "plugins", _, "webhooks", "rotate"]
            | ["v1", "plugins", _, "schedules", "pause" | "resume"]
            | ["v1", "plugins", _, "data", "forget"],
        ) => of(account),
        _ if is_for_all(is_get, &path) => Way::All,
        _ => Way::Here,
    })
}

/// Returns the way of a request that names its nodes.
fn chosen(request: &Request, at: &str, is_get: bool, path: &[&str]) -> Result<Way, Refusal> {
    let can_be_merged = is_for_all(is_get, path) || (!is_get && matches!(path, ["v1", "reload" | "configure"]));
    match at {
        "." => Ok(Way::Here),
        "*" if can_be_merged => Ok(Way::All),
        "*" => Err(Refusal::Value("this is asked of one node; name it with --node".to_owned())),
        _ if is_followed(request) => {
            let says = "the log of another node cannot be followed; look at it without -f, or follow it on that node";
            Err(Refusal::Value(says.to_owned()))
        }
        node => Ok(Way::Node(node.to_owned())),
    }
}

/// Returns whether a request is for the entries before one number, or before something that is none.
fn has_one_number(request: &Request) -> bool {
    request.value("before").is_some() && numbers(request).is_none()
}

/// Returns the number of an entry for each node that a request for older entries of the audit names; none if it has no such numbers.
fn numbers(request: &Request) -> Option<BTreeMap<String, i64>> {
    let is_audit = request.path == ["v1", "audit"];
    serde_json::from_str(request.value("before").filter(|_| is_audit)?).ok()
}

/// Returns the request as one node is asked it. Of the numbers of entries, a node is given its own.
pub(super) fn of_node(request: &Request, node: &str) -> Request {
    let mut own = copy(request);
    if let Some(numbers) = numbers(request) {
        own.query.remove("before");
        own.query.extend(numbers.get(node).map(|number| ("before".to_owned(), number.to_string())));
    }
    own
}

fn copy(request: &Request) -> Request {
    let Request { method, path, query, host, body, by, passed_by } = request;
    Request {
        method: method.clone(),
        path: path.clone(),
        query: query.clone(),
        host: host.clone(),
        body: body.clone(),
        by: by.clone(),
        passed_by: passed_by.clone(),
    }
}

/// Returns whether the answers of several nodes to a request can be put together.
fn is_for_all(is_get: bool, path: &[&str]) -> bool {
    match path {
        ["v1", "status" | "audit" | "keys" | "schedules" | "rooms" | "contacts"]
        | ["v1", "plugins", _]
        | ["v1", "plugins", _, "explain" | "webhooks" | "schedules"] => is_get,
        ["v1", "plugins", _, "restart"] => !is_get,
        _ => false,
    }
}

/// Returns the way of a request about a room or a person. `meant` says which account it means if it names none.
fn met(request: &Request, field: &str, account: Option<AccountName>, meant: fn(BareJid) -> Meant) -> Way {
    if let Some(account) = account {
        return Way::Holder(account);
    }
    // A name that cannot be one of an account is refused.
    let address = request.value(field).filter(|_| request.value("account").is_none());
    let address = address.and_then(|address| Jid::new(address).ok());
    address.map_or(Way::Here, |jid| Way::Meant(meant(jid.to_bare())))
}

/// Returns a question about an address.
fn question(path: &[&str], field: &str, address: &BareJid) -> Request {
    Request {
        method: Method::GET,
        path: path.iter().map(|part| (*part).to_owned()).collect(),
        query: BTreeMap::from([(field.to_owned(), address.to_string())]),
        host: None,
        body: Secret::new(Vec::new()),
        by: None,
        passed_by: None,
    }
}

/// Returns whether the answer to a request goes on without end.
pub(super) fn is_followed(request: &Request) -> bool {
    request.path == ["v1", "logs"] && request.value("follow") == Some("true")
}

/// Returns whether a person is waited for.
pub(super) fn is_comparison(request: &Request) -> bool {
    matches!(&request.path[..], [_, accounts, _, _, step] if accounts == "accounts" && (step == "verify" || step == "answer"))
}

/// Returns the content type of the answer.
pub(super) fn kind(request: &Request) -> &'static str {
    if request.path == ["v1", "logs"] { LINES } else { JSON }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, target: &str) -> Result<Way, Refusal> {
        let head = hyper::Request::builder().method(method).uri(target);
        way(&Request::of(&head.body(()).unwrap().into_parts().0).unwrap())
    }

    fn holder(name: &str) -> Way {
        Way::Holder(name.parse().unwrap())
    }

    fn knowing(address: &str) -> Way {
        Way::Meant(Meant::Knowing(address.parse().unwrap()))
    }

    #[test]
    fn a_request_goes_to_the_nodes_that_it_is_about() {
        for (method, target, expected) in [
            ("GET", "/v1/status", Way::All),
            ("GET", "/v1/audit?plugin=echo&account=main", Way::All),
            ("GET", "/v1/audit?before=7", Way::Here),
            ("GET", "/v1/audit?after=7&wait=true", Way::Here),
            ("GET", "/v1/audit?before=%7B%22one%22:7%7D", Way::All),
            ("GET", "/v1/audit?before=%7B%22one%22:7%7D&after=1", Way::Here),
            ("GET", "/v1/audit?before=%7B%22one%22:%22x%22%7D", Way::Here),
            ("GET", "/v1/plugins/echo", Way::All),
            ("GET", "/v1/plugins/echo/explain?what=message", Way::All),
            ("GET", "/v1/keys", Way::All),
            ("GET", "/v1/rooms", Way::All),
            ("GET", "/v1/rooms?account=main", holder("main")),
            ("GET", "/v1/contacts?account=main", holder("main")),
            ("POST", "/v1/contacts/accept?jid=a@b&account=main", holder("main")),
            ("POST", "/v1/contacts/accept?jid=a@b", Way::Meant(Meant::AskedBy("a@b".parse().unwrap()))),
            ("POST", "/v1/contacts/deny?jid=a@b&account=%20", Way::Here),
            ("POST", "/v1/contacts/deny", Way::Here),
            ("GET", "/v1/accounts/main/keys", holder("main")),
            ("POST", "/v1/accounts/main/keys/verify?jid=a@b", holder("main")),
            ("GET", "/v1/rooms/show?room=r@m", knowing("r@m")),
            ("POST", "/v1/rooms/join?room=r@m&account=main", holder("main")),
            ("POST", "/v1/say?to=a@b/c&text=x", knowing("a@b")),
            ("POST", "/v1/say?to=a@b&text=x&account=%20", Way::Here),
            ("POST", "/v1/web/link?to=a@b&account=main", Way::Owner("a@b".parse().unwrap())),
            ("POST", "/v1/plugins/echo/restart", Way::All),
            ("POST", "/v1/plugins/echo/schedules/pause?schedule=x", Way::All),
            ("POST", "/v1/plugins/echo/webhooks/rotate?webhook=x&account=main", holder("main")),
            ("POST", "/v1/plugins/echo/webhooks/replay?request=7&account=main", holder("main")),
            ("POST", "/v1/plugins/echo/webhooks/drop?request=7&account=main", holder("main")),
            ("POST", "/v1/plugins/echo/data/import?quota=9&account=main", holder("main")),
            ("POST", "/v1/plugins/echo/data/import?quota=9", Way::Here),
            ("GET", "/v1/plugins/echo/data?account=main", holder("main")),
            ("GET", "/v1/plugins/echo/data/show?account=main&key=a", holder("main")),
            ("GET", "/v1/plugins/echo/data", Way::Here),
            ("POST", "/v1/plugins/echo/data/forget?account=main", holder("main")),
            ("POST", "/v1/plugins/echo/data/forget", Way::All),
            ("POST", "/v1/reload", Way::Here),
            ("POST", "/v1/configure", Way::Here),
            ("GET", "/v1/logs?follow=true", Way::Here),
            ("GET", "/v1/logs?plugin=echo", Way::Here),
            ("GET", "/v1/logs?plugin=echo&account=main", holder("main")),
            ("GET", "/v1/logs?plugin=echo&account=main&follow=true", Way::Here),
            ("POST", "/v1/cluster/drain?node=two", Way::Here),
            ("POST", "/v1/status", Way::Here),
            ("GET", "/v1/nonsense", Way::Here),
        ] {
            assert_eq!(of(method, target).unwrap(), expected, "{method} {target}");
        }
    }

    #[test]
    fn a_node_is_asked_for_the_entries_before_its_own_number() {
        let of = |target: &str, node: &str| {
            let head = hyper::Request::builder().method("GET").uri(target);
            of_node(&Request::of(&head.body(()).unwrap().into_parts().0).unwrap(), node).target()
        };
        let all = "/v1/audit?before=%7B%22one%22:7,%22t,%20w%22:-2%7D&lines=5";
        assert_eq!(of(all, "one"), "/v1/audit?before=7&lines=5");
        assert_eq!(of(all, "t, w"), "/v1/audit?before=-2&lines=5");
        assert_eq!(of(all, "three"), "/v1/audit?lines=5");
        // A node refuses these itself.
        for other in ["/v1/audit?before=7", "/v1/audit?before=%7B%22one%22%7D", "/v1/rooms?before=%7B%22one%22:7%7D"] {
            assert_eq!(of(other, "one"), other);
        }
    }

    #[test]
    fn an_owner_can_name_the_node() {
        let two = || Way::Node("two".to_owned());
        for (method, target, expected) in [
            ("GET", "/v1/status?at=two", two()),
            ("GET", "/v1/logs?at=two&lines=5", two()),
            ("POST", "/v1/configure?at=two", two()),
            ("POST", "/v1/configure?at=*", Way::All),
            ("GET", "/v1/audit?at=.&after=0", Way::Here),
            ("GET", "/v1/logs?at=.&follow=true", Way::Here),
        ] {
            assert_eq!(of(method, target).unwrap(), expected, "{method} {target}");
        }
        for (method, target) in [
            ("GET", "/v1/logs?at=two&follow=true"),
            ("GET", "/v1/logs?at=*"),
            ("POST", "/v1/say?at=*&to=a@b"),
            ("POST", "/v1/plugins/echo/webhooks/replay?request=7"),
        ] {
            assert!(matches!(of(method, target), Err(Refusal::Value(_))), "{method} {target}");
        }
    }
}

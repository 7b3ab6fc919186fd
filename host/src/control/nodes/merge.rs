//! Makes one answer of the answers of several nodes.
//!
//! Each entry names its node. The nodes may run different versions of parlor, so fields that are not known here stay.

use std::collections::{BTreeMap, BTreeSet};

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::Part;
use super::passed::Given;
use crate::control::INCOMPLETE_HEADER;
use crate::control::audit::{Audit, Counted, Entry, Name, lines};
use crate::control::http::{Answer, JSON};
use crate::control::refusal::Refusal;
use crate::control::request::{Request, escaped};
use crate::control::views::Failure;

/// How many nodes are named that did not answer.
const NAMED: usize = 10;

/// Returns the names that accounts with these addresses have in the files of this node.
pub(super) type Named<'a> = dyn Fn(&BTreeSet<String>) -> BTreeMap<String, String> + 'a;

/// The form of the answers to a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A status of the host.
    Status,
    /// A part of the audit, with at most so many entries.
    Audit(usize),
    /// A list.
    Rows,
}

impl Form {
    pub(super) fn of(request: &Request) -> Self {
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        match path[..] {
            ["v1", "status" | "reload" | "configure"] | ["v1", "plugins", _, "restart"] => Self::Status,
            // A number that cannot be read is refused by each node.
            ["v1", "audit"] => {
                Self::Audit(lines(request).map_or(0, |lines| usize::try_from(lines).unwrap_or(usize::MAX)))
            }
            _ => Self::Rows,
        }
    }
}

/// The answer of several nodes.
#[derive(Debug)]
pub(super) struct Merged {
    given: Given,
    /// Why something is missing, a sentence for each node.
    missing: Vec<String>,
}

impl Merged {
    /// Reads it. None: nodes answered something else.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.given.body).ok()
    }

    /// Returns it as the answer to a client.
    pub(super) fn answer(self) -> Answer {
        let Self { given, mut missing } = self;
        let mut answer = given.answer(JSON);
        if missing.len() > NAMED {
            let more = missing.len() - NAMED;
            missing.truncate(NAMED);
            missing.push(format!("and {more} more"));
        }
        let reasons = HeaderValue::try_from(escaped(&missing.join("; ")));
        if let (Ok(reasons), false) = (reasons, missing.is_empty()) {
            answer.headers_mut().insert(INCOMPLETE_HEADER, reasons);
        }
        answer
    }
}

/// Puts answers together. Nodes that do not know what is asked about add nothing. The answer is that of this node, if no node
/// has another one.
pub(super) fn merge(form: &Form, own: Part, others: Vec<Part>, named: &Named<'_>) -> Result<Merged, Refusal> {
    let name = own.node.clone();
    let (mut has, mut missing, mut refused) = (Vec::new(), Vec::new(), None);
    for part in std::iter::once(own).chain(others) {
        match part.given {
            Ok(Given { status: StatusCode::OK, body }) => has.push((part.node, body)),
            Ok(given) => {
                if given.status != StatusCode::NOT_FOUND {
                    let failure = serde_json::from_slice::<Failure>(&given.body);
                    let reason =
                        failure.map_or_else(|_| "its answer cannot be read".to_owned(), |failure| failure.error);
                    missing.push((part.node.clone(), format!("node {}: {reason}", part.node)));
                }
                if part.node == name {
                    refused = Some(given);
                }
            }
            Err(reason) => missing.push((part.node, reason)),
        }
    }
    let given = match (form, refused) {
        (Form::Status, Some(refused)) => refused,
        (_, Some(refused)) if has.is_empty() => {
            missing.retain(|(node, _)| *node != name);
            refused
        }
        (Form::Status, None) => written(&status(&has, &mut missing, named))?,
        (Form::Audit(most), _) => written(&audit(&has, *most, &mut missing))?,
        (Form::Rows, _) => written(&all_rows(&has, &mut missing))?,
    };
    Ok(Merged { given, missing: missing.into_iter().map(|(_, reason)| reason).collect() })
}

fn written(value: &impl serde::Serialize) -> Result<Given, Refusal> {
    let body = serde_json::to_vec(value).map_err(Refusal::Unwritable)?;
    Ok(Given { status: StatusCode::OK, body: body.into() })
}

fn strange(node: &str) -> (String, String) {
    (node.to_owned(), format!("the answer of node {node} cannot be read; run the same version of parlor on all nodes"))
}

/// Puts the states of hosts together: the first one, with the accounts and plugins of all.
fn status(has: &[(String, Bytes)], missing: &mut Vec<(String, String)>, named: &Named<'_>) -> Map<String, Value> {
    let mut whole = Map::new();
    let (mut nodes, mut accounts, mut plugins) = (Vec::new(), Vec::new(), Vec::new());
    for (node, bytes) in has {
        let Ok(Value::Object(mut one)) = serde_json::from_slice(bytes) else {
            missing.push(strange(node));
            continue;
        };
        let mut shown = Map::from_iter([("name".to_owned(), json!(node))]);
        for name in ["host", "policy_error", "config_error", "webhooks_error", "cluster"] {
            shown.extend(one.get(name).map(|value| (name.to_owned(), value.clone())));
        }
        nodes.push(Value::Object(shown));
        for (name, to) in [("accounts", &mut accounts), ("plugins", &mut plugins)] {
            let rows = one.remove(name).unwrap_or_default();
            to.extend(rows_of(node, rows));
        }
        if whole.is_empty() {
            one.insert("node".to_owned(), json!(node));
            whole = one;
        }
    }
    let nowhere = nowhere(&nodes, &accounts, named);
    if !nowhere.is_empty() {
        whole.insert("nowhere".to_owned(), Value::Array(nowhere));
    }
    nodes.extend(missing.iter().map(|(node, reason)| json!({ "name": node, "error": reason })));
    accounts.sort_by(|one, other| text(one, "name").cmp(text(other, "name")));
    tidy(&mut plugins);
    for (name, values) in [("nodes", nodes), ("accounts", accounts), ("plugins", plugins)] {
        whole.insert(name.to_owned(), Value::Array(values));
    }
    whole
}

/// Returns the accounts of this node's files that nodes were given and do not run, and that run at no other node.
fn nowhere(nodes: &[Value], accounts: &[Value], named: &Named<'_>) -> Vec<Value> {
    let bare = |row: &Value| text(row, "jid").split('/').next().unwrap_or_default().to_owned();
    let run: BTreeSet<_> = accounts.iter().map(bare).collect();
    let mut idle = BTreeMap::new();
    for node in nodes {
        for row in
            node["cluster"]["idle"].as_array().into_iter().flatten().filter(|row| !run.contains(text(row, "jid")))
        {
            idle.insert(text(row, "jid").to_owned(), (text(node, "name"), text(row, "reason")));
        }
    }
    let of_idle = if idle.is_empty() { BTreeMap::new() } else { named(&idle.keys().cloned().collect()) };
    let shown = |(jid, name): (&String, &String)| {
        let (node, reason) = idle.get(jid)?;
        Some(json!({ "name": name, "node": node, "reason": reason }))
    };
    of_idle.iter().filter_map(shown).collect()
}

/// Puts lists together.
fn all_rows(has: &[(String, Bytes)], missing: &mut Vec<(String, String)>) -> Vec<Value> {
    let mut all = Vec::new();
    for (node, bytes) in has {
        match serde_json::from_slice(bytes) {
            Ok(rows @ Value::Array(_)) => all.extend(rows_of(node, rows)),
            _ => missing.push(strange(node)),
        }
    }
    tidy(&mut all);
    all
}

/// Returns the rows of a node, with its name.
fn rows_of(node: &str, rows: Value) -> Vec<Value> {
    let Value::Array(mut rows) = rows else { return Vec::new() };
    for row in rows.iter_mut().filter_map(Value::as_object_mut) {
        row.insert("node".to_owned(), json!(node));
    }
    rows
}

fn text<'v>(row: &'v Value, name: &str) -> &'v str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Sorts rows by plugin and account. On a node that has none of its accounts, a plugin has a row without an account: it is
/// left out if the plugin has an account elsewhere, and there once if it is the same on several nodes.
fn tidy(rows: &mut Vec<Value>) {
    let id = |row: &Value| format!("{}{}", text(row, "id"), text(row, "plugin"));
    let placed: BTreeSet<_> = rows.iter().filter(|row| !text(row, "account").is_empty()).map(id).collect();
    let says_more = |row: &Value| row.get("state").is_some_and(|state| state != "stopped");
    rows.retain(|row| !text(row, "account").is_empty() || says_more(row) || !placed.contains(&id(row)));
    let mut kept: Vec<Value> = Vec::new();
    let mut unplaced = BTreeMap::<String, usize>::new();
    for row in rows.drain(..) {
        let mut nowhere = row.clone();
        if let (Some(fields), true) = (nowhere.as_object_mut(), text(&row, "account").is_empty()) {
            fields.remove("node");
            if let Some(at) = unplaced.get(&nowhere.to_string()) {
                kept[*at] = nowhere;
                continue;
            }
            unplaced.insert(nowhere.to_string(), kept.len());
        }
        kept.push(row);
    }
    kept.sort_by(|one, other| (id(one), text(one, "account")).cmp(&(id(other), text(other, "account"))));
    *rows = kept;
}

/// Puts parts of audits together: the last entries, and the numbers of all.
fn audit(has: &[(String, Bytes)], most: usize, missing: &mut Vec<(String, String)>) -> Audit {
    let mut whole = Audit::default();
    let (mut entries, mut counts, mut names) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for (node, bytes) in has {
        let Ok(one) = serde_json::from_slice::<Audit>(bytes) else {
            missing.push(strange(node));
            continue;
        };
        let mut own: Vec<(Timestamp, Entry)> = Vec::with_capacity(one.entries.len());
        // The newest first. An entry is no later than the next one, also where the clock was set back in between: each node's own
        // entries stay in their order, so that older ones can be asked for by a number of each node.
        for entry in one.entries.into_iter().rev() {
            let at = own.last().map_or(Timestamp::MAX, |(next, _)| *next).min(time(&entry.at));
            own.push((at, Entry { node: Some(node.clone()), ..entry }));
        }
        entries.extend(own.into_iter().rev());
        for Counted { plugin, account, name, count } in one.counts {
            *counts.entry((plugin, account, name)).or_insert(0u64) += count;
        }
        for name in one.names {
            let key = (name.account.clone(), name.kind.clone(), name.what.clone());
            match names.remove(&key) {
                Some(before) => names.insert(key, added(before, name)),
                None => names.insert(key, name),
            };
        }
    }
    // The clocks of nodes may differ a little.
    entries.sort_by_key(|(at, _)| *at);
    let before = entries.len().saturating_sub(most);
    whole.entries = entries.into_iter().skip(before).map(|(_, entry)| entry).collect();
    let counted = |((plugin, account, name), count)| Counted { plugin, account, name, count };
    whole.counts = counts.into_iter().map(counted).collect();
    whole.names = names.into_values().collect();
    whole.names.sort_by_key(|name| std::cmp::Reverse(time(&name.last)));
    whole
}

fn added(one: Name, other: Name) -> Name {
    let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    };
    Name {
        first: if time(&one.first) <= time(&other.first) { one.first } else { other.first },
        last: if time(&one.last) >= time(&other.last) { one.last } else { other.last },
        count: one.count.saturating_add(other.count),
        sent: sum(one.sent, other.sent),
        received: sum(one.received, other.received),
        ..other
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::request::unescaped;

    fn part(node: &str, status: u16, body: &Value) -> Part {
        let status = StatusCode::from_u16(status).unwrap();
        Part { node: node.to_owned(), given: Ok(Given { status, body: body.to_string().into() }) }
    }

    fn silent(node: &str) -> Part {
        Part { node: node.to_owned(), given: Err(format!("node {node} does not answer")) }
    }

    fn merged(form: &Form, own: Part, others: Vec<Part>) -> (Value, Vec<String>) {
        let merged = merge(form, own, others, &|_| BTreeMap::new()).unwrap();
        (serde_json::from_slice(&merged.given.body).unwrap(), merged.missing)
    }

    fn host(accounts: &Value, plugins: &Value) -> Value {
        let host = json!({ "version": "0.1.0", "pid": 1, "since": "", "uptime": 1, "memory": 1 });
        json!({ "running": true, "host": host, "data": "d", "policy": "p", "accounts": accounts, "plugins": plugins })
    }

    #[test]
    fn a_status_has_the_accounts_and_plugins_of_all_nodes_and_names_those_that_are_silent() {
        let account = |name: &str| json!({ "name": name, "jid": "a@b", "connection": "connected", "new field": 1 });
        let plugin = |account: Option<&str>, state: &str| json!({ "id": "echo", "account": account, "state": state });
        let one = host(&json!([account("b")]), &json!([plugin(Some("b"), "running")]));
        let two = host(&json!([account("a")]), &json!([plugin(None, "stopped"), plugin(None, "refused")]));
        let (status, missing) =
            merged(&Form::Status, part("one", 200, &one), vec![part("two", 200, &two), silent("three")]);
        assert_eq!(missing, ["node three does not answer"]);
        let of = |row: &Value, name: &str| row[name].clone();
        let rows = |name: &str| status[name].as_array().unwrap().clone();
        let accounts: Vec<_> = rows("accounts").iter().map(|row| (of(row, "name"), of(row, "node"))).collect();
        assert_eq!(accounts, [(json!("a"), json!("two")), (json!("b"), json!("one"))]);
        assert_eq!(rows("accounts")[0]["new field"], 1);
        let plugins: Vec<_> = rows("plugins").iter().map(|row| (of(row, "state"), of(row, "node"))).collect();
        assert_eq!(plugins, [(json!("refused"), json!("two")), (json!("running"), json!("one"))]);
        assert_eq!((&status["node"], &status["nodes"][1]["host"]["pid"]), (&json!("one"), &json!(1)));
        assert_eq!(status["nodes"][2], json!({ "name": "three", "error": "node three does not answer" }));
        let typed: crate::control::views::Status = serde_json::from_value(host(&json!([]), &json!([]))).unwrap();
        assert!(typed.nodes.is_empty() && typed.all_ills().is_empty());
    }

    /// A removed account may still be in the cluster, and is in no file.
    #[test]
    fn accounts_of_the_files_that_a_node_was_given_and_does_not_run_are_named() {
        let account = |jid: &str| json!({ "name": "runs", "jid": jid, "connection": "connected" });
        let mut two = host(&json!([]), &json!([]));
        let idle = ["a@b", "c@d", "e@f"].map(|jid| json!({ "jid": jid, "reason": "there is no such account" }));
        two["cluster"] = json!({
            "nats": true, "nodes": 2, "accounts": 4, "here": 0, "nowhere": 0, "files_behind": 0, "idle": idle,
        });
        let one = host(&json!([account("c@d/x")]), &json!([]));
        let in_files = |jids: &BTreeSet<String>| {
            assert!(!jids.contains("c@d"), "it runs elsewhere");
            BTreeMap::from([("a@b".to_owned(), "first".to_owned())])
        };
        let merged = merge(&Form::Status, part("one", 200, &one), vec![part("two", 200, &two)], &in_files).unwrap();
        let status: crate::control::views::Status = serde_json::from_slice(&merged.given.body).unwrap();
        let says =
            "account first runs on no node: node two was given it, and does not start it: there is no such account";
        assert_eq!(status.all_ills(), [says]);
        assert_eq!(status.nodes[1].cluster.as_ref().map(|cluster| cluster.idle.len()), Some(3));
    }

    #[test]
    fn a_plugin_that_is_refused_on_all_nodes_is_so_once_and_on_no_node() {
        let row = json!({ "id": "echo", "account": null, "state": "disabled" });
        let rows = json!([row]);
        let (all, missing) = merged(&Form::Rows, part("one", 200, &rows), vec![part("two", 200, &rows)]);
        assert_eq!((all, missing.len()), (json!([row]), 0));
    }

    #[test]
    fn nodes_that_do_not_know_what_is_asked_about_add_nothing_and_others_are_missing() {
        let (no, busy) = (json!({ "error": "there is none" }), json!({ "error": "too many" }));
        let rows = json!([{ "account": "main" }]);
        let others = vec![part("two", 200, &rows), part("three", 503, &busy), part("four", 200, &json!("?"))];
        let (all, missing) = merged(&Form::Rows, part("one", 404, &no), others);
        assert_eq!(all, json!([{ "account": "main", "node": "two" }]));
        assert_eq!(missing.len(), 2, "{missing:?}");
        assert_eq!(missing[0], "node three: too many");
        let others = vec![part("two", 404, &no), silent("three")];
        let merged = merge(&Form::Rows, part("one", 404, &no), others, &|_| BTreeMap::new()).unwrap();
        let answer = merged.answer();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        let said = answer.headers()[INCOMPLETE_HEADER].to_str().unwrap();
        assert_eq!(unescaped(said).as_deref(), Some("node three does not answer"));
    }

    fn entry(id: i64, at: &str) -> Entry {
        Entry {
            id,
            node: None,
            at: at.to_owned(),
            kind: "run".to_owned(),
            plugin: None,
            account: None,
            who: "host".to_owned(),
            file: None,
            way: String::new(),
            what: String::new(),
            old: None,
            new: None,
            said: Vec::new(),
        }
    }

    #[test]
    fn entries_of_a_node_whose_clock_was_set_back_stay_in_their_order() {
        let [first, second, third, fourth] =
            ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z", "2026-01-01T03:00:00Z"];
        let audit = |entries| json!(Audit { entries, ..Audit::default() });
        let one = audit(vec![entry(1, fourth), entry(2, first), entry(3, third)]);
        let two = audit(vec![entry(7, second)]);
        let (audit, _) = merged(&Form::Audit(3), part("one", 200, &one), vec![part("two", 200, &two)]);
        let audit: Audit = serde_json::from_value(audit).unwrap();
        let found: Vec<_> = audit.entries.iter().map(|entry| (entry.node.as_deref(), entry.id)).collect();
        assert_eq!(found, [(Some("one"), 2), (Some("two"), 7), (Some("one"), 3)]);
    }

    #[test]
    fn an_audit_has_the_last_entries_of_all_nodes_and_the_sums_of_their_numbers() {
        let name = |first: &str, last: &str, sent| Name {
            account: "main".to_owned(),
            kind: "request".to_owned(),
            what: "GET".to_owned(),
            first: first.to_owned(),
            last: last.to_owned(),
            count: 2,
            sent,
            received: None,
        };
        let [early, middle, late] = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", "2026-01-02T00:00:00Z"];
        let count =
            Counted { plugin: "echo".to_owned(), account: "main".to_owned(), name: "sent".to_owned(), count: 3 };
        let audit = |entries, name| json!(Audit { entries, counts: vec![count.clone()], names: vec![name] });
        let one = audit(vec![entry(1, early), entry(2, late)], name(middle, late, Some(1)));
        let two = audit(vec![entry(1, middle)], name(early, middle, None));
        let (audit, _) = merged(&Form::Audit(2), part("one", 200, &one), vec![part("two", 200, &two)]);
        let audit: Audit = serde_json::from_value(audit).unwrap();
        let entries: Vec<_> = audit.entries.iter().map(|entry| (entry.node.as_deref(), entry.id)).collect();
        assert_eq!(entries, [(Some("two"), 1), (Some("one"), 2)]);
        assert_eq!(audit.counts[0].count, 6);
        let only = &audit.names[0];
        assert_eq!((audit.names.len(), only.count, only.sent), (1, 4, Some(1)));
        assert_eq!((only.first.as_str(), only.last.as_str()), (early, late));
    }
}

//! The audit: changes with their authors, and the activity of plugins.

use std::collections::BTreeMap;
use std::sync::Arc;

use maud::{Markup, html};
use parlor::control::audit::{Audit, Counted, Entry, Name};
use parlor_store::{AuditKind, AuditQuery};
use parlor_window::{Page, Problem, Reply, Role, Routes, segment};

use super::host::{Host, Visit, account_names, ask, look};
use super::parts::{cell, choice, field, lacking, maybe, rows, table, when};
use crate::audit::{read, read_before, request, since};
use crate::show::size;
use crate::target;

/// The entries of one page.
const PAGE: u32 = 50;
/// The names of the fields.
const FIELDS: [&str; 4] = ["plugin", "account", "kind", "since"];

/// The longest text of [`Before`], in bytes: it has to fit into the head of a request.
const LONGEST: usize = 4 << 10;

/// Adds the page.
pub(super) fn routes(routes: Routes<Arc<Host>>) -> Routes<Arc<Host>> {
    routes.page("/audit", Role::Viewer.of_accounts(), page)
}

/// The filter as it was typed, a text for each of [`FIELDS`].
type Filter = [String; 4];

/// The entries that the pages before this one have shown down to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Before {
    /// This one.
    Entry(i64),
    /// One of each node of a cluster that has shown any: each node counts its entries by itself.
    Nodes(BTreeMap<String, i64>),
}

impl Before {
    /// Reads the parameter of a query.
    fn of(text: &str) -> Result<Self, String> {
        if let Ok(number) = text.parse() {
            return Ok(Self::Entry(number));
        }
        let nodes = Some(text).filter(|text| text.len() <= LONGEST).and_then(|text| serde_json::from_str(text).ok());
        nodes.map(Self::Nodes).ok_or_else(|| "`before` is the number of an entry, or that of each node".to_owned())
    }

    /// Returns what the next page is behind: these entries, the newest first, and those of the pages before. None: there are none,
    /// or too many nodes have shown some.
    fn behind(entries: &[&Entry], before: Option<&Self>) -> Option<Self> {
        let last = entries.last()?;
        if last.node.is_none() {
            return Some(Self::Entry(last.id));
        }
        let mut nodes = match before {
            Some(Self::Nodes(nodes)) => nodes.clone(),
            Some(Self::Entry(_)) | None => BTreeMap::new(),
        };
        // Of each node, the oldest one comes last. A node that has shown none goes on with its newest one, as does one that did not
        // answer: nothing is lost.
        nodes.extend(entries.iter().filter_map(|entry| Some((entry.node.clone()?, entry.id))));
        Some(Self::Nodes(nodes)).filter(|next| next.text().len() <= LONGEST)
    }

    /// Returns it as the parameter of a query.
    fn text(&self) -> String {
        match self {
            Self::Entry(number) => number.to_string(),
            Self::Nodes(nodes) => serde_json::json!(nodes).to_string(),
        }
    }

    /// Returns the number of one entry, if it is that.
    fn entry(&self) -> Option<i64> {
        match self {
            Self::Entry(number) => Some(*number),
            Self::Nodes(_) => None,
        }
    }
}

async fn page(visit: Visit) -> Result<Reply, Problem> {
    let filter = FIELDS.map(|name| visit.query(name).unwrap_or_default().trim().to_owned());
    let before = visit.query("before").map(Before::of).transpose().map_err(Problem::wrong)?;
    let query = query(&filter, before.as_ref().and_then(Before::entry)).map_err(Problem::wrong)?;
    if visit.is_limited() {
        return of_accounts(&visit, &filter, before.as_ref(), query).await;
    }
    let nodes = before.as_ref().filter(|before| before.entry().is_none()).map(Before::text);
    let (audit, lacks) = look(&visit, move |config, _| {
        let host = target::host(config)?;
        let audit = match nodes {
            Some(nodes) => read_before(config, host.as_ref(), &query, &nodes)?,
            None => read(config, host.as_ref(), &query)?,
        };
        Ok((audit, host.and_then(|host| host.incomplete())))
    })
    .await?;
    let content = content(&|path| visit.link(path), &filter, before.as_ref(), &audit);
    Ok(Page::new("Audit", html! { (lacking(lacks.as_deref())) (content) }).into())
}

/// Shows entries of one account to a session of some accounts. The host numbers them by their places there, the newest first.
async fn of_accounts(
    visit: &Visit,
    filter: &Filter,
    before: Option<&Before>,
    mut query: AuditQuery,
) -> Result<Reply, Problem> {
    if matches!(before, Some(Before::Nodes(_))) {
        return Err(Problem::wrong("`before` is the number of an entry"));
    }
    let (names, audit, lacks) = ask(visit, move |client| {
        let names = account_names(client)?;
        if query.account.is_none()
            && let [only] = &names[..]
        {
            query.account = Some(only.clone());
        }
        let audit: Option<Audit> = query.account.as_ref().map(|_| client.get(&request(&query))).transpose()?;
        Ok((names, audit, client.incomplete()))
    })
    .await?;
    let link = |path: &str| visit.link(path);
    let [plugin, _, kind, from] = filter;
    let of = |name: &str| address(&[plugin.clone(), name.to_owned(), kind.clone(), from.clone()], None);
    let content = html! {
        (lacking(lacks.as_deref()))
        @if names.len() > 1 {
            p { "Entries are shown of one account:" @for name in &names { " " a href=(link(&of(name))) { (cell(name)) } } }
        }
        @match &audit {
            Some(audit) => (content(&link, filter, before, audit)),
            None => (form(&link, filter)),
        }
    };
    Ok(Page::new("Audit", content).into())
}

/// Returns what to ask for: one entry more than a page has, to know whether others follow.
fn query([plugin, account, kind, from]: &Filter, before: Option<i64>) -> Result<AuditQuery, String> {
    let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let kinds = some(kind).map(|kind| kind.parse::<AuditKind>()).transpose()?;
    let from = some(from).map(|from| since(&from)).transpose()?;
    Ok(AuditQuery {
        plugin: some(plugin),
        account: some(account),
        since: from.map(jiff::Timestamp::as_millisecond),
        kinds: kinds.into_iter().collect(),
        after: None,
        before,
        most: PAGE + 1,
    })
}

/// Returns the address of the page with this filter.
fn address(filter: &Filter, before: Option<&Before>) -> String {
    let fields = FIELDS.into_iter().zip(filter).filter(|(_, value)| !value.is_empty());
    let mut all: Vec<_> = fields.map(|(name, value)| format!("{name}={}", segment(value))).collect();
    all.extend(before.map(|before| format!("before={}", segment(&before.text()))));
    format!("/audit?{}", all.join("&"))
}

fn content(link: &dyn Fn(&str) -> String, filter: &Filter, before: Option<&Before>, audit: &Audit) -> Markup {
    let most = usize::try_from(PAGE).unwrap_or(usize::MAX);
    // The newest first. The last one, if there is one more than a page has, only shows that there are more.
    let entries: Vec<&Entry> = audit.entries.iter().rev().take(most).collect();
    let shown = rows(entries.iter().copied(), |entry| entry_row(link, entry));
    let has_more = audit.entries.len() > shown.shown;
    let next = Before::behind(&entries[..shown.shown], before).filter(|_| has_more);
    // Entries that did not fit are on the next page.
    let shown = shown.followed();
    html! {
        (form(link, filter))
        h2 { "Entries" }
        @if entries.is_empty() {
            p { "No entries" @if before.is_some() { " before that one" } "." }
        } @else {
            p { "The newest first. Times are in UTC." }
            (table("Entries of the audit", &["Time", "Kind", "About", "What", "Who"], &shown))
        }
        @if before.is_some() || next.is_some() {
            nav aria-label="Pages of the audit" {
                @if before.is_some() { a href=(link(&address(filter, None))) { "The newest" } }
                @if before.is_some() && next.is_some() { " " }
                @if let Some(next) = &next { a rel="next" href=(link(&address(filter, Some(next)))) { "Older ones" } }
            }
        }
        @if has_more && next.is_none() {
            p { "Older entries of the cluster: " code { "parlor audit -n 10000" } ", or with a plugin, an account or a kind above." }
        }
        @if !filter[0].is_empty() { (activity(audit)) }
    }
}

fn form(link: &dyn Fn(&str) -> String, [plugin, account, kind, from]: &Filter) -> Markup {
    let mut kinds = vec![(String::new(), "all".to_owned())];
    kinds.extend(AuditKind::ALL.map(|kind| (kind.as_str().to_owned(), kind.as_str().to_owned())));
    html! {
        form method="get" action=(link("/audit")) {
            (field("plugin", "Plugin", plugin, "Its id. With one, the page also shows what it did, and with whom."))
            (field("account", "Account", account, ""))
            (choice("kind", "Kind", &kinds, kind))
            (field("since", "Since", from, "A time before now, such as 2h or 7d, a date such as 2026-11-20, or today."))
            button type="submit" { "Show" }
        }
    }
}

fn entry_row(link: &dyn Fn(&str) -> String, entry: &Entry) -> Markup {
    let Entry { id: _, node, at, kind, plugin, account, who: _, file: _, way, what, old, new, said } = entry;
    html! {
        tr {
            th scope="row" { (when(at)) }
            td { (kind) }
            td {
                @if let Some(plugin) = plugin { a href=(link(&format!("/plugins/{}", segment(plugin)))) { (cell(plugin)) } }
                @if plugin.is_some() && account.is_some() { " on " }
                @if let Some(account) = account { (cell(account)) }
                @if plugin.is_none() && account.is_none() { "the host" }
                @if let Some(node) = node { " at " (cell(node)) }
            }
            td {
                (cell(what))
                @if old.is_some() || new.is_some() {
                    ": "
                    @if let Some(old) = old { del { (cell(old)) } " → " }
                    @if let Some(new) = new { ins { (cell(new)) } } @else { "none" }
                }
                @if !said.is_empty() {
                    details { summary { "What it lets it do" } ul { @for sentence in said { li { (cell(sentence)) } } } }
                }
            }
            td { (cell(&entry.author())) ", " (cell(way)) }
        }
    }
}

/// Shows what a plugin did, in numbers and by name.
fn activity(audit: &Audit) -> Markup {
    let count = |Counted { account, name, count, plugin: _ }: &Counted| {
        html! { tr { th scope="row" { (cell(name)) } td { (cell(account)) } td { (count) } } }
    };
    html! {
        h2 { "What it did" }
        @if audit.counts.is_empty() && audit.names.is_empty() { p { "Nothing is known of it in that time." } }
        @if !audit.counts.is_empty() {
            (table("What it did, to the day", &["Count", "Account", "Times"], &rows(&audit.counts, count)))
        }
        @for (kind, head, title) in [
            ("recipient", "To", "It wrote to"),
            ("server", "Server", "It asked over the web"),
            ("request", "Request", "Requests that it made over the web"),
            ("webhook", "Webhook", "Requests to its webhooks"),
            ("denial", "Call", "It was denied"),
        ] { (names(audit, kind, head, title)) }
    }
}

fn names(audit: &Audit, kind: &str, head: &str, title: &str) -> Markup {
    let names: Vec<&Name> = audit.names.iter().filter(|name| name.kind == kind).collect();
    let has_bytes = names.iter().any(|name| name.sent.is_some());
    let row = |Name { account, what, first, last, count, sent, received, kind: _ }: &Name| {
        html! {
            tr {
                th scope="row" { (maybe(Some(what))) }
                td { (cell(account)) }
                td { (count) }
                @if has_bytes { @for bytes in [sent, received] { td { @if let Some(bytes) = bytes { (size(*bytes)) } } } }
                td { (when(first)) }
                td { (when(last)) }
            }
        }
    };
    html! {
        @if !names.is_empty() {
            @if has_bytes {
                (table(title, &[head, "Account", "Times", "Sent", "Received", "First", "Last"], &rows(names, row)))
            } @else {
                (table(title, &[head, "Account", "Times", "First", "Last"], &rows(names, row)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "<script>alert(1)</script>\u{202e}";

    fn entry(id: i64) -> Entry {
        let entry = crate::audit::tests::entry("messages.read", None, Some("*"));
        Entry { id, said: vec!["Reads it.".to_owned()], ..entry }
    }

    fn audit(entries: Vec<Entry>) -> Audit {
        Audit { entries, ..Audit::default() }
    }

    fn filter(plugin: &str) -> Filter {
        [plugin, "", "", ""].map(str::to_owned)
    }

    fn page(filter: &Filter, before: Option<i64>, audit: &Audit) -> String {
        page_behind(filter, before.map(Before::Entry).as_ref(), audit)
    }

    fn page_behind(filter: &Filter, before: Option<&Before>, audit: &Audit) -> String {
        content(&|path| format!("/base{path}"), filter, before, audit).into_string()
    }

    fn entry_at(node: &str, id: i64) -> Entry {
        Entry { node: Some(node.to_owned()), ..entry(id) }
    }

    #[test]
    fn an_empty_audit_says_so() {
        let none = page(&filter(""), None, &Audit::default());
        assert!(none.contains("No entries.") && !none.contains("<table") && !none.contains("What it did"), "{none}");
        let none = page(&filter("echo"), Some(7), &Audit::default());
        assert!(none.contains("No entries before that one.") && none.contains("Nothing is known of it"), "{none}");
    }

    #[test]
    fn the_newest_entry_comes_first_and_older_ones_are_on_other_pages() {
        let all = page(&filter(""), None, &audit((1..=51).map(entry).collect()));
        assert_eq!(all.matches("<th scope=\"row\">").count(), 50);
        assert!(all.contains("href=\"/base/audit?before=2\"") && !all.contains("The newest<"), "{all}");
        assert!(all.contains("What it lets it do") && all.contains("Reads it."), "{all}");
        let two = page(&filter("a&b"), Some(9), &audit(vec![entry(7), entry(8)]));
        assert!(!two.contains("Older ones") && two.contains("href=\"/base/audit?plugin=a%26b\""), "{two}");
    }

    #[test]
    fn long_entries_are_cut_and_the_next_page_goes_on_behind_the_last_one() {
        let long = |id| {
            let text = "\"".repeat(4 << 10);
            let (old, new) = (Some(text.clone()), Some(text.clone()));
            Entry { what: text.clone(), who: text.clone(), way: text, old, new, ..entry(id) }
        };
        let all = page(&filter(""), None, &audit((1..=51).map(long).collect()));
        let shown = all.matches("<th scope=\"row\">").count();
        assert!(shown < 50 && all.len() < 128 << 10, "{shown} in {} bytes", all.len());
        let last = 51 - i64::try_from(shown).unwrap() + 1;
        assert!(all.contains(&format!("/audit?before={last}\"")), "{shown}");
    }

    #[test]
    fn older_entries_of_a_cluster_are_behind_the_last_one_of_each_node() {
        let mut all: Vec<_> = (1..=40).flat_map(|id| [entry_at("one", id), entry_at("t&w", 1_000 + id)]).collect();
        // One of a node that has shown none.
        all.insert(0, entry_at("three", 5));
        let newest = page_behind(&filter(""), None, &audit(all.split_off(81 - 51)));
        let next = "{\"one\":16,\"t&w\":1016}";
        assert!(newest.contains(&format!("href=\"/base/audit?before={}\"", segment(next))), "{newest}");
        let before = Before::of(next).unwrap();
        assert_eq!((before.text().as_str(), before.entry()), (next, None));
        let filter = filter("echo");
        let older = page_behind(&filter, Some(&before), &audit((1..=51).map(|id| entry_at("three", id)).collect()));
        let next = "{\"one\":16,\"t&w\":1016,\"three\":2}";
        assert!(older.contains(&format!("/base/audit?plugin=echo&amp;before={}\"", segment(next))), "{older}");
        let oldest = page_behind(&filter, Some(&before), &audit(vec![entry_at("one", 15)]));
        assert!(oldest.contains("The newest") && !oldest.contains("Older"), "{oldest}");
    }

    #[test]
    fn a_cluster_of_very_many_nodes_says_how_older_entries_are_found() {
        let many: BTreeMap<_, _> = (0..400).map(|number| (format!("node-{number}"), number)).collect();
        let many = Before::Nodes(many);
        assert!(many.text().len() > LONGEST && Before::of(&many.text()).is_err());
        let text = page_behind(&filter(""), Some(&many), &audit((1..=51).map(|id| entry_at("one", id)).collect()));
        assert!(!text.contains("Older ones") && text.contains("parlor audit -n 10000"), "{text}");
    }

    #[tokio::test]
    async fn entries_before_something_that_is_no_number_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let visit = |path: &str| Visit::for_test(Role::Viewer, path, super::super::tests::host_in(folder.path()));
        for wrong in ["x", "%7B%7D%7D", "%7B%22one%22:%22x%22%7D", "%5B7%5D", "7.5"] {
            assert_eq!(super::page(visit(&format!("/audit?before={wrong}"))).await.unwrap_err().status, 400, "{wrong}");
        }
        // Only a host knows the other nodes.
        assert_eq!(super::page(visit("/audit?before=%7B%22one%22:7%7D")).await.unwrap_err().status, 503);
    }

    #[test]
    fn no_text_of_strangers_is_markup() {
        let evil = || EVIL.to_owned();
        let entry = Entry {
            id: 1,
            node: Some(evil()),
            at: evil(),
            kind: evil(),
            plugin: Some(evil()),
            account: Some(evil()),
            who: evil(),
            file: Some(evil()),
            way: evil(),
            what: evil(),
            old: Some(evil()),
            new: Some(evil()),
            said: vec![evil()],
        };
        let name = |kind: &str| Name {
            account: evil(),
            kind: kind.to_owned(),
            what: evil(),
            first: evil(),
            last: evil(),
            count: 1,
            sent: (kind == "request").then_some(2_048),
            received: (kind == "request").then_some(1),
        };
        let counts = vec![Counted { plugin: evil(), account: evil(), name: evil(), count: 1 }];
        let names = ["recipient", "server", "request", "webhook", "denial"].map(name).to_vec();
        let filter = [EVIL; 4].map(str::to_owned);
        let before = Before::Nodes(BTreeMap::from([(evil(), 1)]));
        let page = page_behind(&filter, Some(&before), &Audit { entries: vec![entry], counts, names });
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
        for title in [
            "It wrote to",
            "It asked over the web",
            "Requests that it made over the web",
            "Requests to its webhooks",
            "2.0 KiB",
            "It was denied",
            "What it did, to the day",
        ] {
            assert!(page.contains(title), "{title}");
        }
        assert!(!page.contains("style="), "{page}");
    }

    #[test]
    fn a_filter_is_checked() {
        let of = |kind: &str, from: &str| query(&["echo", "", kind, from].map(str::to_owned), Some(5));
        let all = of("grant", "2026-11-20").unwrap();
        assert_eq!((all.plugin.as_deref(), all.account.as_deref(), all.before), (Some("echo"), None, Some(5)));
        assert_eq!((all.kinds, all.most), (vec![AuditKind::Grant], PAGE + 1));
        assert_eq!(all.since, Some(1_795_132_800_000));
        assert!(of("x", "").is_err() && of("", "yesterday").is_err());
    }
}

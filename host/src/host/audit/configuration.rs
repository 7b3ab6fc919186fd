//! The configuration as the audit keeps it: accounts and the sections `[audit]`, `[window]` and `[web]`, and the entries
//! about their changes.
//!
//! It has digests of all values, by which changes are noticed, and the values that are shown. Values of secrets are not
//! shown.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, absolute};

use parlor_base::escape::escape_distinct;
use parlor_base::id::Digest;
use parlor_config::{
    AccountConfig, Audit, Config, Encryption, LinkSettings, OtrPeople, PasswordSource, Role, SentLinks, Settings, Way,
    Web, Window, setting,
};
use parlor_runtime::audited::HIDDEN;
use parlor_store::{AuditKind, By, CONFIGURATION, NewAuditEntry, PolicyChange, PolicyRow};

/// The field that is there once the whole configuration was recorded.
const SEEN: &str = "seen";
/// The part of an account with its connection and its owners. Each account has it.
const LINK: &str = "link";
/// The text between the address of an account and its owners.
const OWNERS: &str = ", owners: ";
/// The maximum length of a shown value, in bytes. With the digest of one that is cut, it fits into an entry of the audit.
const MOST_SHOWN: usize = (4 << 10) - 100;

/// A field of the configuration.
struct Field {
    /// The digest of the value.
    mark: String,
    /// The value; none if it may be a secret.
    shown: Option<String>,
}

impl Field {
    fn open(value: &str) -> Self {
        Self { mark: digest(value), shown: Some(cut(value)) }
    }
}

/// Returns the changes since the audit last saw the configuration. If it never saw one, they have no entries.
pub(super) fn changes(known: Vec<PolicyRow>, config: &Config, by: &By) -> Vec<PolicyChange> {
    let mut known: BTreeMap<_, _> = known.into_iter().map(|row| (row.field.clone(), row)).collect();
    let is_first = known.remove(SEEN).is_none();
    let fields = fields(config);
    let had = accounts(known.keys());
    let staying: BTreeSet<_> = accounts(fields.keys()).intersection(&had).cloned().collect();
    let mut all = Vec::new();
    for (field, Field { mark, shown }) in fields {
        let before = known.remove(&field);
        if before.as_ref().is_some_and(|before| before.mark == mark) {
            continue;
        }
        let (old, was) = before.map_or((None, None), |before| (Some(told(before.shown)), Some(before.mark)));
        let entry = entry(&field, &staying, by, old, Some(told(shown.clone())));
        all.push(PolicyChange { row: row(field, mark, shown), is_gone: false, was, entry });
    }
    for (field, row) in known {
        let entry = entry(&field, &staying, by, Some(told(row.shown.clone())), None);
        all.push(PolicyChange { was: Some(row.mark.clone()), row, is_gone: true, entry });
    }
    all.sort_by(|one, other| one.row.field.cmp(&other.row.field));
    if is_first {
        for change in &mut all {
            change.entry = None;
        }
        // It comes last, so that a host that is killed before begins anew.
        let seen = row(SEEN.to_owned(), digest(SEEN), None);
        all.push(PolicyChange { row: seen, is_gone: false, was: None, entry: None });
    }
    all
}

fn row(field: String, mark: String, shown: Option<String>) -> PolicyRow {
    PolicyRow { plugin: CONFIGURATION.to_owned(), field, mark, shown }
}

/// Returns the fields of a configuration, by name: `account NAME PART` and `section SECTION.KEY`.
fn fields(config: &Config) -> BTreeMap<String, Field> {
    let sections = sections(config).into_iter().map(|(key, value)| (format!("section {key}"), Field::open(&value)));
    config.accounts.values().flat_map(of_account).chain(sections).collect()
}

fn of_account(account: &AccountConfig) -> Vec<(String, Field)> {
    let AccountConfig { name, group, link, owners, web: _, encryption, otr_people, settings } = account;
    let named = |part: &str| format!("account {name} {part}");
    let owners: Vec<_> = owners.iter().map(ToString::to_string).collect();
    let shown = format!("{}{OWNERS}{}", link.jid, owners.join(" "));
    let mark = digest(&format!("{shown} {}", connection(link)));
    let mut all = vec![
        (named(LINK), Field { mark, shown: Some(cut(&shown)) }),
        (named("encryption"), Field::open(&how(*encryption))),
    ];
    if let Some(group) = group {
        all.push((named("group"), Field::open(&group.to_string())));
    }
    let people = people(otr_people);
    if !people.is_empty() {
        all.push((named("otr"), Field::open(&people)));
    }
    let none = Settings::default();
    for key in none.differing(settings) {
        let value = settings.given(key).map(ToString::to_string).unwrap_or_default();
        // Only settings that the host knows and that are not secret are shown.
        let is_shown = setting(key).is_some_and(|rule| rule.role != Role::Secret);
        let field = Field { mark: digest(&value), shown: is_shown.then(|| cut(&value)) };
        all.push((named(&format!("setting {key}")), field));
    }
    all
}

/// Returns everything that decides how to connect, to be digested. The digest is compared with that of an earlier
/// version of parlor, so a new key must change this text only if it is set.
fn connection(link: &LinkSettings) -> String {
    let LinkSettings {
        jid,
        way,
        password,
        server,
        transport,
        tls,
        ca_file,
        allow_plain,
        channel_binding,
        websocket,
        keep_unsent,
        bosh,
        prebind,
        ping_interval,
    } = link;
    let way = match way {
        Way::Certificate { chain, key } => format!("certificate {} {}", place(chain), place(key)),
        Way::Password | Way::Anonymous | Way::Component(_) => format!("{way:?}"),
    };
    let password = match password {
        PasswordSource::File(file) => format!("file {}", place(file)),
        PasswordSource::Command(_)
        | PasswordSource::Environment(_)
        | PasswordSource::Web(_)
        | PasswordSource::Nowhere => format!("{password:?}"),
    };
    let ca_file = ca_file.as_deref().map(place);
    format!(
        "{jid} {way} {password} {server:?} {transport:?} {tls:?} {ca_file:?} {allow_plain} {channel_binding:?} \
         {websocket:?} {keep_unsent:?} {bosh:?} {prebind:?} {ping_interval:?}"
    )
}

/// Returns the values of the sections that differ from the usual ones.
fn sections(config: &Config) -> Vec<(&'static str, String)> {
    let (Audit { days, size }, Window { links }) = (config.audit, config.window);
    let Web { listen, address, certificate, proxies, local_files, ca_file, outbound_proxy, outbound_proxy_resolves } =
        &config.web;
    let all = [
        ("audit.days", Some(days.to_string())),
        ("audit.size", Some(size.to_string())),
        ("window.links", Some(links.as_str().to_owned())),
        ("web.listen", listen.map(|listen| listen.to_string())),
        ("web.address", address.as_ref().map(|address| address.as_str().to_owned())),
        ("web.certificate", certificate.as_ref().map(|(certificate, _)| place(certificate))),
        ("web.certificate_key", certificate.as_ref().map(|(_, key)| place(key))),
        ("web.proxies", list(proxies)),
        ("web.local_files", list(local_files)),
        ("web.ca_file", ca_file.as_deref().map(place)),
        ("web.outbound_proxy", outbound_proxy.as_ref().map(|proxy| proxy.as_str().to_owned())),
        ("web.outbound_proxy_resolves", Some(outbound_proxy_resolves.to_string())),
    ];
    let given = all.into_iter().filter_map(|(key, value)| Some((key, value?)));
    given.filter(|(key, value)| usual(key).as_ref() != Some(value)).collect()
}

/// Returns the value of a key of a section that is left out.
fn usual(key: &str) -> Option<String> {
    match key {
        "audit.days" => Some(Audit::default().days.to_string()),
        "audit.size" => Some(Audit::default().size.to_string()),
        "window.links" => Some(SentLinks::default().as_str().to_owned()),
        "web.outbound_proxy_resolves" => Some(false.to_string()),
        _ => None,
    }
}

fn list<T: ToString>(all: &[T]) -> Option<String> {
    (!all.is_empty()).then(|| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

/// Returns the path of a file. Whether the configuration has a relative one depends on where the host was started.
fn place(path: &Path) -> String {
    absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

/// Returns how an account encrypts, as it is shown.
fn how(Encryption { omemo, otr, trust, announce, trust_by_chat, plain_instead }: Encryption) -> String {
    let (otr, trust) = (otr.as_str(), trust.as_str());
    format!(
        "omemo {omemo}, otr {otr}, trust {trust}, announce {announce}, trust_by_chat {trust_by_chat}, \
         plain_instead {plain_instead}"
    )
}

/// Returns the people with a policy of their own for OTR, as they are shown.
fn people(people: &OtrPeople) -> String {
    people.all().map(|(jid, policy)| format!("{jid} {}", policy.as_str())).collect::<Vec<_>>().join(", ")
}

fn digest(value: &str) -> String {
    Digest::of(value.as_bytes()).to_string()
}

fn cut(value: &str) -> String {
    escape_distinct(value, MOST_SHOWN)
}

/// Returns the value, or the text in place of one that is not shown.
fn told(shown: Option<String>) -> String {
    shown.unwrap_or_else(|| HIDDEN.to_owned())
}

/// Returns the account and the part that a field is about; none: it is about a section.
fn account_and_part(field: &str) -> Option<(&str, &str)> {
    field.strip_prefix("account ")?.split_once(' ')
}

/// Returns the names of the accounts that have one of these fields.
fn accounts<'a>(fields: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    let links = fields.filter_map(|field| account_and_part(field)).filter(|(_, part)| *part == LINK);
    links.map(|(account, _)| account.to_owned()).collect()
}

/// Returns the entry about a change of a field. An account that comes or goes has one entry, not one for each of its fields.
fn entry(
    field: &str,
    staying: &BTreeSet<String>,
    by: &By,
    old: Option<String>,
    new: Option<String>,
) -> Option<NewAuditEntry> {
    let Some((account, part)) = account_and_part(field) else {
        let key = field.strip_prefix("section ")?;
        let [old, new] = [old, new].map(|value| value.or_else(|| usual(key)));
        let entry = NewAuditEntry::new(AuditKind::Setting, by, &format!("setting {key}"));
        return Some(NewAuditEntry { old, new, ..entry });
    };
    let (kind, what, [old, new]) = match (part, staying.contains(account)) {
        (LINK, true) => (AuditKind::Account, "its connection or its owners", [old, new]),
        (LINK, false) => {
            let what = if old.is_none() { "added" } else { "removed" };
            (AuditKind::Account, what, [old, new].map(|shown| shown.as_deref().map(address)))
        }
        (_, false) => return None,
        ("group", true) => (AuditKind::Account, "its group", [old, new]),
        ("encryption", true) => (AuditKind::Setting, "its encryption", [old, new]),
        ("otr", true) => (AuditKind::Setting, "OTR with people", [old, new].map(|all| Some(all.unwrap_or_default()))),
        (other, true) => (AuditKind::Setting, other, [old, new]),
    };
    Some(NewAuditEntry { account: Some(account.to_owned()), old, new, ..NewAuditEntry::new(kind, by, what) })
}

/// Returns the address of an account from what is shown of its connection and owners.
fn address(shown: &str) -> String {
    shown.rsplit_once(OWNERS).map_or(shown, |(address, _)| address).to_owned()
}

#[cfg(test)]
mod tests {
    use parlor_config::{OtrPolicy, Overrides};

    use super::*;

    const MAIN: &str = "[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n";

    fn config(text: &str) -> Config {
        let overrides = Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() };
        Config::parse(Path::new("/x/parlor.toml"), text, &overrides).unwrap()
    }

    /// Returns what the audit knows after it saw a configuration for the first time.
    fn known(text: &str) -> Vec<PolicyRow> {
        let changes = changes(Vec::new(), &config(text), &By::host("test"));
        assert!(changes.iter().all(|change| change.entry.is_none() && change.was.is_none()), "{changes:?}");
        changes.into_iter().map(|change| change.row).collect()
    }

    fn between(old: &str, new: &str) -> Vec<PolicyChange> {
        changes(known(old), &config(new), &By::host("test"))
    }

    /// Returns the kind, account, event, and both values of each entry.
    fn entries(old: &str, new: &str) -> Vec<String> {
        let entries = between(old, new).into_iter().filter_map(|change| change.entry);
        let text = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
        entries
            .map(|entry| {
                let (account, old, new) = (text(entry.account), text(entry.old), text(entry.new));
                format!("{} {account} {}: {old} -> {new}", entry.kind.as_str(), entry.what)
            })
            .collect()
    }

    #[test]
    fn owners_that_differ_after_they_are_cut_are_told_apart() {
        let owners = |last: &str| {
            let all: Vec<_> = (0..300).map(|number| format!("\"owner{number}@example.org\"")).collect();
            format!("{MAIN}owners = [{}, \"{last}@example.org\"]\n", all.join(", "))
        };
        let all = between(&owners("yves"), &owners("zoe"));
        let [PolicyChange { entry: Some(entry), .. }] = &all[..] else { panic!("{all:?}") };
        let shown = [&entry.old, &entry.new].map(|value| value.as_deref().unwrap());
        for text in shown {
            assert!(text.len() <= 4 << 10 && text.contains("… sha256:"), "{text}");
        }
        assert_ne!(shown[0], shown[1]);
    }

    #[test]
    fn a_configuration_that_is_seen_for_the_first_time_is_remembered_without_entries() {
        assert!(known(MAIN).iter().any(|row| row.field == SEEN));
        assert_eq!(between(MAIN, MAIN), []);
    }

    #[test]
    fn owners_and_the_way_to_connect_have_an_entry() {
        let owned = format!("{MAIN}owners = [\"mallory@example.org\"]\n");
        let what = "account main its connection or its owners: bot@example.org, owners: ";
        assert_eq!(entries(MAIN, &owned), [format!("{what} -> bot@example.org, owners: mallory@example.org")]);
        let moved = format!("{MAIN}server = \"xmpp.example.org\"\n");
        assert_eq!(entries(MAIN, &moved), [format!("{what} -> bot@example.org, owners: ")]);
    }

    #[test]
    fn an_account_that_comes_or_goes_has_one_entry() {
        let both = format!("{MAIN}[account.two]\njid = \"two@example.org\"\npassword_env = \"NONE\"\n");
        assert_eq!(entries(MAIN, &both), ["account two added: none -> two@example.org"]);
        assert_eq!(entries(&both, MAIN), ["account two removed: two@example.org -> none"]);
        let gone = between(&both, MAIN);
        assert!(gone.len() > 1 && gone.iter().all(|change| change.is_gone), "{gone:?}");
    }

    #[test]
    fn each_key_of_the_three_sections_has_an_entry_with_both_values() {
        let other = format!(
            "{MAIN}[audit]\ndays = 1\nsize = \"1 MiB\"\n[window]\nlinks = \"never\"\n[web]\nlisten = \"127.0.0.1:8080\"\n\
             proxies = [\"127.0.0.1\", \"127.0.0.2\"]\n"
        );
        let expected = [
            "setting none setting audit.days: 400 -> 1",
            "setting none setting audit.size: 64 MiB -> 1 MiB",
            "setting none setting web.listen: none -> 127.0.0.1:8080",
            "setting none setting web.proxies: none -> 127.0.0.1, 127.0.0.2",
            "setting none setting window.links: page -> never",
        ];
        assert_eq!(entries(MAIN, &other), expected);
        assert!(entries(&other, MAIN).contains(&"setting none setting audit.days: 1 -> 400".to_owned()));
    }

    #[test]
    fn a_value_that_may_be_a_secret_is_in_no_entry_and_not_kept_and_that_it_changed_is() {
        let with = |secret: &str| {
            let url = format!("credentials_url = \"https://example.org/{secret}\"");
            format!("[settings]\n{url}\nmade_up = \"{secret}\"\n[account.main]\njid = \"bot@example.org\"\n")
        };
        let (old, new) = (with("s3cr3t"), with("s3cr3t2"));
        let changes = between(&old, &new);
        assert!(!format!("{changes:?} {:?}", known(&old)).contains("s3cr3t"), "{changes:?}");
        let found = entries(&old, &new);
        let hidden = |key: &str| format!("setting main setting {key}: {HIDDEN} -> {HIDDEN}");
        assert!(found.contains(&hidden("credentials_url")) && found.contains(&hidden("made_up")), "{found:?}");
        let command =
            |secret: &str| format!("[account.main]\njid = \"bot@example.org\"\npassword_command = \"echo {secret}\"\n");
        let changes = between(&command("s3cr3t"), &command("s3cr3t2"));
        assert!(changes.len() == 1 && !format!("{changes:?}").contains("s3cr3t"), "{changes:?}");
    }

    #[test]
    fn how_an_account_encrypts_is_shown_by_the_names_of_its_keys() {
        assert_eq!(
            how(Encryption { trust_by_chat: true, ..Encryption::OFF }),
            "omemo false, otr never, trust blind, announce false, trust_by_chat true, plain_instead false"
        );
        let [juliet, romeo] =
            ["juliet@example.org", "romeo@example.org"].map(|text| text.parse::<jid::BareJid>().unwrap());
        let all = [(romeo, OtrPolicy::Require), (juliet, OtrPolicy::Never)].into_iter().collect();
        assert_eq!(people(&all), "juliet@example.org never, romeo@example.org require");
    }

    #[test]
    fn people_with_a_policy_for_otr_have_an_entry() {
        let with = format!("{MAIN}[account.main.encryption.people.\"romeo@example.org\"]\notr = \"require\"\n");
        let found = entries(MAIN, &with);
        assert!(found.contains(&"setting main OTR with people:  -> romeo@example.org require".to_owned()), "{found:?}");
    }
}

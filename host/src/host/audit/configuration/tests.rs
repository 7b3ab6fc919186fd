//! Tests of the entries about changes of the configuration.

use std::collections::BTreeSet;

use parlor_config::keys::{CLUSTER_NAMES, COMPONENT_NAMES};
use parlor_config::{OtrPolicy, Overrides};

use super::*;

const MAIN: &str = "[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n";

fn config(text: &str) -> Config {
    let overrides = Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() };
    Config::parse(Path::new("/x/parlor.toml"), text, &overrides).unwrap()
}

/// Returns what the audit knows after it saw a configuration for the first time.
fn known(text: &str) -> Vec<PolicyRow> {
    let changes: Vec<_> = changes(Vec::new(), &config(text), &By::host("test")).collect();
    assert!(changes.iter().all(|change| change.entry.is_none() && change.was.is_none()), "{changes:?}");
    changes.into_iter().map(|change| change.row).collect()
}

fn between(old: &str, new: &str) -> Vec<PolicyChange> {
    changes(known(old), &config(new), &By::host("test")).collect()
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

/// The name of an account may go to another customer.
#[test]
fn the_audit_says_when_another_address_had_the_name_of_an_account() {
    let own: BareJid = "bot@example.org".parse().unwrap();
    let of = |steps: &[&str]| {
        let new = steps.windows(2).flat_map(|step| between(step[0], step[1])).filter_map(|change| change.entry);
        let entry = |(number, new): (usize, NewAuditEntry)| AuditEntry {
            id: 0,
            at: i64::try_from(number).unwrap(),
            kind: new.kind.as_str().to_owned(),
            plugin: None,
            account: new.account,
            who: String::new(),
            file: None,
            way: String::new(),
            what: new.what,
            old: new.old,
            new: new.new,
            said: Vec::new(),
        };
        let main = new.filter(|new| new.account.as_deref() == Some("main"));
        end_of_another(&main.enumerate().map(entry).collect::<Vec<_>>(), &own)
    };
    let two = "[account.two]\njid = \"two@example.org\"\npassword_env = \"NONE\"\n";
    let with_resource = MAIN.replace("bot@example.org", "bot@example.org/here");
    let owned = format!("{MAIN}owners = [\"ann@example.org\"]\n");
    assert_eq!(of(&[two, MAIN, &owned, &with_resource, two, MAIN]), None);
    let other = MAIN.replace("bot", "former");
    assert_eq!(of(&[other.as_str(), MAIN, &owned]), Some(1));
    assert_eq!(of(&[MAIN, &other, two, MAIN]), Some(2), "it was removed in between");
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
    // Neither the address nor the owners changed, so they are not shown.
    let how = "how it connects, such as its server or the place of its password";
    assert_eq!(entries(MAIN, &moved), [format!("account main {how}: none -> none")]);
}

#[test]
fn an_account_that_comes_or_goes_has_one_entry() {
    let both = format!("{MAIN}[account.two]\njid = \"two@example.org\"\npassword_env = \"NONE\"\n");
    assert_eq!(entries(MAIN, &both), ["account two added: none -> two@example.org"]);
    assert_eq!(entries(&both, MAIN), ["account two removed: two@example.org -> none"]);
    let gone = between(&both, MAIN);
    assert!(gone.len() > 1 && gone.iter().all(|change| change.is_gone), "{gone:?}");
}

/// A host may have very many accounts.
#[test]
fn changes_are_made_for_one_account_at_a_time_and_come_in_the_order_of_their_fields() {
    let account = |name: &str, more: &str| {
        format!("[account.{name}]\njid = \"{name}@example.org\"\npassword_env = \"NONE\"\n{more}\n")
    };
    let old = ["a", "a-b", "a1", "b"].map(|name| account(name, "")).concat();
    let new = account("a", "owners = [\"romeo@example.org\"]") + &account("a-c", "") + &account("a1", "");
    let new = config(&format!("{new}{}[audit]\ndays = 1\n", account("c", "")));
    // The audit gives the fields that it knows in any order.
    let (rows, by) = (known(&old).into_iter().rev().collect(), By::host("test"));
    let (mut changes, mut told) = (changes(rows, &new, &by), Vec::new());
    while let Some(change) = changes.next() {
        let account = account_of(&change.row.field).map(str::to_owned);
        let is_same = |next: &PolicyChange| account_of(&next.row.field) == account.as_deref();
        assert!(changes.ready.as_slice().iter().all(is_same), "{change:?}");
        told.push((change.row.field, change.is_gone));
    }
    assert!(told.is_sorted(), "{told:?}");
    let of_links = told.iter().filter(|(field, _)| field.ends_with(LINK) || field.starts_with("section"));
    let of_links: Vec<_> = of_links.map(|(field, is_gone)| (field.as_str(), *is_gone)).collect();
    let [a, came, c] = ["account a link", "account a-c link", "account c link"].map(|field| (field, false));
    let [went, b] = ["account a-b link", "account b link"].map(|field| (field, true));
    assert_eq!(of_links, [a, went, came, b, c, ("section audit.days", false)]);
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

/// A component and a cluster whose secrets are found by these lines.
fn linked(component: &str, cluster: &str) -> String {
    format!(
        "{MAIN}[component.bots]\ndomain = \"bots.example.org\"\n{component}\n\
         [cluster]\nname = \"bots\"\nkey_env = \"KEY\"\n{cluster}\n"
    )
}

/// Returns the entries about components and the cluster.
fn of_links(old: &str, new: &str) -> Vec<String> {
    let mut all = entries(old, new);
    all.retain(|entry| ["component.", "cluster."].iter().any(|section| entry.contains(section)));
    all
}

#[test]
fn components_and_the_cluster_have_an_entry_for_each_key_with_both_values() {
    let nats = "nats = [\"tls://a.example\", \"tls://b.example\"]\n";
    let old = linked("password_env = \"SECRET\"", nats);
    let new = linked(
        "password_env = \"SECRET\"\nserver = \"127.0.0.1:9999\"\nkeep_unsent = \"2 min\"",
        "nats = \"nats://127.0.0.1:4222\"\ncapacity = 2\nnode = \"one\"\nshare_plugins = false",
    );
    let expected = [
        "setting none setting cluster.capacity: 1 -> 2",
        "setting none setting cluster.nats: tls://a.example, tls://b.example -> nats://127.0.0.1:4222",
        "setting none setting cluster.node: the machine's name -> one",
        "setting none setting cluster.share_plugins: true -> false",
        "setting none setting component.bots.keep_unsent: 1 h -> 2 min",
        "setting none setting component.bots.server: 127.0.0.1:5347 -> 127.0.0.1:9999",
    ];
    assert_eq!(of_links(&old, &new), expected);
    let gone = |key: &str| format!("setting none setting {key}: {HIDDEN} -> none");
    let [key, secret] = ["cluster.key_env", "component.bots.password_env"].map(gone);
    let expected = [
        key.as_str(),
        "setting none setting cluster.name: bots -> none",
        "setting none setting cluster.nats: tls://a.example, tls://b.example -> none",
        "setting none setting component.bots.domain: bots.example.org -> none",
        secret.as_str(),
    ];
    assert_eq!(of_links(&old, MAIN), expected);
}

#[test]
fn the_secrets_of_a_component_and_of_the_cluster_are_in_no_entry_and_that_they_changed_is() {
    let with = |secret: &str| {
        let command = format!("password_command = \"echo {secret}\"");
        linked(&command, &format!("nats = \"tls://me:{secret}@a.example\"\n{command}\nuser = \"me\""))
    };
    let (old, new) = (with("s3cr3t"), with("s3cr3t2"));
    let changes = between(&old, &new);
    assert!(!format!("{changes:?} {:?}", known(&old)).contains("s3cr3t"), "{changes:?}");
    let hidden = |key: &str| format!("setting none setting {key}: {HIDDEN} -> {HIDDEN}");
    let keys = ["cluster.nats", "cluster.password_command", "component.bots.password_command"];
    assert_eq!(of_links(&old, &new), keys.map(hidden));
    let with =
        |secret: &str| linked("password_env = \"SECRET\"", &format!("nats = \"tls://a.example?token={secret}\""));
    assert_eq!(of_links(&with("s3cr3t"), &with("s3cr3t2")), [hidden("cluster.nats")]);
    let other = linked("password_env = \"SECRET\"", "nats = \"tls://a.example\"");
    let moved = of_links(&old, &other);
    assert!(moved.contains(&format!("setting none setting component.bots.password_command: {HIDDEN} -> none")));
    assert!(moved.contains(&format!("setting none setting component.bots.password_env: none -> {HIDDEN}")));
}

#[test]
fn each_key_of_a_component_and_of_the_cluster_is_recorded() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let secret = |what: &str, way: &str| {
        let value = if way == "file" { path } else { "VALUE" };
        format!("{what}_{way} = \"{value}\"\n")
    };
    let certificate = format!("certificate = \"{path}\"\ncertificate_key = \"{path}\"\n");
    let by_password = |way: &str| format!("user = \"me\"\n{}", secret("password", way));
    let logins = [
        ("file", certificate),
        ("command", by_password("command")),
        ("env", by_password("env")),
        ("env", secret("password", "file")),
    ];
    let mut found = BTreeSet::new();
    for (way, login) in logins {
        let text = format!(
            "{MAIN}[component.bots]\ndomain = \"bots.example.org\"\nserver = \"localhost:1\"\ntls = \"direct\"\n\
             keep_unsent = \"0 s\"\nca_file = \"{path}\"\n{}\
             [cluster]\nname = \"bots\"\nnats = \"tls://a.example\"\nnode = \"one\"\nreplicas = 3\ncapacity = 2\n\
             share_plugins = false\nallow_unencrypted = true\nca_file = \"{path}\"\n{}{login}",
            secret("password", way),
            secret("key", way)
        );
        found.extend(known(&text).into_iter().map(|row| row.field));
    }
    // Addresses of a component cannot be in a cluster.
    let text = format!(
        "{MAIN}[group.shop]\n[component.bots]\ndomain = \"bots.example.org\"\n{}\
         new_addresses = [\"*@bots.example.org\"]\nnew_addresses_from = [\"example.org\"]\n\
         new_addresses_group = \"shop\"\nnew_addresses_limit = 7\nsleep_after = \"1 h\"\n",
        secret("password", "env")
    );
    found.extend(known(&text).into_iter().map(|row| row.field));
    let of_component = COMPONENT_NAMES.iter().map(|key| format!("section component.bots.{key}"));
    let all = of_component.chain(CLUSTER_NAMES.iter().map(|key| format!("section cluster.{key}")));
    let missing: Vec<_> = all.filter(|key| !found.contains(key)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn what_an_earlier_version_did_not_record_is_remembered_without_entries() {
    let text = linked("password_env = \"SECRET\"", "nats = \"tls://a.example\"");
    let mut earlier = known(&text);
    earlier.retain(|row| row.field != SEEN_LATER && !LATER.iter().any(|section| row.field.starts_with(section)));
    let all: Vec<_> = changes(earlier, &config(&format!("{text}[audit]\ndays = 1\n")), &By::host("test")).collect();
    let told: Vec<_> = all.iter().filter(|change| change.entry.is_some()).map(|change| &change.row.field).collect();
    assert_eq!(told, ["section audit.days"]);
    assert!(all.iter().any(|change| change.row.field == "section cluster.name"), "{all:?}");
    let rows = all.into_iter().map(|change| change.row).chain(known(&text)).collect();
    let again: Vec<_> = changes(rows, &config(&text), &By::host("test")).collect();
    assert!(again.iter().all(|change| change.row.field == "section audit.days"), "{again:?}");
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
    let [juliet, romeo] = ["juliet@example.org", "romeo@example.org"].map(|text| text.parse::<BareJid>().unwrap());
    let all = [(romeo, OtrPolicy::Require), (juliet, OtrPolicy::Never)].into_iter().collect();
    assert_eq!(people(&all), "juliet@example.org never, romeo@example.org require");
}

#[test]
fn people_with_a_policy_for_otr_have_an_entry() {
    let with = format!("{MAIN}[account.main.encryption.people.\"romeo@example.org\"]\notr = \"require\"\n");
    let found = entries(MAIN, &with);
    assert!(found.contains(&"setting main OTR with people:  -> romeo@example.org require".to_owned()), "{found:?}");
}

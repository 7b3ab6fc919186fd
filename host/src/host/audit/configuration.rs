//! The configuration as the audit keeps it: accounts and the other sections, and the entries about their changes.
//!
//! It has digests of all values, by which changes are noticed, and the values that are shown. Values of secrets are not
//! shown.

mod sections;

use std::collections::BTreeMap;
use std::collections::btree_map::Values;
use std::iter::Peekable;
use std::path::{Path, absolute};
use std::vec::IntoIter;

use jid::{BareJid, Jid};
use parlor_base::escape::escape_distinct;
use parlor_base::id::Digest;
use parlor_config::{
    AccountConfig, AccountName, Config, Encryption, LinkSettings, OtrPeople, PasswordSource, Role, RoomPasswordPlace,
    Settings, Way, setting,
};
use parlor_runtime::audited::HIDDEN;
use parlor_store::{AuditEntry, AuditKind, By, CONFIGURATION, NewAuditEntry, PolicyChange, PolicyRow};
use sections::{sections, usual};

/// The field that is there once the whole configuration was recorded.
const SEEN: &str = "seen";
/// The field that is there once `[component]` and `[cluster]` were recorded: an earlier version of parlor did not record them.
const SEEN_LATER: &str = "seen component and cluster";
/// The beginnings of the fields that [`SEEN_LATER`] is about.
const LATER: [&str; 2] = ["section component.", "section cluster."];
/// The part of an account with its connection and its owners. Each account has it.
const LINK: &str = "link";
/// The entries about an account that comes or goes, and about a change of its address or its owners.
const ADDED: &str = "added";
const REMOVED: &str = "removed";
const LINKED: &str = "its connection or its owners";
/// The entry about a change of how an account connects, other than of its address.
const HOW: &str = "how it connects, such as its server or the place of its password";
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

    fn hidden(value: &str) -> Self {
        Self { mark: digest(value), shown: None }
    }
}

/// The changes of the configuration, in the order of their fields.
///
/// A host may have 100,000 accounts: those of an account are made when it is its turn.
pub(super) struct Changes<'c> {
    config: &'c Config,
    by: &'c By,
    /// Whether the audit never saw a configuration.
    is_first: bool,
    /// Whether it never saw the sections of [`LATER`].
    is_first_of_later: bool,
    /// The known fields of the accounts that were not compared yet, in their order.
    known: Peekable<IntoIter<PolicyRow>>,
    /// The accounts that were not compared yet.
    accounts: Peekable<Values<'c, AccountName, AccountConfig>>,
    /// The known fields of the sections, which come after the accounts. None: they were compared.
    of_sections: Option<Vec<PolicyRow>>,
    /// The changes that were made and not given yet.
    ready: IntoIter<PolicyChange>,
}

/// Returns the changes since the audit last saw the configuration. Those of parts that it never saw have no entries.
pub(super) fn changes<'c>(mut known: Vec<PolicyRow>, config: &'c Config, by: &'c By) -> Changes<'c> {
    let [is_first, is_first_of_later] = [SEEN, SEEN_LATER].map(|mark| !known.iter().any(|row| row.field == mark));
    known.retain(|row| row.field != SEEN && row.field != SEEN_LATER);
    known.sort_unstable_by(|one, other| position(&one.field).cmp(&position(&other.field)));
    let of_sections = known.split_off(known.partition_point(|row| account_of(&row.field).is_some()));
    Changes {
        config,
        by,
        is_first,
        is_first_of_later,
        known: known.into_iter().peekable(),
        accounts: config.accounts.values().peekable(),
        of_sections: Some(of_sections),
        ready: Vec::new().into_iter(),
    }
}

impl Iterator for Changes<'_> {
    type Item = PolicyChange;

    fn next(&mut self) -> Option<PolicyChange> {
        loop {
            if let Some(change) = self.ready.next() {
                return Some(change);
            }
            self.ready = self.of_an_account().or_else(|| self.of_sections())?.into_iter();
        }
    }
}

impl Changes<'_> {
    /// Returns the changes of the next account, by name. None: there is no further one.
    fn of_an_account(&mut self) -> Option<Vec<PolicyChange>> {
        let was = self.known.peek().and_then(|row| account_of(&row.field));
        let is = self.accounts.peek().map(|account| account.name.as_str());
        let name = match (was, is) {
            (Some(was), Some(is)) => was.min(is),
            (one, other) => one.or(other)?,
        };
        let name = name.to_owned();
        let mut known = BTreeMap::new();
        while let Some(row) = self.known.next_if(|row| account_of(&row.field) == Some(name.as_str())) {
            known.insert(row.field.clone(), row);
        }
        let account = self.accounts.next_if(|account| account.name.as_str() == name);
        let fields = account.map(of_account).unwrap_or_default().into_iter().collect();
        let is_link = |field: &String| account_and_part(field).is_some_and(|(_, part)| part == LINK);
        let stays = account.is_some() && known.keys().any(is_link);
        Some(self.compared(known, fields, stays))
    }

    /// Returns the changes of the sections, and notes that they were seen. None: they were compared.
    fn of_sections(&mut self) -> Option<Vec<PolicyChange>> {
        let known = self.of_sections.take()?.into_iter().map(|row| (row.field.clone(), row)).collect();
        let fields = sections(self.config).into_iter().map(|(key, field)| (format!("section {key}"), field));
        let mut all = self.compared(known, fields.collect(), false);
        // They come last, so that a host that is killed before begins anew.
        for (name, is_new) in [(SEEN_LATER, self.is_first_of_later), (SEEN, self.is_first)] {
            if is_new {
                let seen = row(name.to_owned(), digest(name), None);
                all.push(PolicyChange { row: seen, is_gone: false, was: None, entry: None });
            }
        }
        Some(all)
    }

    /// Returns the changes from the known fields to the present ones, by name. `stays`: they are those of an account that was there, and
    /// is there.
    fn compared(
        &self,
        mut known: BTreeMap<String, PolicyRow>,
        fields: BTreeMap<String, Field>,
        stays: bool,
    ) -> Vec<PolicyChange> {
        let mut all = Vec::new();
        for (field, Field { mark, shown }) in fields {
            let before = known.remove(&field);
            if before.as_ref().is_some_and(|before| before.mark == mark) {
                continue;
            }
            let (old, was) = before.map_or((None, None), |before| (Some(told(before.shown)), Some(before.mark)));
            let entry = self.entry(&field, stays, old, Some(told(shown.clone())));
            all.push(PolicyChange { row: row(field, mark, shown), is_gone: false, was, entry });
        }
        for (field, row) in known {
            let entry = self.entry(&field, stays, Some(told(row.shown.clone())), None);
            all.push(PolicyChange { was: Some(row.mark.clone()), row, is_gone: true, entry });
        }
        all.sort_by(|one, other| one.row.field.cmp(&other.row.field));
        all
    }

    /// Returns the entry about a change of a field, unless the audit never saw its part.
    fn entry(&self, field: &str, stays: bool, old: Option<String>, new: Option<String>) -> Option<NewAuditEntry> {
        let is_later = || LATER.iter().any(|section| field.starts_with(section));
        let is_new = self.is_first || self.is_first_of_later && is_later();
        if is_new { None } else { entry(field, stays, self.by, old, new) }
    }
}

/// Returns what the order of fields depends on: accounts by their names come before the sections.
fn position(field: &str) -> (bool, Option<(&str, &str)>, &str) {
    let account = account_and_part(field);
    (account.is_none(), account, field)
}

fn row(field: String, mark: String, shown: Option<String>) -> PolicyRow {
    PolicyRow { plugin: CONFIGURATION.to_owned(), field, mark, shown }
}

/// Returns the fields of an account, with their names: `account NAME PART`.
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
        let places = if key == "auto_join_rooms" { room_passwords(settings) } else { String::new() };
        let field = Field { mark: digest(&format!("{value}{places}")), shown: is_shown.then(|| cut(&value)) };
        all.push((named(&format!("setting {key}")), field));
    }
    all
}

/// Returns where the passwords of rooms are, to be digested: nothing if there is none.
fn room_passwords(settings: &Settings) -> String {
    let one = |(room, at): (&BareJid, &RoomPasswordPlace)| match at {
        RoomPasswordPlace::File(file) => format!(" {room} file {}", place(file)),
        RoomPasswordPlace::Environment(variable) => format!(" {room} variable {variable}"),
    };
    settings.room_passwords().iter().map(one).collect()
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

/// Returns the name of the account that a field is about; none: it is about a section.
pub(super) fn account_of(field: &str) -> Option<&str> {
    account_and_part(field).map(|(account, _)| account)
}

/// Returns whether the audit has seen a whole configuration before.
pub(super) fn is_known(rows: &[PolicyRow]) -> bool {
    rows.iter().any(|row| row.field == SEEN)
}

/// Returns the entry about a change of a field. An account that comes or goes has one entry, not one for each of its fields.
fn entry(field: &str, stays: bool, by: &By, old: Option<String>, new: Option<String>) -> Option<NewAuditEntry> {
    let Some((account, part)) = account_and_part(field) else {
        let key = field.strip_prefix("section ")?;
        let [old, new] = [old, new].map(|value| value.or_else(|| usual(key)));
        let entry = NewAuditEntry::new(AuditKind::Setting, by, &format!("setting {key}"));
        return Some(NewAuditEntry { old, new, ..entry });
    };
    let (kind, what, [old, new]) = match (part, stays) {
        // The other values that decide how to connect are digested, and not shown.
        (LINK, true) if old == new => (AuditKind::Account, HOW, [None, None]),
        (LINK, true) => (AuditKind::Account, LINKED, [old, new]),
        (LINK, false) => {
            let what = if old.is_none() { ADDED } else { REMOVED };
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

/// Finds the last of these entries that says that another address had the name of the account, and returns the moment after it, in
/// milliseconds of the Unix clock. None: no entry says that.
pub(super) fn end_of_another(entries: &[AuditEntry], own: &BareJid) -> Option<i64> {
    let is_own = |shown: &str| address(shown).parse::<Jid>().is_ok_and(|jid| jid.to_bare() == *own);
    let is_of_another = |entry: &&AuditEntry| {
        let mut shown = [&entry.old, &entry.new].into_iter().flatten();
        [ADDED, REMOVED, LINKED].contains(&entry.what.as_str()) && !shown.all(|shown| is_own(shown))
    };
    let last = entries.iter().filter(|entry| entry.kind == AuditKind::Account.as_str()).rfind(is_of_another)?;
    Some(last.at.saturating_add(1))
}

/// Returns the address of an account from what is shown of its connection and owners.
fn address(shown: &str) -> String {
    shown.rsplit_once(OWNERS).map_or(shown, |(address, _)| address).to_owned()
}

#[cfg(test)]
mod tests;

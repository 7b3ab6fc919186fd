//! `contacts`: the roster, and blocked addresses.

use std::sync::Arc;

use jid::{BareJid, Jid};
use parlor_base::permission::Permission;
use parlor_session::permissions::{CallName, Granted, Target};
use parlor_session::{BlockAddress, ChangeContact, Contact, ContactChange, Contacts, ListBlocked, UnblockAddress};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Report, ReportKind, RosterItem};
use wasmtime::component::Accessor;

use super::pacing::{pace_order, request, request_for_much};
use super::types::shown_card;
use super::{answer, bare_jid, bare_jids, caller, fits, jid as any_jid, words};
use crate::bindings::parlor::plugin::contacts::{Host, HostWithStore, Report as WitReport};
use crate::bindings::parlor::plugin::types::{Contact as WitContact, Error};
use crate::instance::{Context, Grouping, Instance, OpenCall};
use crate::record::MOST_ADDED;

/// Maximum length of the remark in a report, in bytes.
const MAX_REMARK: usize = 4 << 10;
/// Maximum number of messages in a report.
const MAX_REPORTED: usize = 16;
/// Maximum length of the id of one, in bytes.
const MAX_ID: usize = 1 << 10;

impl Host for Context {
    fn get(&mut self, jid: String) -> Result<Option<WitContact>, Error> {
        let found = bare_jid("jid", &jid).and_then(|jid| get(&self.instance, CallName::ContactsGet, &[Some(jid)]));
        answer(found.map(|mut found| found.pop().flatten()))
    }

    fn get_many(&mut self, jids: Vec<String>) -> Result<Vec<Option<WitContact>>, Error> {
        answer(bare_jids("jids", &jids).and_then(|jids| get(&self.instance, CallName::ContactsGetMany, &jids)))
    }

    fn get_all(&mut self) -> Result<Vec<WitContact>, Error> {
        answer(roster(&self.instance, CallName::ContactsGetAll).and_then(|roster| {
            fit(&self.instance, roster.values().map(|contact| &**contact))?;
            Ok(roster.values().map(|contact| (&**contact).into()).collect())
        }))
    }
}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn add(accessor: &Accessor<T, Self>, jid: String, fullname: Option<String>) -> Result<WitContact, Error> {
        answer(add(accessor, &jid, fullname).await)
    }

    async fn remove(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        answer(change(accessor, CallName::ContactsRemove, &jid, ContactChange::Remove).await.map(drop))
    }

    async fn rename(accessor: &Accessor<T, Self>, jid: String, fullname: String) -> Result<(), Error> {
        answer(change(accessor, CallName::ContactsRename, &jid, ContactChange::Rename(fullname)).await.map(drop))
    }

    async fn set_groups(accessor: &Accessor<T, Self>, jid: String, groups: Vec<String>) -> Result<(), Error> {
        answer(change(accessor, CallName::ContactsSetGroups, &jid, ContactChange::SetGroups(groups)).await.map(drop))
    }

    async fn accept(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        answer(change(accessor, CallName::ContactsAccept, &jid, ContactChange::Accept).await.map(drop))
    }

    async fn deny(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        answer(change(accessor, CallName::ContactsDeny, &jid, ContactChange::Deny).await.map(drop))
    }

    async fn block(accessor: &Accessor<T, Self>, jid: String, report: Option<WitReport>) -> Result<(), Error> {
        answer(block(accessor, &jid, report).await)
    }

    async fn unblock(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        answer(unblock(accessor, &jid).await)
    }

    async fn blocked(accessor: &Accessor<T, Self>) -> Result<Vec<String>, Error> {
        answer(blocked(accessor).await)
    }
}

fn known(instance: &Instance, granted: &Granted) -> Result<Contacts, CallError> {
    instance.snapshot(granted).contacts.clone().ok_or(CallError::NotReady("rosterContactsFetched"))
}

fn roster(instance: &Instance, call: CallName) -> Result<Contacts, CallError> {
    known(instance, &instance.granted(call, Target::None)?)
}

fn get(instance: &Instance, call: CallName, jids: &[Option<BareJid>]) -> Result<Vec<Option<WitContact>>, CallError> {
    let roster = roster(instance, call)?;
    let found: Vec<_> = jids.iter().map(|jid| roster.get(jid.as_ref()?)).collect();
    fit(instance, found.iter().flatten().map(|contact| &***contact))?;
    Ok(found.into_iter().map(|contact| contact.map(|contact| (&**contact).into())).collect())
}

/// Size of a contact in a plugin's memory without its texts, as the contract lays it out.
const RECORD: usize = 132;
/// Size of one of its clients, with the time stamp of its presence.
const CLIENT: usize = 44 + "2026-11-20T06:24:00.000Z".len();

/// Checks whether a plugin can hold all of these at once.
fn fit<'a>(instance: &Instance, contacts: impl Iterator<Item = &'a Contact>) -> Result<(), CallError> {
    let rest = |contact: &Contact| {
        // The record repeats the status of the first client.
        let status = contact.status().map_or(0, str::len);
        contact.texts() + status + CLIENT * contact.resources.len() + shown_card(contact.card.as_deref())
    };
    let remedy = "ask for fewer with `contacts.get-many`";
    fits(instance, "contacts", remedy, contacts.map(|one| RECORD + rest(one)))
}

async fn add<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    jid: &str,
    fullname: Option<String>,
) -> Result<WitContact, CallError> {
    let (instance, granted) =
        change(accessor, CallName::ContactsAdd, jid, ContactChange::Add { fullname: fullname.clone() }).await?;
    // Another client may have removed it since.
    let contact =
        known(&instance, &granted)?.get(&bare_jid("jid", jid)?).map(|contact| added(&instance, contact, fullname));
    contact.ok_or_else(|| CallError::NotFound(format!("{jid} in the roster")))
}

/// Returns how a contact is shown that was added. A plugin that may not read the roster sees only what it set itself:
/// the contact may have existed before, with a name, groups and a presence.
fn added(instance: &Instance, contact: &Contact, name: Option<String>) -> WitContact {
    if instance.mailbox.grants().has(Permission::ContactsRead) {
        return contact.into();
    }
    (&Contact::new(RosterItem { name, groups: Vec::new(), ..contact.to_item() })).into()
}

/// Changes a contact. Returns the calling instance, and the proof that it might.
async fn change<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    call: CallName,
    jid: &str,
    change: ContactChange,
) -> Result<(Arc<Instance>, Granted), CallError> {
    let (instance, call) = caller(accessor, call)?;
    let jid = bare_jid("jid", jid)?;
    change.check()?;
    let granted = call.granted(Target::Jid(&jid))?;
    let is_noted = !matches!(change, ContactChange::Remove | ContactChange::Deny)
        && note_change(&instance, &granted, &jid).await?;
    let whom = jid.clone();
    let done = request(&instance, &granted, ChangeContact { jid, change }).await;
    if done.as_ref().is_err_and(is_refusal) && is_noted && !instance.account.snapshot().is_contact(&whom) {
        instance.account.records.added_no_contact(&instance.plugin, &whom);
    }
    done?;
    Ok((instance, granted))
}

/// Returns whether a change that failed in this way is none. After any other error, the server may still make it.
fn is_refusal(error: &CallError) -> bool {
    matches!(
        error,
        CallError::Stanza(_)
            | CallError::NotFound(_)
            | CallError::Invalid { .. }
            | CallError::NotReady(_)
            | CallError::Unsupported(_)
            | CallError::OverLimit(_)
    )
}

async fn block<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    jid: &str,
    given: Option<WitReport>,
) -> Result<(), CallError> {
    let (instance, call) = caller(accessor, CallName::ContactsBlock)?;
    let jid = any_jid("jid", jid)?;
    let report = given.map(report).transpose()?;
    let granted = may_block(&instance, &call, &jid)?;
    request(&instance, &granted, BlockAddress { jid, report }).await
}

async fn unblock<T: Send + 'static>(accessor: &Accessor<T, Grouping>, jid: &str) -> Result<(), CallError> {
    let (instance, call) = caller(accessor, CallName::ContactsUnblock)?;
    let jid = any_jid("jid", jid)?;
    let granted = may_block(&instance, &call, &jid)?;
    request(&instance, &granted, UnblockAddress { jid }).await
}

/// Returns the proof that a plugin may have this address blocked, or blocked no longer. One that is kept to rooms may name no domain:
/// that stands for all rooms and people there.
fn may_block(instance: &Instance, call: &OpenCall, jid: &Jid) -> Result<Granted, CallError> {
    let granted = call.granted(Target::Jid(jid))?;
    if jid.node().is_none() && instance.mailbox.keeps_from(Target::Room(&jid.to_bare())) {
        let hint = "no grant helps: a domain may have rooms that the plugin is kept from; name a single address";
        return Err(instance.deny_for_good(Permission::ContactsWrite, jid.to_string(), hint.to_owned()));
    }
    Ok(granted)
}

/// Returns the blocked addresses. The server may list thousands.
async fn blocked<T: Send + 'static>(accessor: &Accessor<T, Grouping>) -> Result<Vec<String>, CallError> {
    let (instance, call) = caller(accessor, CallName::ContactsBlocked)?;
    let weigh = |jids: &Vec<Jid>| jids.iter().map(|jid| size_of::<Jid>() + jid.as_str().len()).sum();
    let jids = request_for_much(&instance, &call.granted(Target::None)?, ListBlocked, weigh).await?;
    Ok(jids.iter().map(ToString::to_string).collect())
}

/// Parses a report.
fn report(given: WitReport) -> Result<Report, CallError> {
    let WitReport { kind, text, stanza_ids } = given;
    let invalid = |reason: String| CallError::invalid("report.stanza-ids", reason);
    let known = ReportKind::ALL.into_iter().find(|one| one.as_str() == kind);
    let kind = known.ok_or_else(|| {
        let all = ReportKind::ALL.map(ReportKind::as_str).join(", ");
        CallError::invalid("report.kind", format!("{kind:.32} is none of {all}"))
    })?;
    if let Some(text) = &text {
        words("report.text", text, MAX_REMARK)?;
    }
    if stanza_ids.len() > MAX_REPORTED {
        return Err(invalid(format!("has {} entries; at most {MAX_REPORTED} are allowed", stanza_ids.len())));
    }
    let checked = stanza_ids.into_iter().map(|(by, id)| -> Result<(Jid, String), CallError> {
        words("report.stanza-ids", &id, MAX_ID)?;
        if id.is_empty() {
            return Err(invalid("has an empty id".to_owned()));
        }
        Ok((any_jid("report.stanza-ids", &by)?, id))
    });
    Ok(Report { kind, text, stanza_ids: checked.collect::<Result<_, _>>()? })
}

/// Notes that a call is about to add a person to the roster, or to change a contact. A person who is added is no contact for the
/// plugin's own grants, and what the call makes of the contact gives that person no commands. This happens before the server is
/// asked, since the roster push may come before the answer. Returns whether this is the plugin's first call about that person.
pub(super) async fn note_change(instance: &Instance, granted: &Granted, jid: &BareJid) -> Result<bool, CallError> {
    let (account, plugin) = (&instance.account, &instance.plugin);
    if account.records.touches_contact(plugin, jid, account.clock.now()) {
        return Ok(false);
    }
    // It is written to disk, which costs as much as any other order.
    pace_order(instance, granted).await?;
    let snapshot = Arc::clone(&account.snapshot());
    if account.records.changes_contact(plugin, jid, &snapshot, account.clock.now()).await {
        return Ok(true);
    }
    let most = format!("{MOST_ADDED} contacts that one plugin added or changed; remove some of them from the roster");
    Err(CallError::OverLimit(most))
}

#[cfg(test)]
mod tests {
    use parlor_plugins::limits::Limits;
    use parlor_session::ContactResource;

    use super::*;
    use crate::instance::tests::instance as disconnected_instance;

    /// A plugin that adds an existing contact must not learn what only a reader may.
    #[tokio::test]
    async fn adding_shows_what_was_there_before_to_readers_alone() {
        let item = RosterItem {
            jid: "juliet@example.org".parse().unwrap(),
            name: Some("Capulet's daughter".to_owned()),
            subscription: "both".to_owned(),
            ask: false,
            groups: vec!["Verona".to_owned()],
        };
        let client = ContactResource {
            name: "balcony".to_owned(),
            priority: 0,
            show: None,
            status: Some("wherefore".to_owned()),
            since: jiff::Timestamp::UNIX_EPOCH,
        };
        let contact = Contact { resources: vec![client], ..Contact::new(item) };
        let write = "\"contacts.write\" = true";
        for (grants, name, shown) in [
            (write.to_owned(), None, ("juliet@example.org", 0, "offline", 0)),
            (write.to_owned(), Some("J."), ("J.", 0, "offline", 0)),
            (format!("{write}\n\"contacts.read\" = true"), None, ("Capulet's daughter", 1, "online", 1)),
        ] {
            let (instance, _mailbox) = disconnected_instance(&grants, Limits::default());
            let told = added(&instance, &contact, name.map(str::to_owned));
            let seen = (&*told.fullname, told.groups.len(), &*told.chat_status, told.resources.len());
            assert_eq!(seen, shown, "{grants}");
            assert_eq!(told.status.is_some(), shown.3 == 1, "{grants}");
        }
    }

    /// Each may be online with many clients that all have long texts, and a plugin would exceed its memory.
    #[tokio::test]
    async fn what_clients_say_counts_towards_what_a_plugin_can_hold() {
        let client = ContactResource {
            name: "x".repeat(1_000),
            priority: 0,
            show: None,
            status: Some("x".repeat(1_000)),
            since: jiff::Timestamp::UNIX_EPOCH,
        };
        let item = RosterItem {
            jid: "juliet@example.org".parse().unwrap(),
            name: None,
            subscription: "both".to_owned(),
            ask: false,
            groups: Vec::new(),
        };
        let contact = Contact { resources: vec![client; 64], ..Contact::new(item) };
        let (instance, _mailbox) = disconnected_instance("", Limits::default());
        // Contacts of more than 128 KiB each, in 64 MiB.
        let holds = |contacts| fit(&instance, std::iter::repeat_n(&contact, contacts));
        assert_eq!(holds(100), Ok(()));
        assert!(matches!(holds(600), Err(CallError::OverLimit(_))));
    }
}

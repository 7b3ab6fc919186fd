//! The people of accounts on the control socket: showing contacts, answering their requests, and speaking as an account.

use std::sync::Arc;

use jid::{BareJid, Jid};
use parlor_base::escape::escape_untrusted;
use parlor_base::nearest::suggestion;
use parlor_config::Config;
use parlor_runtime::account::{Asker, Shared};
use parlor_session::permissions::Granted;
use parlor_session::{ChangeContact, Contact, ContactChange, SendMessage};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Draft, MessageKind};
use parlor_store::By;

use super::refusal::Refusal;
use super::request::Request;
use super::rooms::{LONGEST, account_with, accounts, near_room, not_done, not_in, room_view};
use super::views::{People, Person, Said};
use super::{addresses, audit};
use crate::host::Host;

/// The longest message that an owner sends, in bytes. A request's head has room for it, also where each byte is escaped.
const LONGEST_WORDS: usize = 4 << 10;

/// Returns the contacts of all accounts, or of one, or this person in them.
pub(super) fn people(host: &Host, request: &Request) -> Result<Vec<People>, Refusal> {
    let only = request.value("jid").map(addresses::person).transpose().map_err(Refusal::Value)?;
    let config = host.config();
    Ok(accounts(host, request)?.iter().map(|account| people_of(&config, account, only.as_ref())).collect())
}

/// Returns the contacts of an account, or this one of them.
fn people_of(config: &Config, account: &Shared, only: Option<&BareJid>) -> People {
    let snapshot = account.snapshot();
    // No server keeps contacts for an address of a component.
    let has_none = config.accounts.get(&account.name).is_some_and(|one| one.link.component().is_some());
    let contacts = snapshot.contacts.iter().flat_map(|contacts| contacts.values());
    let contacts = contacts.filter(|one| only.is_none_or(|only| one.jid == *only)).map(|one| Person {
        jid: one.jid.to_string(),
        name: escape_untrusted(&one.fullname, LONGEST),
        subscription: escape_untrusted(&one.subscription, LONGEST),
        status: status(one).to_owned(),
        asks: one.requesting,
        groups: one.groups.iter().map(|group| escape_untrusted(group, LONGEST)).collect(),
        plugins: account.records.changed_by(&one.jid).iter().map(ToString::to_string).collect(),
    });
    People {
        account: account.name.to_string(),
        node: None,
        known: has_none || snapshot.contacts.is_some(),
        contacts: contacts.collect(),
    }
}

/// Returns the status of a contact; `unknown` if the account is not told of it.
fn status(contact: &Contact) -> &'static str {
    if contact.is_seen() || !contact.resources.is_empty() { contact.chat_status() } else { Person::UNKNOWN }
}

/// Grants (`accepts`) or denies the request of a person to see an account's presence, and returns the contacts of the account.
pub(super) async fn answer(host: &Host, request: &Request, accepts: bool, by: &By) -> Result<Vec<People>, Refusal> {
    let text = request.value("jid").ok_or_else(|| Refusal::Value("`jid` is the address of a person".to_owned()))?;
    let jid = addresses::person(text).map_err(Refusal::Value)?;
    let all = accounts(host, request)?;
    let asked: Vec<_> = all.iter().filter(|one| is_asked(one, &jid)).collect();
    let account = match &asked[..] {
        [account] => account,
        [] => return Err(nobody_asks(&all, &jid)),
        several => {
            let names: Vec<_> = several.iter().map(|one| one.name.to_string()).collect();
            return Err(Refusal::unnamed(&format!("{jid} asks several accounts; name one"), &names));
        }
    };
    let change = ChangeContact { jid, change: if accepts { ContactChange::Accept } else { ContactChange::Deny } };
    let changing = async { account.ask(Asker::Host, &Granted::HOST, change).await.map_err(|error| not_done(&error)) };
    audit::recorded(host, request, by, &[&account.name], changing).await?;
    Ok(vec![people_of(&host.config(), account, None)])
}

/// Returns whether a person asks to see the presence of an account.
fn is_asked(account: &Shared, jid: &BareJid) -> bool {
    let snapshot = account.snapshot();
    snapshot.contacts.as_ref().is_some_and(|all| all.get(jid).is_some_and(|person| person.requesting))
}

/// Returns the refusal for a person who asks none of these accounts.
fn nobody_asks(accounts: &[Arc<Shared>], jid: &BareJid) -> Refusal {
    let asking = |account: &Arc<Shared>| {
        let snapshot = account.snapshot();
        let people = snapshot.contacts.iter().flat_map(|all| all.values()).filter(|person| person.requesting);
        people.map(|person| person.jid.clone()).collect::<Vec<_>>()
    };
    let asking: Vec<BareJid> = accounts.iter().flat_map(asking).collect();
    let near = suggestion(addresses::nearest(jid, &asking).map(|near| near.as_str()));
    let whom = if let [account] = accounts { format!("account {}", account.name) } else { "any account".to_owned() };
    Refusal::Value(format!("`parlor contacts` lists who asks: {jid} does not ask {whom} to be a contact{near}"))
}

/// Sends a message to a room or a person, as the account.
pub(super) async fn say(host: &Host, request: &Request, by: &By) -> Result<Said, Refusal> {
    let to = request.value("to").ok_or_else(|| Refusal::Value("`to` is an address".to_owned()))?;
    let to = addresses::recipient(to).map_err(Refusal::Value)?;
    let words = request.value("text").ok_or_else(|| Refusal::Value("`text` is what to say".to_owned()))?;
    if words.len() > LONGEST_WORDS {
        return Err(Refusal::Value(format!("a message has at most {LONGEST_WORDS} bytes here, not {}", words.len())));
    }
    let bare = to.to_bare();
    let account = account_with(host, request, &bare)?;
    let is_room = account.snapshot().rooms.contains_key(&bare);
    let is_known = is_room || account.snapshot().is_contact(&bare) || account.snapshot().chats.contains_key(&bare);
    if !is_known && request.value("new") != Some("true") {
        return Err(no_recipient(&account, &to));
    }
    let kind = if is_room && to.is_bare() { MessageKind::Groupchat } else { MessageKind::Chat };
    let draft = Draft { body: Some(words.to_owned()), ..Draft::default() };
    let send = SendMessage { to: to.clone(), kind, draft };
    let sending = async {
        tracing::info!(account = %account.name, %to, "the owner speaks as the account");
        let outcome = account.ask(Asker::Host, &Granted::HOST, send).await;
        outcome.map_err(|error| not_sent(&account, &bare, &error))
    };
    let id = audit::recorded(host, request, by, &[&account.name], sending).await?;
    let queued = !account.snapshot().connected;
    Ok(Said { account: account.name.to_string(), to: to.to_string(), id, queued })
}

/// Returns the room or the contact that was probably meant by an unknown address.
fn near(account: &Shared, jid: &BareJid) -> Option<BareJid> {
    let snapshot = account.snapshot();
    let contacts = snapshot.contacts.iter().flat_map(|all| all.keys());
    let (room, contact) = (near_room(account, jid), addresses::nearest(jid, contacts));
    addresses::nearest(jid, room.as_ref().into_iter().chain(contact)).cloned()
}

/// Returns the refusal for an address that is no room that an account is in, and no person whom it knows.
fn no_recipient(account: &Shared, to: &Jid) -> Refusal {
    let (snapshot, bare) = (account.snapshot(), to.to_bare());
    if let Some(record) = snapshot.room_records.rooms.get(&bare) {
        return Refusal::NotDone(not_in(&room_view(account, &snapshot, &bare, record)));
    }
    let near = near(account, &bare).map_or_else(|| ":".to_owned(), |near| format!(", did you mean \"{near}\"?"));
    // A name alone is hardly meant as the domain of that name.
    let remedy = if to.node().is_none() {
        "write the whole address, such as name@example.org; `--new` writes to the domain itself"
    } else {
        "`--new` writes there all the same"
    };
    Refusal::Value(format!("{to} is no room that account {} is in, and no contact of it{near} {remedy}", account.name))
}

/// Says why something was not sent. To a room that the account waits for, it can be sent later.
fn not_sent(account: &Shared, to: &BareJid, error: &CallError) -> Refusal {
    let snapshot = account.snapshot();
    match (error, snapshot.room_records.rooms.get(to)) {
        (CallError::NotFound(_), Some(record)) => Refusal::NotDone(not_in(&room_view(account, &snapshot, to, record))),
        _ => not_done(error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::header::HOST;
    use parlor_stanza::types::RosterItem;
    use tokio::time::timeout;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::lines::{Lines, Wanted};
    use super::super::rooms;
    use super::*;
    use crate::host::tests::offline_host;

    #[test]
    fn the_status_of_a_person_who_does_not_tell_it_is_unknown() {
        let of = |subscription: &str| {
            let jid = "juliet@example.org".parse().unwrap();
            let (subscription, groups) = (subscription.to_owned(), Vec::new());
            status(&Contact::new(RosterItem { jid, name: None, subscription, ask: false, groups }))
        };
        assert_eq!(["none", "from", "to", "both"].map(of), ["unknown", "unknown", "offline", "offline"]);
    }

    /// Otherwise the log would say that a message went out which the host refused to send.
    #[tokio::test]
    async fn what_cannot_be_recorded_is_not_in_the_log_either() {
        let folder = tempfile::tempdir().unwrap();
        let host = offline_host(folder.path()).await;
        let request = |target: &str| {
            let head = hyper::Request::builder().method("POST").uri(target).header(HOST, "x");
            Request::of(&head.body(()).unwrap().into_parts().0).unwrap()
        };
        let says = request("/v1/say?to=juliet%40example.org&text=hi&new=true");
        let joins = request("/v1/rooms/join?room=hall%40muc.example.org&new=true");
        let by = By::user(1_000, "control socket");
        let lines = Lines::default();
        let _logs = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines.clone()));
        let logged = || {
            let all = lines.after(0, &Wanted::default()).0;
            let all = all.iter().map(|line| serde_json::to_value(&**line).unwrap()["message"].clone());
            all.filter(|message| message.as_str().is_some_and(|text| text.starts_with("the owner "))).count()
        };
        let audit = crate::host::audit::of(&host);
        audit.refuse_writes(true).await.unwrap();
        assert!(say(&host, &says, &by).await.is_err() && rooms::join(&host, &joins, &by).await.is_err());
        assert_eq!(logged(), 0);
        audit.refuse_writes(false).await.unwrap();
        // Nothing is sent without a connection, so these calls may not end.
        let until_logged = async |count: usize| {
            let logs = async {
                while logged() < count {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let _ = timeout(Duration::from_mins(1), logs).await;
        };
        tokio::select! {
            _ = say(&host, &says, &by) => {}
            () = until_logged(1) => {}
        }
        tokio::select! {
            _ = rooms::join(&host, &joins, &by) => {}
            () = until_logged(2) => {}
        }
        assert_eq!(logged(), 2);
        host.stop().await;
    }
}

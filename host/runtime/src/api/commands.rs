//! `commands`: commands that people give to a plugin by name.

use std::sync::Arc;
use std::time::Duration;

use parlor_session::command_rules::{CommandPlace, MOST_PEOPLE, NoRank, People};
use parlor_session::permissions::{CallName, Granted, Target};
use parlor_session::{
    AddCommand, Added, AnswerFailed, AnswerForm, Argument, Declaration, DeclareCommand, Declared, Kind, RemoveCommand,
    Spoken,
};
use parlor_stanza::error::CallError;
use parlor_stanza::types::Message;
use wasmtime::component::Accessor;

use super::pacing::{order, pace, pace_bytes};
use super::{answer, bounded, caller, jid, text, words};
use crate::bindings::parlor::plugin::commands::{self as wit, Host, HostWithStore};
use crate::bindings::parlor::plugin::types::Error;
use crate::instance::{Context, Grouping, Instance, outgoing};

/// Maximum length of an answer in a form, in bytes.
const LONGEST_ANSWER: usize = 4 << 10;
/// Maximum length of a text that may wait for the session, which is stricter.
const LONGEST: usize = 4_096;

impl Host for Context {}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn declare(accessor: &Accessor<T, Self>, command: wit::Declaration) -> Result<(), Error> {
        answer(declare(accessor, command).await)
    }

    async fn answer(accessor: &Accessor<T, Self>, form: String, text: String, more: bool) -> Result<(), Error> {
        answer(answer_form(accessor, form, text, more).await)
    }

    async fn add(accessor: &Accessor<T, Self>, name: String, help: String, usage: String) -> Result<(), Error> {
        answer(add(accessor, Spoken { name, help, usage }).await)
    }

    async fn remove(accessor: &Accessor<T, Self>, name: String) -> Result<(), Error> {
        answer(remove(accessor, name).await)
    }
}

async fn declare<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    command: wit::Declaration,
) -> Result<(), CallError> {
    let (instance, call) = caller(accessor, CallName::CommandsDeclare)?;
    let granted = call.granted(Target::None)?;
    let declared = Declared::check(declaration(command)?)?;
    // Not each time that a parked plugin wakes.
    let is_known = instance.registered.commands().keys().any(|name| is_named(&declared.name, name));
    let added = match put_declared(&instance, &granted, declared.clone()).await {
        // If one name is taken, the plugin should still start.
        Err(CallError::NotOwner(taken)) if instance.is_starting() => {
            let name = full_name(&instance, &declared.name, &taken, is_known);
            put_declared(&instance, &granted, declared.called(name)).await
        }
        added => added,
    };
    let Added { name, is_short, left_out } = added?;
    let (plugin, account) = (&instance.plugin, &instance.account.name);
    for alias in left_out.iter().filter(|_| !is_known) {
        tracing::warn!(%plugin, %account, command = name, alias, "another name of a command is that of another plugin's or of the host's, so it is left out");
    }
    instance.registered.commands().insert(name, is_short);
    Ok(())
}

/// Returns whether a plugin means the command of this name, as it is registered, with or without its id.
fn is_named(written: &str, name: &str) -> bool {
    written.rsplit('.').next().is_some_and(|written| written.to_lowercase() == name)
}

/// Returns the name that always works, for a command whose name is taken, and warns the owner.
fn full_name(instance: &Instance, name: &str, taken: &str, is_known: bool) -> String {
    let (plugin, account) = (&instance.plugin, &instance.account.name);
    let name = format!("{plugin}.{name}");
    if !is_known {
        tracing::warn!(
            %plugin, %account, taken,
            "a command has the name of another plugin's, so people give it as {name} alone; `parlor plugin command {plugin}` \
             gives it another name, and `parlor plugin rooms {plugin}` keeps the plugin to rooms where the other one does not act"
        );
    }
    name
}

/// Converts a command that a plugin declares. Its texts are only bounded here.
fn declaration(command: wit::Declaration) -> Result<Declaration, CallError> {
    let wit::Declaration { name, help, aliases, arguments, allow, person_cooldown, room_cooldown, place } = command;
    text("command.name", &name, LONGEST)?;
    text("command.help", &help, LONGEST)?;
    for alias in bounded("command.aliases", &aliases)? {
        text("command.aliases", alias, LONGEST)?;
    }
    bounded("command.arguments", &arguments)?;
    if allow.len() > MOST_PEOPLE {
        let reason = format!("has {} groups of people; at most {MOST_PEOPLE} are allowed", allow.len());
        return Err(CallError::invalid("command.allow", reason));
    }
    Ok(Declaration {
        name,
        help,
        aliases,
        arguments: arguments.into_iter().map(argument).collect(),
        allow: allow.into_iter().map(people).collect::<Result<_, _>>()?,
        person_cooldown: Duration::from_millis(person_cooldown),
        room_cooldown: Duration::from_millis(room_cooldown),
        place: place.map(|text| command_place(&text)).transpose()?,
    })
}

fn command_place(text: &str) -> Result<CommandPlace, CallError> {
    text.parse().map_err(|error: NoRank| CallError::invalid("command.place", error.to_string()))
}

fn argument(argument: wit::Argument) -> Argument {
    let wit::Argument { name, kind, optional, default, named, help, page } = argument;
    let kind = match kind {
        wit::Kind::Text => Kind::Text,
        wit::Kind::Integer((least, most)) => Kind::Integer(least, most),
        wit::Kind::Number((least, most)) => Kind::Number(least, most),
        wit::Kind::Duration => Kind::Duration,
        wit::Kind::Date => Kind::Date,
        wit::Kind::Time => Kind::Time,
        wit::Kind::Jid => Kind::Jid,
        wit::Kind::Choice(words) => Kind::Choice(words),
        wit::Kind::Flag => Kind::Flag,
        wit::Kind::Rest => Kind::Rest,
    };
    Argument { name, kind, optional, default, named, help, page }
}

fn people(people: wit::People) -> Result<People, CallError> {
    const ALLOW: &str = "command.allow";
    let rank = |what: &str, error: NoRank| CallError::invalid(ALLOW, format!("has a {what} that {error}"));
    Ok(match people {
        wit::People::Contacts => People::Contacts,
        wit::People::Group(name) => People::Group(text(ALLOW, &name, LONGEST)?.to_owned()),
        wit::People::Jid(text) => {
            let jid = jid(ALLOW, &text)?;
            if jid.is_full() {
                return Err(CallError::invalid(ALLOW, "has a JID with a resource; write a bare one"));
            }
            People::Jid(jid.into_bare())
        }
        wit::People::Role(name) => People::Role(name.parse().map_err(|error| rank("role", error))?),
        wit::People::Affiliation(name) => {
            People::Affiliation(name.parse().map_err(|error| rank("affiliation", error))?)
        }
        wit::People::Owners => People::Owners,
    })
}

async fn add<T: Send + 'static>(accessor: &Accessor<T, Grouping>, spoken: Spoken) -> Result<(), CallError> {
    let (instance, call) = caller(accessor, CallName::CommandsAdd)?;
    let granted = call.granted(Target::None)?;
    for (argument, given) in [("name", &spoken.name), ("help", &spoken.help), ("usage", &spoken.usage)] {
        text(argument, given, LONGEST)?;
    }
    let added = match put(&instance, &granted, spoken.clone()).await {
        // If one name is taken, the plugin should still start.
        Err(CallError::NotOwner(taken)) if instance.is_starting() => {
            // Not each time that a parked plugin wakes.
            let is_known = instance.registered.commands().contains_key(&spoken.name);
            let name = full_name(&instance, &spoken.name, &taken, is_known);
            put(&instance, &granted, Spoken { name, ..spoken }).await
        }
        added => added,
    };
    let Added { name, is_short, .. } = added?;
    instance.registered.commands().insert(name, is_short);
    Ok(())
}

/// Answers a command from a form.
async fn answer_form<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    form: String,
    said: String,
    more: bool,
) -> Result<(), CallError> {
    let (instance, call) = caller(accessor, CallName::CommandsAnswer)?;
    let granted = call.granted(Target::None)?;
    text("form", &form, LONGEST)?;
    words("text", &said, LONGEST_ANSWER)?;
    pace_bytes(&instance, &granted, said.len()).await?;
    let plugin = instance.plugin.clone();
    outgoing::in_form(&instance, &granted, AnswerForm { plugin, form, text: said, more }, LONGEST_ANSWER).await
}

/// Informs the person who gave a command that it failed. This counts as a message of the plugin's, and needs no grant:
/// the owner chose the words.
pub async fn failed(instance: &Instance, granted: &Granted, message: Arc<Message>) {
    if pace(instance, granted).await.is_ok() {
        // It cannot be sent without a session, or outside of the room. The failure itself is in the log.
        let _ = instance.ask(granted, AnswerFailed { message }).await;
    }
}

/// Adds a command whose arguments the host reads.
async fn put_declared(instance: &Instance, granted: &Granted, declared: Declared) -> Result<Added, CallError> {
    let (plugin, most) = (instance.plugin.clone(), instance.limits.commands as usize);
    let (mailbox, names) = (Arc::clone(&instance.mailbox), Arc::clone(instance.lasting.command_names()));
    order(instance, granted, DeclareCommand { mailbox, names, plugin, declared, most }).await
}

/// Adds a command whose arguments the plugin reads.
async fn put(instance: &Instance, granted: &Granted, spoken: Spoken) -> Result<Added, CallError> {
    let (plugin, most) = (instance.plugin.clone(), instance.limits.commands as usize);
    let (mailbox, names) = (Arc::clone(&instance.mailbox), Arc::clone(instance.lasting.command_names()));
    order(instance, granted, AddCommand { mailbox, names, plugin, spoken, most }).await
}

async fn remove<T: Send + 'static>(accessor: &Accessor<T, Grouping>, name: String) -> Result<(), CallError> {
    let (instance, call) = caller(accessor, CallName::CommandsRemove)?;
    let granted = call.granted(Target::None)?;
    text("name", &name, LONGEST)?;
    let (by, plugin) = (instance.id, instance.plugin.clone());
    let removed = order(&instance, &granted, RemoveCommand { by, plugin, name }).await?;
    instance.registered.commands().remove(&removed);
    Ok(())
}

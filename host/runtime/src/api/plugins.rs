//! `plugins`: requests of plugins to one another.

use std::sync::Arc;

use parlor_base::id::PluginId;
use parlor_session::PluginRequest;
use parlor_session::event::{Event, EventName, Payload};
use parlor_session::permissions::{CallName, Target};
use parlor_stanza::error::CallError;
use rand::RngExt as _;
use wasmtime::component::Accessor;

use super::api::{json, name};
use super::pacing::pace_order;
use super::{answer, caller, text, words};
use crate::account::callees::Callee;
use crate::bindings::parlor::plugin::plugins::{Host, HostWithStore};
use crate::bindings::parlor::plugin::types::Error;
use crate::instance::{Context, Grouping, Instance};
use crate::unanswered::{CallAnswer, Outcome, UnansweredRequest};

/// Maximum number of requests that may wait for the answers of one plugin.
const MOST: u32 = 64;
/// Maximum length of an id, in bytes.
const LONGEST: usize = 64;
/// Maximum length of the text of a refusal, in bytes.
const LONGEST_TEXT: usize = 4 << 10;

impl Host for Context {}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn call(accessor: &Accessor<T, Self>, plugin: String, name: String, value: String) -> Result<String, Error> {
        answer(call(accessor, &plugin, name, value).await)
    }

    async fn answer(accessor: &Accessor<T, Self>, id: String, value: String) -> Result<(), Error> {
        answer(give(accessor, CallName::PluginsAnswer, &id, json("value", &value).map(|()| Ok(value.clone()))).await)
    }

    async fn refuse(accessor: &Accessor<T, Self>, id: String, text: String) -> Result<(), Error> {
        let refusal = words("text", &text, LONGEST_TEXT).map(|text| Err(text.to_owned()));
        answer(give(accessor, CallName::PluginsRefuse, &id, refusal).await)
    }
}

async fn call<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    plugin: &str,
    request: String,
    value: String,
) -> Result<String, CallError> {
    let (instance, open) = caller(accessor, CallName::PluginsCall)?;
    let asked = plugin.parse::<PluginId>().map_err(|error| CallError::invalid("plugin", error.to_string()))?;
    let granted = open.granted(Target::Plugin(&asked))?;
    name("name", &request)?;
    json("value", &value)?;
    let _held = instance.hold(value.len())?;
    pace_order(&instance, &granted).await?;
    let pending = instance.account.callees.begin(&instance.plugin, &asked)?;
    let outcome = ask(&instance, &asked, request, value).await;
    drop(pending);
    match outcome? {
        Outcome::Answered(Ok(value)) => {
            // It counts until it is returned.
            let _kept = instance.hold(value.len())?;
            Ok(value)
        }
        Outcome::Answered(Err(why)) => Err(CallError::Rejected(why)),
        Outcome::Returned => Err(CallError::Other(format!("{asked} did not answer"))),
        Outcome::Failed => Err(CallError::Other(format!("{asked} failed"))),
        Outcome::Late => Err(CallError::TimedOut),
        Outcome::NotTold => Err(busy(&asked)),
    }
}

/// Delivers the request to the other plugin, and waits for the answer. The error is the same if it does not run, does
/// not answer such requests, or may not answer this plugin. So the error does not reveal which plugins exist.
async fn ask(
    instance: &Arc<Instance>,
    asked: &PluginId,
    name: String,
    value: String,
) -> Result<Outcome<CallAnswer>, CallError> {
    let not_found = || CallError::NotFound(format!("{asked} answers no request {name}"));
    let callee = instance.account.callees.find(asked, &name).ok_or_else(not_found)?;
    let length = value.len();
    let id = hex::encode(instance.account.rng.generator().random::<[u8; 16]>());
    let told = PluginRequest { id: id.clone(), plugin: instance.plugin.clone(), name: name.clone(), value };
    let payload = Payload::PluginRequest(Arc::new(told));
    let event = Event { name: EventName::from("request"), at: instance.account.clock.now(), payload };
    let mail = instance.account.router.mail_for(callee.instance, event).ok_or_else(not_found)?;
    // Half of the mailbox is reserved for events that are not repeated.
    if !callee.mailbox.has_room_for_a_request() {
        return Err(busy(asked));
    }
    let Callee { waiting, time, longest, mailbox, .. } = &*callee;
    if length > *longest {
        return Err(CallError::OverLimit(format!("{longest} bytes of a request to {asked}")));
    }
    let unanswered = UnansweredRequest::begin(waiting, id, MOST).ok_or_else(|| busy(asked))?;
    let _waits = instance.waits_for_session();
    let (callees, pair) = (&instance.account.callees, (instance.plugin.clone(), asked.clone()));
    Ok(unanswered.ask_leaving(mailbox, mail, *time, |handled| callees.leave(pair, handled)).await)
}

fn busy(asked: &PluginId) -> CallError {
    CallError::OverLimit(format!("{MOST} requests, or too much else, wait for {asked}"))
}

/// Gives the answer to a request that this plugin received.
async fn give<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    call: CallName,
    id: &str,
    given: Result<CallAnswer, CallError>,
) -> Result<(), CallError> {
    let (instance, open) = caller(accessor, call)?;
    let granted = open.granted(Target::None)?;
    let given = given?;
    text("id", id, LONGEST)?;
    let not_found = || CallError::NotFound(format!("request {id}"));
    let waiting = instance.lasting.unanswered.calls();
    if !waiting.waits(id) {
        return Err(not_found());
    }
    let (Ok(content) | Err(content)) = &given;
    let _held = instance.hold(content.len())?;
    pace_order(&instance, &granted).await?;
    if waiting.answer(id, given) { Ok(()) } else { Err(not_found()) }
}

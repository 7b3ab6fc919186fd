//! A plugin that does what it is told, for the suite: one order, one call, one answer.
//!
//! The event `NAME.order` names a call and its arguments. What came of it goes out as `NAME.done`, under the order's number:
//! the result or the typed error, as JSON. What it hears by subscriptions and timers that it was told to set goes out as
//! `NAME.heard`, under the number of the order that set them. `NAME` is its setting `name`.
//!
//! With the setting `chat` it takes orders from chat messages instead, `call` and the JSON, and answers there: `done` or
//! `heard`, and the JSON.

mod call;
mod json;
mod memory;

use std::cell::RefCell;
use std::collections::BTreeMap;

use parlor_sdk::prelude::*;
use serde::Deserialize;

parlor_sdk::plugin!(start);

/// What it is told.
#[derive(Debug, Deserialize)]
struct Order {
    /// The answer carries it, too.
    n: u64,
    /// What to call, such as `chats.open`.
    call: String,
    /// With what.
    args: Value,
}

/// Something that goes on after the order was answered.
#[derive(Debug, Clone, Copy)]
enum Set {
    Subscription(listen::Subscription),
    Timer(timers::Timer),
}

thread_local! {
    /// What it heard by its setting `listens`, from before anybody could be told.
    static NOTED: RefCell<Vec<Value>> = const { RefCell::new(Vec::new()) };
    static NAME: RefCell<String> = const { RefCell::new(String::new()) };
    /// Who gives orders by chat, if anybody does.
    static MASTER: RefCell<Option<String>> = const { RefCell::new(None) };
    /// By the number of the order that set it.
    static SET: RefCell<BTreeMap<u64, Set>> = const { RefCell::new(BTreeMap::new()) };
}

async fn start() -> Result<()> {
    let name: String = settings::get_or("name", "caller".to_owned())?;
    if settings::get_or("chat", false)? {
        on("message").kind("chat").prefix("call ").run(obey_chat)?;
    } else {
        on(format!("{name}.order")).run(|Json(order): Json<Order>| obey(order))?;
    }
    NAME.set(name);
    for name in settings::get_or("listens", String::new())?.split(',').filter(|name| !name.is_empty()) {
        let note = |one: Event| async move {
            NOTED.with_borrow_mut(|noted| noted.push(json::event(&one)));
            Ok(())
        };
        let listen = match name.strip_suffix("+delayed") {
            Some(name) => on(name).with_delayed(),
            None => on(name),
        };
        match listen.run(note) {
            Err(error) if error.is_denied() => info!("not told of {name}: {error}"),
            other => other.map(drop)?,
        }
    }
    Ok(())
}

async fn obey(order: Order) -> Result<()> {
    let result = call::call(order.n, &order.call, &json::expanded(order.args)).await;
    let answer = match result {
        Ok(value) => json!({ "n": order.n, "ok": value }),
        Err(error) => json!({ "n": order.n, "err": json::error(&error) }),
    };
    tell("done", answer).await
}

async fn obey_chat(message: Message) -> Result<()> {
    let text = message.body.as_deref().and_then(|body| body.strip_prefix("call ")).unwrap_or_default();
    MASTER.set(Some(message.from.clone()));
    obey(Order::deserialize(text.parse::<Value>()?)?).await
}

/// To whoever gives the orders.
async fn tell(what: &str, json: Value) -> Result<()> {
    match MASTER.with_borrow(Clone::clone) {
        Some(master) => chats::send(master, format!("{what} {json}")).await.map(drop),
        None => emit(own(what), json).await,
    }
}

/// Says what it heard by what the order of this number set.
async fn heard(n: u64, event: Value) -> Result<()> {
    tell("heard", json!({ "n": n, "event": event })).await
}

fn own(what: &str) -> String {
    NAME.with_borrow(|name| format!("{name}.{what}"))
}

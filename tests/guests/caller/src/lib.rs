//! A plugin that follows orders, for the suite: each order is one call and gets one answer.
//!
//! The event `NAME.order` names a call and its arguments. The result or the typed error is fired as `NAME.done`, as
//! JSON with the order's number. Events of subscriptions and timers that an order set are fired as `NAME.heard`, with
//! the number of that order. `NAME` is the plugin's setting `name`.
//!
//! With the setting `chat` it takes orders from chat messages instead, `call` and the JSON, and answers there with
//! `done` or `heard` and the JSON.

mod call;
mod json;
mod memory;

use std::cell::RefCell;
use std::collections::BTreeMap;

use parlor_sdk::prelude::*;
use serde::Deserialize;

parlor_sdk::plugin!(start);

/// An order.
#[derive(Debug, Deserialize)]
struct Order {
    /// The number, which the answer repeats.
    n: u64,
    /// The call, such as `chats.open`.
    call: String,
    /// The arguments.
    args: Value,
}

/// A subscription or timer, which outlives the order that set it.
#[derive(Debug, Clone, Copy)]
enum Set {
    Subscription(listen::Subscription),
    Timer(timers::Timer),
}

thread_local! {
    /// The events that it heard by its setting `listens`, for a later order.
    static NOTED: RefCell<Vec<Value>> = const { RefCell::new(Vec::new()) };
    static NAME: RefCell<String> = const { RefCell::new(String::new()) };
    /// The person who gives orders by chat, if there is one.
    static MASTER: RefCell<Option<String>> = const { RefCell::new(None) };
    /// The subscriptions and timers, by the number of the order that set them.
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

/// Sends an answer to whoever gives the orders.
async fn tell(what: &str, json: Value) -> Result<()> {
    match MASTER.with_borrow(Clone::clone) {
        Some(master) => chats::send(master, format!("{what} {json}")).await.map(drop),
        None => emit(own(what), json).await,
    }
}

/// Reports an event of the subscription or timer that this order set.
async fn heard(n: u64, event: Value) -> Result<()> {
    tell("heard", json!({ "n": n, "event": event })).await
}

fn own(what: &str) -> String {
    NAME.with_borrow(|name| format!("{name}.{what}"))
}

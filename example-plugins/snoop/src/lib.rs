//! Tries what it was not granted, and reports how that ended: see the README.

use std::cell::Cell;
use std::rc::Rc;

use parlor_sdk::prelude::*;
use parlor_sdk::stanza::{self, Element, IqKind, ns};

parlor_sdk::plugin!(start);

async fn start() -> Result<()> {
    on("message").kind("chat").run(|message: Message| async move {
        match message.body.as_deref().unwrap_or_default().split_once(' ') {
            None if message.body.as_deref() == Some("snoop") => snoop(&message, &stranger()).await,
            Some(("snoop", victim)) => snoop(&message, victim).await,
            None if message.body.as_deref() == Some("spin") => spin(),
            _ => Ok(()),
        }
    })?;
    Ok(())
}

/// Somebody whom no owner would have granted by accident.
fn stranger() -> String {
    let own = user::bare_jid();
    let domain = own.split_once('@').map_or(own.as_str(), |(_, domain)| domain);
    format!("stranger@{domain}")
}

fn spin() -> Result<()> {
    loop {
        std::hint::black_box(());
    }
}

/// Reports to whoever asked, and counts.
struct Report<'a> {
    to: &'a Message,
    tries: u32,
    refused: u32,
}

impl Report<'_> {
    /// A call: an error is a refusal, and a result is what should not have been had.
    async fn call<T>(&mut self, what: &str, result: Result<T>) -> Result<()> {
        self.end(what, result.map(drop).err().map(|error| error.to_string())).await
    }

    async fn end(&mut self, what: &str, refusal: Option<String>) -> Result<()> {
        self.tries += 1;
        let outcome = match refusal {
            Some(reason) => {
                self.refused += 1;
                format!("refused: {reason}")
            }
            None => "got through".to_owned(),
        };
        chats::reply(self.to, format!("tried {what}: {outcome}")).await?;
        Ok(())
    }
}

async fn snoop(message: &Message, victim: &str) -> Result<()> {
    let mut report = Report { to: message, tries: 0, refused: 0 };
    secrets(&mut report).await?;
    stanzas(&mut report, victim).await?;
    people(&mut report, victim).await?;
    messages_of_others(&mut report, victim).await?;
    account(&mut report).await?;
    host(&mut report).await?;
    let Report { tries, refused, .. } = report;
    chats::reply(message, format!("snooped {tries} tries, {refused} refused")).await?;
    Ok(())
}

async fn secrets(report: &mut Report<'_>) -> Result<()> {
    for key in ["password", "jid"] {
        // A secret reads as absent even where the host's settings may be read.
        let refusal = match settings::get::<Value>(key) {
            Ok(None) => Some("there is none to see".to_owned()),
            Ok(Some(_)) => None,
            Err(error) => Some(error.to_string()),
        };
        report.end(&format!("reading the setting {key}"), refusal).await?;
    }
    Ok(())
}

async fn stanzas(report: &mut Report<'_>, victim: &str) -> Result<()> {
    let body = || Element::new("body").text("hello from nobody");
    report.call("sending a stanza", api::send(stanza::message().to(victim).child(body())).await).await?;
    let forged = stanza::message().to(victim).attr("from", "admin@example.org").child(body());
    report.call("a forged from", api::send(forged).await).await?;
    report.call("two stanzas in one", api::send("<presence/><presence type='unavailable'/>").await).await?;
    report.call("the end of the stream", api::send("</stream:stream>").await).await?;
    let roster = stanza::iq(IqKind::Get).child(Element::new("query").ns(ns::ROSTER));
    report.call("asking the server for the roster", api::send_iq(roster).await).await
}

async fn people(report: &mut Report<'_>, victim: &str) -> Result<()> {
    report.call("reading the roster", contacts::get_all()).await?;
    report.call("seeing whom this account talks to", chats::get(victim)).await?;
    let room = "hall@rooms.example.org";
    report.call("listing who is in a room", rooms::occupants(room)).await?;
    report.call("entering a room", rooms::open(room, rooms::Attributes::default()).await).await?;
    report.call("speaking in a room", rooms::send(room, "hello from nobody").await).await?;
    report.call(&format!("writing to {victim}"), chats::send(victim, "hello from nobody").await).await
}

async fn messages_of_others(report: &mut Report<'_>, victim: &str) -> Result<()> {
    for name in ["send", "contactPresenceChanged", "occupantJoined"] {
        let result = on(name).run(|_: Event| async { Ok(()) });
        if let Ok(subscription) = result {
            subscription.end()?;
        }
        report.call(&format!("listening to {name}"), result).await?;
    }

    // Subscribing is no harm by itself: what counts is whether anything comes.
    let heard = Rc::new(Cell::new(0_u32));
    let count = Rc::clone(&heard);
    let listening = on("message").from(victim).with_own().with_delayed().run(move |_: Message| {
        count.set(count.get() + 1);
        async { Ok(()) }
    });
    let refusal = match listening {
        Err(error) => Some(error.to_string()),
        Ok(subscription) => {
            timers::sleep(Duration::from_millis(300)).await;
            subscription.end()?;
            (heard.get() == 0).then(|| "nothing was heard".to_owned())
        }
    };
    report.end(&format!("listening to messages of {victim}"), refusal).await
}

async fn account(report: &mut Report<'_>) -> Result<()> {
    report.call("reading the own status", user::get_status()).await?;
    report.call("going offline", user::set_status("offline", Some("gone")).await).await?;
    report.call("cutting the connection", connection::disconnect().await).await
}

async fn host(report: &mut Report<'_>) -> Result<()> {
    report.call("firing the host's event connected", emit("connected", ()).await).await?;
    report.call("adding the host's promise connected", promises::add("connected").await).await?;
    report.call("rejecting the host's promise connected", promises::reject("connected", "no").await).await?;
    for key in ["whitelisted_plugins", "bosh_service_url"] {
        report.call(&format!("changing the operator's setting {key}"), settings::set(key, json!([])).await).await?;
    }
    Ok(())
}

//! A plugin that misbehaves on order, for the suite.
//!
//! Its setting `behaviour` names what it does without an order. It may be a [`Deed`], performed after the start;
//! `<deed>-on-event`, performed at each message; `initialize-…`, performed before the start; or `stop-…`, performed
//! when it is told to stop. The setting `watches` makes it log what it sees of a log-in. With any setting, the
//! chat message `do <deed>` makes it perform one at once, and `do ping` shows that it still runs.

mod deed;
mod wicked;

use std::cell::Cell;

use parlor_sdk::prelude::*;

use deed::{Deed, GO};

parlor_sdk::plugin!(start);

thread_local! {
    // The number of messages that this instance has seen; a fresh instance begins at zero.
    static SEEN: Cell<u64> = const { Cell::new(0) };
}

/// The parsed setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    Good,
    Initialize(Deed),
    Started(Deed),
    OnEvent(Deed),
    Watch,
    Stop(Deed),
}

impl Behaviour {
    fn parse(name: &str) -> Result<Self> {
        Ok(match name {
            "" => Self::Good,
            "initialize-fails" => Self::Initialize(Deed::Fail),
            "initialize-traps" => Self::Initialize(Deed::Trap),
            "initialize-traps-once" => Self::Initialize(Deed::TrapOnce),
            "initialize-spins" => Self::Initialize(Deed::Spin),
            "initialize-never-returns" => Self::Initialize(Deed::WaitForEver),
            "initialize-sleeps" => Self::Initialize(Deed::Sleep),
            "initialize-naps" => Self::Initialize(Deed::Nap),
            "initialize-lets-go" => Self::Initialize(Deed::LetGo),
            "initialize-adds-command" => Self::Initialize(Deed::AddCommand),
            "initialize-waits-for-roster" => Self::Initialize(Deed::WaitForRoster),
            "watches" => Self::Watch,
            "stop-traps" => Self::Stop(Deed::Trap),
            "stop-spins" => Self::Stop(Deed::Spin),
            "stop-waits-for-word" => Self::Stop(Deed::WaitForWord),
            "stop-lets-go" => Self::Stop(Deed::LetGo),
            "stop-never-returns" => Self::Stop(Deed::WaitForEver),
            name => match name.strip_suffix("-on-event") {
                Some(deed) => Self::OnEvent(deed.parse()?),
                None => Self::Started(name.parse()?),
            },
        })
    }
}

async fn start() -> Result<()> {
    let behaviour = Behaviour::parse(&settings::get_or("behaviour", String::new())?)?;
    if let Behaviour::Initialize(deed) = behaviour {
        deed.commit().await?;
    }
    if behaviour == Behaviour::Watch {
        for name in ["pluginsInitialized", "connectionInitialized", "connected", "initialized"] {
            on(name).run(move |_: Event| async move {
                info!("saw {name}");
                Ok(())
            })?;
        }
    }
    if let Behaviour::Stop(deed) = behaviour {
        if deed == Deed::LetGo {
            promises::add(GO).await?;
        }
        on_stop(move || async move { deed.commit().await.map(drop) });
    }
    // Some tests grant nothing at all.
    match on("message").run(move |message| handle(behaviour, message)) {
        Ok(_) => {}
        Err(error) if error.is_denied() => info!("nobody can tell it anything: {error}"),
        Err(error) => return Err(error),
    }
    if let Behaviour::Started(deed) = behaviour {
        spawn(async move {
            info!("{deed:?}: {}", deed.commit().await?);
            Ok(())
        });
    }
    info!("ready to misbehave: {behaviour:?}");
    Ok(())
}

async fn handle(behaviour: Behaviour, message: Message) -> Result<()> {
    SEEN.set(SEEN.get() + 1);
    if let Behaviour::OnEvent(deed) = behaviour {
        deed.commit().await?;
    }
    let Some(order) = message.body.as_deref().and_then(|body| body.strip_prefix("do ")) else { return Ok(()) };
    let answer = match order {
        "ping" => "pong".to_owned(),
        "seen" => format!("seen {}", SEEN.get()),
        "draw" => format!("drew {} {}", random(), random()),
        "flood-messages" => flood_messages(&message).await,
        order => match order.parse::<Deed>() {
            Ok(deed) => deed.commit().await?,
            Err(error) => error.to_string(),
        },
    };
    chats::reply(&message, answer).await?;
    Ok(())
}

/// Sends more messages than any limit lets through at once.
async fn flood_messages(to: &Message) -> String {
    for sent in 0..10_000_u32 {
        if let Err(error) = chats::reply(to, format!("flood {sent}")).await {
            return format!("flood-messages ended after {sent}: {error}");
        }
    }
    "flood-messages was not stopped".to_owned()
}

//! A plugin that misbehaves on order, for the suite.
//!
//! Its setting `behaviour` names what it does without an order. It may be an [`Action`], performed after the start;
//! `<action>-on-event`, performed at each message; `initialize-…`, performed before the start; or `stop-…`, performed
//! when it is told to stop. The setting `watches` makes it log what it sees of a log-in. With any setting, the
//! chat message `do <action>` makes it perform one at once, and `do ping` shows that it still runs.

mod action;
mod corrupt;

use std::cell::Cell;

use parlor_sdk::prelude::*;

use action::{Action, GO};

parlor_sdk::plugin!(start);

thread_local! {
    // The number of messages that this instance has seen; a fresh instance begins at zero.
    static SEEN: Cell<u64> = const { Cell::new(0) };
}

/// The parsed setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    Good,
    Initialize(Action),
    Started(Action),
    OnEvent(Action),
    Watch,
    Stop(Action),
}

impl Behaviour {
    fn parse(name: &str) -> Result<Self> {
        Ok(match name {
            "" => Self::Good,
            "initialize-fails" => Self::Initialize(Action::Fail),
            "initialize-traps" => Self::Initialize(Action::Trap),
            "initialize-traps-once" => Self::Initialize(Action::TrapOnce),
            "initialize-spins" => Self::Initialize(Action::Spin),
            "initialize-never-returns" => Self::Initialize(Action::WaitForEver),
            "initialize-sleeps" => Self::Initialize(Action::Sleep),
            "initialize-naps" => Self::Initialize(Action::Nap),
            "initialize-lets-go" => Self::Initialize(Action::LetGo),
            "initialize-adds-command" => Self::Initialize(Action::AddCommand),
            "initialize-waits-for-roster" => Self::Initialize(Action::WaitForRoster),
            "watches" => Self::Watch,
            "stop-traps" => Self::Stop(Action::Trap),
            "stop-spins" => Self::Stop(Action::Spin),
            "stop-waits-for-word" => Self::Stop(Action::WaitForWord),
            "stop-lets-go" => Self::Stop(Action::LetGo),
            "stop-never-returns" => Self::Stop(Action::WaitForEver),
            name => match name.strip_suffix("-on-event") {
                Some(action) => Self::OnEvent(action.parse()?),
                None => Self::Started(name.parse()?),
            },
        })
    }
}

async fn start() -> Result<()> {
    let behaviour = Behaviour::parse(&settings::get_or("behaviour", String::new())?)?;
    if let Behaviour::Initialize(action) = behaviour {
        action.commit().await?;
    }
    if behaviour == Behaviour::Watch {
        for name in ["pluginsInitialized", "connectionInitialized", "connected", "initialized"] {
            on(name).run(move |_: Event| async move {
                info!("saw {name}");
                Ok(())
            })?;
        }
    }
    if let Behaviour::Stop(action) = behaviour {
        if action == Action::LetGo {
            promises::add(GO).await?;
        }
        on_stop(move || async move { action.commit().await.map(drop) });
    }
    // Some tests grant nothing at all.
    match on("message").run(move |message| handle(behaviour, message)) {
        Ok(_) => {}
        Err(error) if error.is_denied() => info!("nobody can tell it anything: {error}"),
        Err(error) => return Err(error),
    }
    if let Behaviour::Started(action) = behaviour {
        spawn(async move {
            info!("{action:?}: {}", action.commit().await?);
            Ok(())
        });
    }
    info!("ready to misbehave: {behaviour:?}");
    Ok(())
}

async fn handle(behaviour: Behaviour, message: Message) -> Result<()> {
    SEEN.set(SEEN.get() + 1);
    if let Behaviour::OnEvent(action) = behaviour {
        action.commit().await?;
    }
    let Some(order) = message.body.as_deref().and_then(|body| body.strip_prefix("do ")) else { return Ok(()) };
    let answer = match order {
        "ping" => "pong".to_owned(),
        "seen" => format!("seen {}", SEEN.get()),
        "draw" => format!("drew {} {}", random(), random()),
        "flood-messages" => flood_messages(&message).await,
        order => match order.parse::<Action>() {
            Ok(action) => action.commit().await?,
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

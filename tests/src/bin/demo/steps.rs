//! The steps of the conversation. Each step asserts what it shows.

mod web;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use parlor_tests::client::body;
use parlor_tests::host::Host;
use tokio::time::MissedTickBehavior;
use tokio_xmpp::Stanza;
use xmpp_parsers::presence::Type as PresenceType;

use crate::report::Report;
use crate::stage::{SOON, Stage};

/// The interval between messages while the spinner spins.
const PACE: Duration = Duration::from_millis(100);
/// How long it may take until a spinner is ended: on a busy machine it may wait for its turn.
const SPIN: Duration = Duration::from_mins(1);

/// Runs all steps but the shutdown.
pub(crate) async fn converse(stage: &mut Stage, report: &mut Report) -> Result<()> {
    report.step("echo answers in a chat", chat_echo(stage)).await?;
    report.step("echo answers in a room", room_echo(stage)).await?;
    report.step("greeter greets who enters the room", greeting(stage)).await?;
    report.step("a promise is awaited before it is resolved", promise_before(stage)).await?;
    report.step("and after, at once", promise_after(stage)).await?;
    report.step("snoop is refused at each try, and never sees a password", snoop(stage)).await?;
    report.step("snoop is ended in its endless loop while echo answers on", spin(stage)).await?;
    report.step("a swapped .wasm is refused by its digest, and runs nothing", swap(stage)).await?;
    report.step("a plugin asks a web server with a token that it cannot see", web::request(stage)).await?;
    report.step("a signed webhook reaches a plugin, and a forged one nobody", web::webhook(stage)).await?;
    report.step("a plugin is removed and added while the stream stays up", remove_and_add(stage)).await
}

async fn chat_echo(stage: &mut Stage) -> Result<String> {
    let text = "But soft, what light through yonder window breaks? <&>";
    echo(stage, text).await?;
    Ok(format!("\"{text}\""))
}

/// Sends a message to the bot and waits for the same text.
async fn echo(stage: &mut Stage, text: &str) -> Result<()> {
    let bot = &stage.bot.jid;
    stage.juliet.chat(bot.clone(), text).await?;
    stage.juliet.wait_body(bot, text, SOON).await
}

async fn room_echo(stage: &mut Stage) -> Result<String> {
    let Stage { juliet, room, .. } = stage;
    juliet.say(room, "echo Romeo, Romeo").await?;
    // A room also reflects the speaker's own message; only the bot's counts.
    let bot = format!("{room}/bot");
    let heard = juliet
        .wait_for("the bot's answer in the room", SOON, |stanza| match stanza {
            Stanza::Message(message) if message.from.as_ref().is_some_and(|from| from.as_str() == bot) => {
                body(message).filter(|text| text.contains("Romeo, Romeo")).map(str::to_owned)
            }
            _ => None,
        })
        .await?;
    Ok(format!("\"{heard}\""))
}

async fn greeting(stage: &mut Stage) -> Result<String> {
    let Stage { juliet, romeo, room, .. } = stage;
    romeo.join(room, "romeo", SOON).await?;
    let welcome = |text: &str| (text.contains("Welcome") && text.contains("romeo")).then(|| text.to_owned());
    let text = juliet.wait_text("a greeting of romeo", room, SOON, welcome).await?;
    Ok(format!("\"{text}\""))
}

/// Returns the message that greeter sends when its promise is resolved.
fn resolved(text: &str) -> Option<String> {
    text.starts_with("resolved:").then(|| text.to_owned())
}

async fn promise_before(stage: &mut Stage) -> Result<String> {
    // Once echo has answered, the plugins have the message. Nothing can be resolved yet.
    echo(stage, "await").await?;
    let Stage { juliet, bot, .. } = stage;
    juliet.catch_up(SOON).await?;
    let early = juliet
        .received()
        .iter()
        .any(|stanza| matches!(stanza, Stanza::Message(message) if body(message).and_then(resolved).is_some()));
    ensure!(!early, "the promise was resolved before anyone did it");
    juliet.chat(bot.jid.clone(), "resolve").await?;
    juliet.wait_text("the promise, resolved", &bot.jid, SOON, resolved).await
}

async fn promise_after(stage: &mut Stage) -> Result<String> {
    let Stage { juliet, bot, .. } = stage;
    juliet.chat(bot.jid.clone(), "await").await?;
    juliet.wait_text("the promise, resolved already", &bot.jid, SOON, resolved).await
}

async fn snoop(stage: &mut Stage) -> Result<String> {
    let Stage { juliet, bot, host, romeo, .. } = stage;
    juliet.chat(bot.jid.clone(), "snoop").await?;
    let (tries, refused) = juliet.wait_text("the end of snoop's tries", &bot.jid, SOON, summary).await?;
    let is_try = |stanza: &&Stanza| matches!(stanza, Stanza::Message(message) if body(message).is_some_and(|text| text.starts_with("tried ")));
    let seen = juliet.received().iter().filter(is_try).count();
    ensure!(tries > 0 && refused == tries, "snoop got through: {refused} of {tries} tries were refused");
    ensure!(seen == tries, "snoop spoke of {tries} tries and told {seen}");
    for (whose, lines) in
        [("juliet", juliet.received_xml()), ("romeo", romeo.received_xml()), ("the log", host.log().all())]
    {
        ensure!(lines.iter().all(|line| !line.contains(&bot.password)), "the bot's password reached {whose}");
    }
    Ok(format!("{refused} of {tries} tries refused"))
}

/// Parses `snooped N tries, M refused`.
fn summary(text: &str) -> Option<(usize, usize)> {
    let (tries, refused) = text.strip_prefix("snooped ")?.split_once(" tries, ")?;
    Some((tries.parse().ok()?, refused.split_whitespace().next()?.parse().ok()?))
}

async fn spin(stage: &mut Stage) -> Result<String> {
    let ended = count(&stage.host, "plugin ended", "snoop");
    stage.juliet.chat(stage.bot.jid.clone(), "spin").await?;
    let start = Instant::now();
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut answers, mut slowest) = (0, Duration::ZERO);
    while count(&stage.host, "plugin ended", "snoop") == ended {
        ensure!(start.elapsed() < SPIN, "snoop spins still, after {SPIN:?}");
        pace.tick().await;
        let begin = Instant::now();
        echo(stage, &format!("still there? {answers}")).await.context("echo does not answer while snoop spins")?;
        slowest = slowest.max(begin.elapsed());
        answers += 1;
    }
    ensure!(answers >= 3, "snoop was ended before echo could show that it answers on: {answers} answers");
    let line = stage.host.wait_count("plugin ended", &[("plugin", "snoop")], ended + 1, SOON).await?;
    let slowest = slowest.as_secs_f64() * 1e3;
    Ok(format!("{answers} answers meanwhile, the slowest after {slowest:.1} ms; snoop: {}", line.get("reason")))
}

async fn swap(stage: &mut Stage) -> Result<String> {
    let plugin = [("plugin", "greeter")];
    let (ended, refused) =
        (count(&stage.host, "plugin stopped", "greeter"), count(&stage.host, "plugin refused", "greeter"));
    let runs = count(&stage.host, "plugin running", "greeter");
    let file = stage.home.path().join("plugins/greeter.wasm");
    let approved = std::fs::read(&file).context("cannot read greeter's file")?;
    // Another plugin's file is whole and valid, but not the one that the owner approved.
    let other = std::fs::read(stage.home.path().join("plugins/echo.wasm")).context("cannot read echo's file")?;
    stage.home.replace("greeter", &other)?;
    stage.host.reload()?;
    let line = stage.host.wait_count("plugin refused", &plugin, refused + 1, SOON).await?;
    let reason = line.get("reason");
    ensure!(reason.contains("digest"), "it was refused for another reason: {reason}");
    stage.host.wait_count("plugin stopped", &plugin, ended + 1, SOON).await?;
    let answers = answers_of_greeter(stage);
    echo(stage, "await").await?;
    stage.juliet.catch_up(SOON).await?;
    ensure!(answers_of_greeter(stage) == answers, "greeter still answers");
    stage.home.replace("greeter", &approved)?;
    stage.host.reload()?;
    stage.host.wait_count("plugin running", &plugin, runs + 1, SOON).await?;
    Ok(reason)
}

fn answers_of_greeter(stage: &Stage) -> usize {
    let answers =
        |stanza: &&Stanza| matches!(stanza, Stanza::Message(message) if body(message).and_then(resolved).is_some());
    stage.juliet.received().iter().filter(answers).count()
}

async fn remove_and_add(stage: &mut Stage) -> Result<String> {
    let plugin = [("plugin", "echo")];
    let (ended, runs) = (count(&stage.host, "plugin stopped", "echo"), count(&stage.host, "plugin running", "echo"));
    stage.home.set_policy(&stage.policy.clone().without("echo"))?;
    stage.host.reload()?;
    stage.host.wait_count("plugin stopped", &plugin, ended + 1, SOON).await?;
    let unheard = "Wherefore art thou?";
    stage.juliet.chat(stage.bot.jid.clone(), unheard).await?;
    // Another plugin's answer shows that the account is connected and that the earlier message has been delivered.
    let Stage { juliet, bot, room, .. } = stage;
    juliet.chat(bot.jid.clone(), "resolve").await?;
    juliet.chat(bot.jid.clone(), "await").await?;
    juliet.wait_text("greeter's answer while echo is away", &bot.jid, SOON, resolved).await?;
    let heard = juliet
        .received()
        .iter()
        .any(|stanza| matches!(stanza, Stanza::Message(message) if body(message) == Some(unheard)));
    ensure!(!heard, "echo answers although it was removed");

    stage.home.set_policy(&stage.policy)?;
    stage.host.reload()?;
    stage.host.wait_count("plugin running", &plugin, runs + 1, SOON).await?;
    let occupant = format!("{room}/bot");
    echo(stage, "Good night, good night").await?;
    let log_ins = stage.host.lines("account connected", &[]).len();
    ensure!(log_ins == 1, "the account logged in {log_ins} times");
    ensure!(!was_unavailable(stage, &occupant), "the bot left the room meanwhile");
    Ok("one log-in all along".to_owned())
}

fn was_unavailable(stage: &Stage, occupant: &str) -> bool {
    stage.juliet.received().iter().any(|stanza| is_unavailable(stanza, occupant))
}

fn is_unavailable(stanza: &Stanza, occupant: &str) -> bool {
    matches!(stanza, Stanza::Presence(presence) if presence.type_ == PresenceType::Unavailable
        && presence.from.as_ref().is_some_and(|from| from.as_str() == occupant))
}

/// Shuts the host down, as a service manager would.
pub(crate) async fn stop(mut stage: Stage, report: &mut Report) -> Result<()> {
    report
        .step("the host stops cleanly", async {
            let occupant = format!("{}/bot", stage.room);
            let status = stage.host.stop(SOON).await?;
            ensure!(status.success(), "`parlor run` ended with {status}\n{}", stage.host.log().tail());
            stage.host.wait_count("stopped cleanly", &[], 1, SOON).await?;
            let gone = |stanza: &Stanza| is_unavailable(stanza, &occupant).then_some(());
            stage.juliet.wait_for("the bot's good-bye", SOON, gone).await?;
            // Everything is dropped now, in order: clients, host, server, folders.
            drop(stage);
            Ok("exit code 0, good-bye seen")
        })
        .await
}

/// Returns how many lines of the log have this message about a plugin.
fn count(host: &Host, message: &str, plugin: &str) -> usize {
    host.lines(message, &[("plugin", plugin)]).len()
}

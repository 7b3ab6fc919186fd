//! Changes of an owner on the pages: each asks first, takes effect at once, and is in the audit with the session.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use parlor_tests::clerk::{ASKED, ID, KEPT, SCHEDULE, VERSIONS};
use parlor_tests::plugins;
use xmpp_parsers::presence::Presence;

use crate::stage::{SOON, Stage};
use crate::steps::{Act, act};

/// Every act with its name. Each leaves the host as it was.
pub(crate) const ALL: &[(&str, Act)] = &[
    act!("a plugin is restarted, and not by looking at the question", restart),
    act!("a plugin is disabled and enabled", disable),
    act!("a setting is changed, and one that does not fit is refused", setting),
    act!("a secret is kept, and shown nowhere", secret),
    act!("a grant is given and taken back", grant),
    act!("a schedule is paused, and goes on", schedule),
    act!("a plugin is updated, and rolled back", update),
    act!("a plugin is installed from a file, after consent, and removed", install),
    act!("a room is entered and left", room),
    act!("a room that the account is out of is taken off the list", dismissed),
    act!("an account is found by its state and address, and leads to its rooms and back", account),
    act!("plugins, rooms and contacts are found by their words, and lead to their account", lists),
    act!("a person who asks to be a contact is denied, and can ask again", contact),
    act!("what a plugin keeps is looked at, down to a value", storage),
    act!("an account logs in for the doctor", doctor),
    act!("a key of somebody is trusted and distrusted", decides),
    act!("new keys are made after a question", keys),
];

/// Acts that only scripts make possible.
pub(crate) const WITH_SCRIPTS: &[(&str, Act)] = &[
    act!("a page changes by itself when something changes", live),
    act!("a person stops the changes of a page, and lets them go on", paused),
];

/// Opens the plugin's page.
async fn the_plugin(stage: &Stage) -> Result<()> {
    stage.open(&format!("/plugins/{ID}")).await
}

/// Returns the selector of a form's button, by the form's target path.
pub(crate) fn button(path: &str) -> String {
    format!("form[action='{path}'] button[type=submit]")
}

/// Returns the selector of the button of one of the plugin's forms.
fn own(change: &str) -> String {
    button(&format!("/plugins/{ID}/{change}"))
}

/// Returns the selector of one of the plugin's forms.
fn form_of(change: &str) -> String {
    format!("form[action='/plugins/{ID}/{change}']")
}

/// Checks that the audit has a change with this text that was made from the pages, more often than before.
pub(crate) async fn is_in_the_audit(stage: &Stage, what: &str, before: usize) -> Result<()> {
    let now = by_web(stage, what).await?;
    ensure!(now > before, "the audit has no {what:?} from the pages");
    Ok(())
}

/// Counts the entries of the audit of this kind, or with this text, that were made from the pages.
pub(crate) async fn by_web(stage: &Stage, what: &str) -> Result<usize> {
    let finished = stage.home.run(&["audit", "--json", "--lines", "10000"]).await?;
    let audit = finished.json()?;
    let entries = audit["entries"].as_array().context("no entries")?;
    let is_it = |entry: &&serde_json::Value| {
        let is_about = entry["kind"] == what || entry["what"].as_str().is_some_and(|text| text.contains(what));
        entry["way"] == "parlor web" && is_about
    };
    Ok(entries.iter().filter(is_it).count())
}

async fn restart(stage: &mut Stage) -> Result<String> {
    let before = by_web(stage, "restarted").await?;
    the_plugin(stage).await?;
    stage.browser.press(&own("restart")).await?;
    stage.browser.is_well_made().await?;
    stage.browser.press("#back").await?;
    ensure!(by_web(stage, "restarted").await? == before, "the question alone restarts it");
    stage.browser.press(&own("restart")).await?;
    stage.agrees(&[ID]).await?;
    let says = stage.notice().await?;
    is_in_the_audit(stage, "restarted", before).await?;
    Ok(says)
}

async fn disable(stage: &mut Stage) -> Result<String> {
    let before = by_web(stage, "enabled").await?;
    the_plugin(stage).await?;
    stage.browser.press(&own("disable")).await?;
    stage.agrees(&[ID]).await?;
    stage.notice().await?;
    ensure!(stage.state(ID).await? == "disabled", "it goes on");
    stage.browser.press(&own("enable")).await?;
    stage.agrees(&[ID]).await?;
    let says = stage.notice().await?;
    ensure!(stage.state(ID).await? == "running", "it does not run");
    is_in_the_audit(stage, "enabled", before + 1).await?;
    Ok(says)
}

async fn setting(stage: &mut Stage) -> Result<String> {
    let before = by_web(stage, "setting greeting").await?;
    let field = |name: &str| format!("form[action='/plugins/{ID}/settings'] [name='set.{name}']");
    the_plugin(stage).await?;
    stage.browser.fill(&field("fraction"), "many").await?;
    stage.browser.press(&own("settings")).await?;
    stage.browser.has("#problem").await.context("a number is a word")?;
    // The status of that page is an error of the network, for Chromium.
    stage.browser.forget_console().await?;
    let is_kept = stage.browser.has(&format!("{}[value='many']", field("fraction"))).await;
    is_kept.context("what was typed is gone")?;
    stage.browser.is_well_made().await?;
    let greeting = format!("good day {:04x}", rand::random::<u16>());
    the_plugin(stage).await?;
    stage.browser.fill(&field("greeting"), &greeting).await?;
    stage.browser.press(&own("settings")).await?;
    stage.browser.is_well_made().await?;
    stage.agrees(&[&greeting]).await?;
    stage.notice().await?;
    let shown = stage.parlor(&["plugin", "config", ID]).await?;
    ensure!(shown.contains(&greeting), "{shown}");
    is_in_the_audit(stage, "setting greeting", before).await?;
    Ok(greeting)
}

async fn secret(stage: &mut Stage) -> Result<String> {
    let stored = "the secret token was stored";
    let before = by_web(stage, stored).await?;
    let text = format!("canary-{:08x}", rand::random::<u32>());
    let form = format!("{}:has(input[name=name][value=token])", form_of("secret"));
    the_plugin(stage).await?;
    stage.browser.fill(&format!("{form} input[name=secret]"), &text).await?;
    stage.browser.press(&format!("{form} input[name=agreed]")).await?;
    stage.browser.press(&format!("{form} button[type=submit]")).await?;
    let says = stage.notice().await?;
    ensure!(!stage.browser.source().await?.contains(&text), "the secret is on the page");
    is_in_the_audit(stage, stored, before).await?;
    Ok(says)
}

async fn schedule(stage: &mut Stage) -> Result<String> {
    let before = by_web(stage, SCHEDULE).await?;
    for (change, state) in [("pause", "paused"), ("resume", "waits")] {
        the_plugin(stage).await?;
        let form = format!("{}:has(input[value='{SCHEDULE}'])", form_of("schedule"));
        stage.browser.press(&format!("{form}:has(input[value='{change}']) button[type=submit]")).await?;
        stage.browser.is_well_made().await?;
        stage.agrees(&[SCHEDULE, "main"]).await?;
        stage.notice().await?;
        let shown = stage.parlor(&["plugin", "schedules", ID]).await?;
        let line = shown.lines().find(|line| line.starts_with(SCHEDULE)).with_context(|| shown.clone())?;
        ensure!(line.contains(state), "after {change}: {line}");
    }
    is_in_the_audit(stage, SCHEDULE, before + 1).await?;
    Ok(SCHEDULE.to_owned())
}

/// The permission that is granted and taken back.
const GRANTED: &str = "contacts.read";

async fn grant(stage: &mut Stage) -> Result<String> {
    let before = by_web(stage, GRANTED).await?;
    for (change, is_granted) in [("grant", true), ("revoke", false)] {
        the_plugin(stage).await?;
        if is_granted {
            // The permissions that it does not have are folded.
            stage.browser.press("#more > summary").await?;
        }
        let form = format!("form[action='/plugins/{ID}/{change}']:has(input[value='{GRANTED}'])");
        stage.browser.press(&format!("{form} button[type=submit]")).await?;
        stage.browser.is_well_made().await?;
        stage.agrees(&[GRANTED, "contact list"]).await?;
        stage.notice().await?;
        let policy: toml::Table = std::fs::read_to_string(stage.home.path().join("plugins.toml"))?.parse()?;
        let written = policy["plugin"][ID]["grants"].get(GRANTED).is_some();
        ensure!(written == is_granted, "after {change}: {policy:?}");
    }
    is_in_the_audit(stage, GRANTED, before + 1).await?;
    Ok(GRANTED.to_owned())
}

async fn update(stage: &mut Stage) -> Result<String> {
    let before = by_web(stage, "version").await?;
    let [present, next] = VERSIONS;
    the_plugin(stage).await?;
    stage.look_for_an_update().await?;
    stage.browser.is_well_made().await?;
    // A grant of an earlier update counts again.
    let more = format!("input[name=grant][value='{ASKED}']");
    if stage.browser.count(&more).await? > 0 {
        ensure!(stage.browser.count("input[name=grant]:checked").await? == 0, "more is granted before anybody said so");
        stage.browser.press(&more).await?;
    }
    stage.agrees(&[present, next]).await?;
    let says = stage.notice().await?;
    ensure!(says.contains(&format!("{present} is replaced by {next}")), "{says}");
    stage.browser.press(&own("rollback")).await?;
    stage.browser.is_well_made().await?;
    stage.agrees(&[present, next]).await?;
    let says = stage.notice().await?;
    ensure!(says.contains(&format!("{next} is replaced by {present}")), "{says}");
    ensure!(stage.state(ID).await? == "running", "it does not run");
    is_in_the_audit(stage, "version", before + 1).await?;
    Ok(format!("{present} → {next} → {present}"))
}

async fn room(stage: &mut Stage) -> Result<String> {
    let lost = stage.lost.to_string();
    let before = by_web(stage, &lost).await?;
    stage.open("/rooms").await?;
    stage.browser.fill("form[action='/rooms/join'] input[name=room]", &lost).await?;
    stage.browser.press(&button("/rooms/join")).await?;
    stage.agrees(&[&lost]).await?;
    stage.notice().await?;
    ensure!(stage.parlor(&["rooms", "show", &lost]).await?.contains("state: joined"), "the account is not in it");
    let name = lost.split('@').next().unwrap_or_default();
    stage.browser.press(&format!("main a[href*='{name}']")).await?;
    stage.browser.press(&button("/rooms/leave")).await?;
    stage.agrees(&[&lost]).await?;
    stage.notice().await?;
    ensure!(stage.parlor(&["rooms", "show", &lost]).await?.contains("state: out"), "the account is still in it");
    is_in_the_audit(stage, &lost, before + 1).await?;
    Ok(lost)
}

async fn dismissed(stage: &mut Stage) -> Result<String> {
    let mistyped = "mistyped@nowhere.invalid";
    let entered = stage.home.run(&["rooms", "join", mistyped]).await?;
    ensure!(entered.code == Some(1), "there is such a room: {entered:?}");
    let off = format!("the room {mistyped} was taken off the list");
    let before = by_web(stage, &off).await?;
    stage.open("/rooms?state=out").await?;
    stage.browser.press("main a[href*='mistyped']").await?;
    stage.browser.is_well_made().await?;
    stage.browser.press(&button("/rooms/dismiss")).await?;
    stage.agrees(&[mistyped]).await?;
    let says = stage.notice().await?;
    ensure!(!stage.parlor(&["rooms"]).await?.contains(mistyped), "it is still on the list");
    is_in_the_audit(stage, &off, before).await?;
    Ok(says)
}

async fn account(stage: &mut Stage) -> Result<String> {
    let (bot, room) = (stage.bot.to_string(), stage.clerk.room.to_string());
    stage.open("/").await?;
    stage.browser.press("main a[href='/accounts']").await?;
    stage.browser.fill("main input[name=words]", &bot).await?;
    stage.browser.run("document.querySelector('select[name=state]').value = 'connected'").await?;
    stage.browser.press("main form button").await?;
    stage.browser.shows(&["1 to 1 of 1", &bot, "connected"]).await?;
    stage.browser.is_well_made().await?;
    stage.browser.press("main a[href^='/accounts/show']").await?;
    stage.browser.shows(&["Account main", &bot, ID, &room]).await?;
    let name = room.split('@').next().unwrap_or_default();
    stage.browser.press(&format!("main a[href*='{name}']")).await?;
    stage.browser.shows(&[&room, "Nickname"]).await?;
    stage.browser.press("main a[href^='/accounts/show']").await?;
    stage.browser.shows(&["Account main"]).await?;
    Ok(bot)
}

async fn lists(stage: &mut Stage) -> Result<String> {
    let (room, person) = (stage.clerk.room.to_string(), stage.juliet.jid().to_bare().to_string());
    for (path, words) in [("/plugins", ID), ("/rooms", room.as_str()), ("/contacts", person.as_str())] {
        stage.open(path).await?;
        stage.browser.fill("main input[name=words]", words).await?;
        stage.browser.press("main form[method=get] button").await?;
        stage.browser.shows(&["1 to 1 of 1", words]).await?;
        stage.browser.is_well_made().await?;
        stage.open(&format!("{path}?account=main&words=nobody")).await?;
        stage.browser.shows(&["is like that."]).await?;
    }
    stage.open("/contacts").await?;
    stage.browser.press("main a[href^='/accounts/show']").await?;
    stage.browser.shows(&["Account main"]).await?;
    stage.browser.press("main a[href^='/contacts']").await?;
    stage.browser.shows(&["1 to 1 of 1", &person]).await?;
    Ok(person)
}

/// Returns whether somebody asks to be a contact of the account.
async fn is_asked(stage: &Stage) -> Result<bool> {
    let all: serde_json::Value = serde_json::from_str(&stage.parlor(&["contacts", "--json"]).await?)?;
    let contacts = all[0]["contacts"].as_array().with_context(|| format!("no contacts in {all}"))?;
    Ok(contacts.iter().any(|one| one["asks"] == true))
}

async fn contact(stage: &mut Stage) -> Result<String> {
    let person = stage.juliet.jid().to_bare();
    let what = format!("the request of {person} to be a contact was denied");
    let before = by_web(stage, &what).await?;
    stage.open("/contacts").await?;
    stage.browser.is_well_made().await?;
    stage.browser.press(&button("/contacts/deny")).await?;
    stage.browser.is_well_made().await?;
    stage.agrees(&[person.as_str(), "main"]).await?;
    let says = stage.notice().await?;
    ensure!(!is_asked(stage).await?, "the request is still there");
    is_in_the_audit(stage, &what, before).await?;
    stage.juliet.send(Presence::subscribe().with_to(stage.bot.clone())).await?;
    let begin = Instant::now();
    while !is_asked(stage).await? {
        ensure!(begin.elapsed() < SOON, "another request does not arrive");
    }
    Ok(says)
}

async fn storage(stage: &mut Stage) -> Result<String> {
    stage.open(&format!("/plugins/{ID}/storage")).await?;
    stage.browser.shows(&KEPT).await?;
    stage.browser.press(&format!("main a[href*='key={}']", KEPT[0])).await?;
    stage.browser.shows(&KEPT).await?;
    stage.browser.is_well_made().await?;
    Ok(KEPT.join(": "))
}

async fn doctor(stage: &mut Stage) -> Result<String> {
    stage.open("/doctor").await?;
    stage.browser.press(&button("/doctor")).await?;
    stage.browser.shows(&["main"]).await?;
    stage.browser.is_well_made().await?;
    Ok("the account logs in".to_owned())
}

/// Returns what is decided about the key of another person that the account knows.
async fn decision(stage: &Stage) -> Result<String> {
    let all: serde_json::Value = serde_json::from_str(&stage.parlor(&["keys", "list", "--json"]).await?)?;
    let trust = all[0]["keys"][0]["trust"].as_str();
    Ok(trust.with_context(|| format!("no key in {all}"))?.to_owned())
}

async fn decides(stage: &mut Stage) -> Result<String> {
    let before = by_web(stage, "pin").await?;
    for (change, wanted) in [("trust", "trusted"), ("distrust", "distrusted")] {
        stage.open("/keys").await?;
        stage.browser.press("main a[href^='/keys/show']").await?;
        let form = format!("form[action='/keys/{change}']:has(input[name=fingerprint])");
        stage.browser.press(&format!("{form} button[type=submit]")).await?;
        stage.browser.is_well_made().await?;
        stage.agrees(&["main", "nurse"]).await?;
        stage.notice().await?;
        let now = decision(stage).await?;
        ensure!(now == wanted, "after {change} it is {now}");
    }
    is_in_the_audit(stage, "pin", before + 1).await?;
    Ok("trusted, distrusted".to_owned())
}

async fn keys(stage: &mut Stage) -> Result<String> {
    let before = stage.parlor(&["keys", "fingerprint"]).await?;
    stage.open("/keys").await?;
    stage.browser.press(&button("/keys/reset")).await?;
    stage.browser.is_well_made().await?;
    stage.agrees(&["main"]).await?;
    let says = stage.notice().await?;
    ensure!(stage.parlor(&["keys", "fingerprint"]).await? != before, "the keys are those of before");
    Ok(says)
}

async fn install(stage: &mut Stage) -> Result<String> {
    let id = format!("parrot-{:04x}", rand::random::<u16>());
    let file = stage.home.path().join(format!("{id}.wasm"));
    std::fs::write(&file, plugins::built("echo")?.bytes()?)?;
    stage.open("/").await?;
    stage.browser.press("nav a[href='/install']").await?;
    stage.browser.type_into("input[type=file]", &file.display().to_string()).await?;
    stage.browser.press(&button("/install/file")).await?;
    // It is examined meanwhile, and the page refreshes automatically.
    stage.browser.shows(&["messages.read", "to hear what people say"]).await?;
    stage.browser.is_well_made().await?;
    consents(stage, &id).await?;
    Ok(id)
}

/// Decides on the page of an offered echo, which is installed under this id, and removed again.
pub(crate) async fn consents(stage: &Stage, id: &str) -> Result<()> {
    let granted = stage.browser.count("input[name=grant]:checked").await?;
    ensure!(granted == 0, "{granted} permissions are granted before anybody said so");
    stage.browser.fill("input[name=id]", id).await?;
    let needs = ["messages.read", "messages.send", "rooms.send"];
    for permission in needs {
        stage.browser.press(&format!("input[name=grant][value='{permission}']")).await?;
    }
    stage.browser.press("main form:not([action$='/cancel']) button[type=submit]").await?;
    stage.agrees(&[id]).await?;
    // While it is at work the page says something like it.
    stage.browser.shows(&[&format!("{id} 0.1.0 is installed")]).await?;
    let text = std::fs::read_to_string(stage.home.path().join("plugins.toml"))?;
    let policy: toml::Table = text.parse().context("the policy")?;
    let entry = policy["plugin"].get(id).context("no entry")?;
    let grants = entry["grants"].as_table().context("no grants")?;
    let names: Vec<_> = grants.keys().map(String::as_str).collect();
    ensure!(names == needs, "{names:?} are granted");
    is_in_the_audit(stage, "installed", 0).await?;
    stage.open(&format!("/plugins/{id}")).await?;
    stage.browser.press(&button(&format!("/plugins/{id}/remove"))).await?;
    stage.agrees(&[id]).await?;
    stage.notice().await?;
    ensure!(stage.state(id).await.is_err(), "it is still there");
    Ok(())
}

/// Returns a script for the row of the plugin on the page of plugins.
fn row() -> String {
    format!(
        "return [...document.querySelectorAll('main tr, main li')].map(row => row.innerText)
            .find(text => text.includes('{ID}')) ?? ''"
    )
}

async fn live(stage: &mut Stage) -> Result<String> {
    stage.open("/plugins").await?;
    stage.browser.run("window.sameDocument = true").await?;
    for (command, word) in [("disable", "disabled"), ("enable", "running")] {
        stage.parlor(&["plugin", command, ID]).await?;
        stage.browser.waits(&row(), |text| text.as_str().is_some_and(|text| text.contains(word))).await?;
    }
    let same = stage.browser.run("return window.sameDocument === true").await?;
    ensure!(same == true, "the whole page was loaded again");
    stage.browser.console().await?;
    Ok("disabled, running".to_owned())
}

async fn paused(stage: &mut Stage) -> Result<String> {
    stage.open("/plugins").await?;
    stage.browser.press("#pause").await?;
    stage.browser.has("#pause[aria-pressed=true]").await?;
    stage.browser.is_well_made().await?;
    // The browser is told of the change as before, and the page takes nothing of it.
    let told = "window.told = new Promise(done => {
        const events = new EventSource('/live');
        events.addEventListener('changed', () => { events.close(); done(true); });
        events.addEventListener('open', () => { window.isOpen = true; });
    })";
    stage.browser.run(&format!("{told}; return true")).await?;
    stage.browser.waits("return window.isOpen === true", |is_open| *is_open == true).await?;
    stage.parlor(&["plugin", "disable", ID]).await?;
    stage.browser.run("return window.told.then(() => fetch(location.href)).then(() => true)").await?;
    let shown = stage.browser.run(&row()).await?;
    ensure!(shown.as_str().is_some_and(|text| text.contains("running")), "it changed all the same: {shown}");
    // That is kept for the next page of the tab.
    stage.open("/").await?;
    stage.browser.has("#pause[aria-pressed=true]").await?;
    stage.browser.press("#pause").await?;
    stage.browser.has("#pause[aria-pressed=false]").await?;
    stage.open("/plugins").await?;
    stage.parlor(&["plugin", "enable", ID]).await?;
    stage.browser.waits(&row(), |text| text.as_str().is_some_and(|text| text.contains("running"))).await?;
    Ok("stopped, and going on".to_owned())
}

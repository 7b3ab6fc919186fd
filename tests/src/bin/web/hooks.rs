//! Webhooks of a plugin: their deliveries, which are told again or dropped, and another address.

use anyhow::{Context as _, Result, ensure};
use parlor_tests::log::Mark;

use crate::changes::{button, by_web, is_in_the_audit};
use crate::stage::{QUEUE, RECEIVER, SOON, Stage};
use crate::steps::{Act, act};

/// Every act with its name. Each leaves the host as it was, but for the address.
pub(crate) const ALL: &[(&str, Act)] = &[
    act!("a plugin is told of a request to its webhook again", replayed),
    act!("a request to a webhook that its plugin fails over is dropped", dropped),
    act!("a webhook is given another address, and the former one leads nowhere", rotated),
];

/// The plugin's page.
const PAGE: &str = "/plugins/receiver";

/// Returns the selector of the button of one of the plugin's forms.
fn own(change: &str) -> String {
    button(&format!("{PAGE}/{change}"))
}

/// Waits until the plugin has logged this about a delivery, after this place of the log.
async fn told(stage: &Stage, mark: &mut Mark, words: &str) -> Result<()> {
    let pick = |line: &str| (line.contains("told queue") && line.contains(words)).then_some(());
    stage.host.log().wait(words, mark, SOON, pick).await
}

/// Returns the number of the request in the first form of this kind.
async fn number(stage: &Stage, change: &str) -> Result<String> {
    let field = format!("form[action='{PAGE}/{change}'] input[name=request]");
    stage.browser.has(&field).await?;
    let number = stage.browser.run(&format!("return document.querySelector(\"{field}\").value")).await?;
    Ok(number.as_str().context("a request without a number")?.to_owned())
}

async fn replayed(stage: &mut Stage) -> Result<String> {
    let (body, mut mark) = (format!("hello-{:08x}", rand::random::<u32>()), stage.host.log().mark());
    stage.deliver(&body).await?;
    told(stage, &mut mark, &body).await?;
    stage.open(PAGE).await?;
    stage.browser.shows(&["The last requests on main", "told", "Tell it again"]).await?;
    stage.browser.is_well_made().await?;
    let what = format!("request {} is told once more", number(stage, "replay").await?);
    let before = by_web(stage, &what).await?;
    stage.browser.press(&own("replay")).await?;
    stage.browser.is_well_made().await?;
    ensure!(by_web(stage, &what).await? == before, "the question alone tells it again");
    stage.agrees(&[RECEIVER, "as if it came now"]).await?;
    let says = stage.notice().await?;
    // Whichever request it was.
    told(stage, &mut mark, "POST").await?;
    is_in_the_audit(stage, &what, before).await?;
    Ok(says)
}

async fn dropped(stage: &mut Stage) -> Result<String> {
    let mut mark = stage.host.log().mark();
    stage.deliver("fail").await?;
    told(stage, &mut mark, "fail").await?;
    stage.open(PAGE).await?;
    stage.browser.shows(&["waiting", "Drop it"]).await?;
    stage.browser.is_well_made().await?;
    let what = format!("request {} is dropped", number(stage, "drop").await?);
    let before = by_web(stage, &what).await?;
    stage.browser.press(&own("drop")).await?;
    stage.browser.is_well_made().await?;
    stage.agrees(&[RECEIVER, "those behind it are next"]).await?;
    let says = stage.notice().await?;
    stage.browser.shows(&["dropped"]).await?;
    is_in_the_audit(stage, &what, before).await?;
    Ok(says)
}

async fn rotated(stage: &mut Stage) -> Result<String> {
    let what = format!("webhook {QUEUE} has another address");
    let (former, before) = (stage.hook().await?, by_web(stage, &what).await?);
    stage.open(PAGE).await?;
    stage.browser.shows(&[&former]).await?;
    let form = format!("form[action='{PAGE}/rotate']:has(input[name=webhook][value={QUEUE}])");
    stage.browser.press(&format!("{form} button[type=submit]")).await?;
    stage.browser.is_well_made().await?;
    ensure!(stage.hook().await? == former, "the question alone gives it another address");
    stage.agrees(&[QUEUE, "leads nowhere then"]).await?;
    let says = stage.notice().await?;
    let present = stage.hook().await?;
    ensure!(present != former, "the address is the former one");
    stage.browser.shows(&[&present]).await?;
    let status = stage.deliver_to(&former, "late").await?;
    ensure!(status == 401, "a request to the former address is answered with {status}");
    stage.deliver("again").await?;
    is_in_the_audit(stage, &what, before).await?;
    Ok(says)
}

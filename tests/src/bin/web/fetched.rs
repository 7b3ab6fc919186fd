//! Plugins that the window fetches: from an address, from a registry, and by a name in an index.

use anyhow::Result;
use parlor_tests::minisign::Key;
use parlor_tests::plugins::{built, digest_of};
use parlor_tests::ports;

use crate::changes::{button, consents};
use crate::stage::Stage;
use crate::steps::{Act, act};

/// Every act with its name. Each leaves the host as it was.
pub(crate) const ALL: &[(&str, Act)] = &[
    act!("a plugin is installed from an address, and none with another digest or from nowhere", address),
    act!("a plugin is installed from a registry, and none that it does not have", registry),
    act!("a plugin is found in an index, and installed with its publisher's key", index),
];

/// Asks on the page of installs for what is at an address.
async fn ask(stage: &Stage, source: &str, digest: Option<&str>) -> Result<()> {
    stage.open("/install").await?;
    stage.browser.fill("#source", source).await?;
    if let Some(digest) = digest {
        stage.browser.fill("#digest", digest).await?;
    }
    stage.browser.press(&button("/install/fetch")).await
}

/// Returns an id that nothing has.
fn fresh_id() -> String {
    format!("magpie-{:04x}", rand::random::<u16>())
}

async fn address(stage: &mut Stage) -> Result<String> {
    let bytes = built("echo")?.bytes()?;
    stage.web.put("/echo.wasm", &bytes);
    let (url, digest, id) = (stage.web.url("/echo.wasm"), digest_of(&bytes), fresh_id());
    let nowhere = format!("https://localhost:{}/echo.wasm", ports::free()?);
    for (source, digest, says) in [
        (&url, Some(digest_of(b"another file")), "was asked for; it was changed"),
        (&nowhere, None, "cannot be reached"),
    ] {
        ask(stage, source, digest.as_deref()).await?;
        // It is fetched meanwhile, and the page refreshes automatically.
        stage.browser.shows(&["Nothing was installed", says]).await?;
        stage.browser.is_well_made().await?;
    }
    ask(stage, &url, Some(&digest)).await?;
    stage.browser.shows(&["messages.read", "to hear what people say", &url, &digest]).await?;
    stage.browser.is_well_made().await?;
    consents(stage, &id).await?;
    Ok(id)
}

async fn registry(stage: &mut Stage) -> Result<String> {
    let (bytes, id) = (built("echo")?.bytes()?, fresh_id());
    let manifest = stage.web.push("plugins/echo", "0.1.0", &bytes);
    let of = |what: &str| format!("oci://{}/plugins/echo{what}", stage.web.host());
    ask(stage, &of(":9.9.9"), None).await?;
    stage.browser.shows(&["Nothing was installed", "404"]).await?;
    stage.browser.is_well_made().await?;
    let pinned = of(&format!(":0.1.0@{manifest}"));
    ask(stage, &pinned, None).await?;
    stage.browser.shows(&["messages.read", "to hear what people say", &pinned, &digest_of(&bytes)]).await?;
    stage.browser.is_well_made().await?;
    consents(stage, &id).await?;
    Ok(id)
}

/// Serves an index with echo in it, signed by a key, and has the command add it.
async fn add_index(stage: &Stage, key: &Key) -> Result<()> {
    let (bytes, public) = (built("echo")?.bytes()?, key.public());
    let digest = digest_of(&bytes);
    let text = format!(
        "format = 1\nname = \"examples\"\nserial = 1\ndescription = \"Some\"\nkey = \"{public}\"\n\
         [plugin.echo]\ndescription = \"Says it again\"\nlanguage = \"Rust\"\n\
         [plugin.echo.version.\"0.1.0\"]\nsource = \"echo-0.1.0.wasm\"\ndigest = \"{digest}\"\n\
         permissions = [\"messages.read\", \"messages.send\", \"rooms.send\"]\n"
    );
    stage.web.put("/all/index.toml", &text);
    stage.web.put("/all/index.toml.minisig", key.sign(text.as_bytes(), "an index"));
    stage.web.put("/all/echo-0.1.0.wasm", &bytes);
    stage.web.put("/all/echo-0.1.0.wasm.minisig", key.sign(&bytes, "0.1.0"));
    stage.parlor(&["index", "add", &stage.web.url("/all/index.toml"), "--key", &public]).await.map(drop)
}

async fn index(stage: &mut Stage) -> Result<String> {
    let (key, id) = (Key::new(), fresh_id());
    add_index(stage, &key).await?;
    stage.open("/install").await?;
    stage.browser.fill("#q", "again").await?;
    stage.browser.press("main form[method=get] button").await?;
    stage.browser.shows(&["examples/echo 0.1.0", "Says it again"]).await?;
    stage.browser.is_well_made().await?;
    stage.browser.press("main a[href*='source=examples']").await?;
    // The link fills in the name.
    let chosen = "return document.querySelector('#source')?.value ?? ''";
    stage.browser.waits(chosen, |value| *value == "examples/echo").await?;
    stage.browser.press(&button("/install/fetch")).await?;
    stage.browser.shows(&["to hear what people say", "its publisher", &key.public()]).await?;
    stage.browser.is_well_made().await?;
    consents(stage, &id).await?;
    stage.parlor(&["index", "remove", "examples"]).await?;
    Ok(id)
}

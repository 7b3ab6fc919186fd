//! Headless Chromium, and the driver that controls it: `WebDriver`, and Chromium's own protocol for its missing
//! features, which are the size of the page, its colours, and whether scripts run.

use std::cell::Cell;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fantoccini::elements::Element;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use parlor_tests::folder::Folder;
use parlor_tests::log::Mark;
use parlor_tests::plugins;
use parlor_tests::process::Process;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use url::{ParseError, Url};

/// The timeout of a start, and of changes that a page shows later.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// How often a page is looked at until it shows something.
const A_MOMENT: Duration = Duration::from_millis(20);

/// The flags of Chromium: they turn off features that would contact other machines or need a screen.
const FLAGS: [&str; 12] = [
    "--headless=new",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    "--remote-debugging-port=0",
];

/// Returns a line for each thing that axe-core complains about, with where it is.
const COMPLAINTS: &str =
    "return axe.run(document, { resultTypes: ['violations'] }).then(found => found.violations.map(one =>
    one.id + ', ' + one.help + ': ' + one.nodes.map(node => node.target.join(' ')).join(', ')));";

/// Returns a line for each problem that no page may have.
const FAULTS: &str = "const faults = [];
    const root = document.documentElement;
    const count = query => document.querySelectorAll(query).length;
    if (root.lang !== 'en') faults.push('lang is ' + root.lang);
    if (!document.title.trim()) faults.push('no title');
    if (count('h1') !== 1) faults.push(count('h1') + ' h1');
    if (count('main') !== 1) faults.push(count('main') + ' main');
    if (count('[style], style, script:not([src]), [onclick], [onload], [onerror], base, iframe, object, embed'))
        faults.push('inline styles or scripts, or a frame');
    if (count('a[href^=\"javascript\" i], a[href^=\"data\" i]')) faults.push('a link that runs something');
    for (const form of document.querySelectorAll('form[method=post]'))
        if (!form.querySelector('input[name=csrf]') && !new URL(form.action).pathname.startsWith('/login'))
            faults.push('no token in the form ' + form.action);
    for (const field of document.querySelectorAll('input[type=password]'))
        if (field.value) faults.push('a secret stands in ' + field.name);
    if (root.scrollWidth > window.innerWidth)
        faults.push('it is ' + root.scrollWidth + ' wide, in ' + window.innerWidth + ' pixels');
    if (window.stolen !== undefined) faults.push('the script of a stranger ran: ' + window.stolen);
    return faults;";

/// How a page is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    /// Whether the scripts of the page run.
    pub(crate) scripts: bool,
    /// The width of the page, in pixels.
    pub(crate) width: u32,
    /// Whether the person prefers dark colours.
    pub(crate) dark: bool,
}

impl View {
    /// Each way to look at a page.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let ways = [(true, 1_400), (true, 360), (false, 1_400), (false, 360)];
        ways.into_iter().flat_map(|(scripts, width)| [false, true].map(|dark| Self { scripts, width, dark }))
    }

    /// The usual one, with or without scripts.
    pub(crate) fn usual(scripts: bool) -> Self {
        Self { scripts, width: 1_400, dark: false }
    }

    /// Each way to do something: the usual ones, and that of a phone in the dark.
    pub(crate) fn acts() -> [Self; 3] {
        [Self::usual(true), Self::usual(false), Self { scripts: true, width: 360, dark: true }]
    }

    /// Returns its name.
    pub(crate) fn name(self) -> String {
        let scripts = if self.scripts { "JavaScript" } else { "no JavaScript" };
        format!("{scripts}, {} pixels, {}", self.width, if self.dark { "dark" } else { "light" })
    }
}

/// A browser. Dropping it ends it.
pub(crate) struct Browser {
    client: Client,
    /// Whether the scripts of pages run.
    runs: Cell<bool>,
    axe: String,
    // The driver is dropped before the browser, and the profile last.
    _driver: Process,
    _chromium: Process,
    _profile: Folder,
}

impl Browser {
    /// Starts Chromium and its driver, each on a port that it chooses.
    ///
    /// Chromium is started here and not by the driver, so that it ends with this process, however that ends.
    pub(crate) async fn start() -> Result<Self> {
        let file = plugins::target().join("tools/axe/axe.min.js");
        let axe = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}; `cargo xtask web` fetches it", file.display()))?;
        let profile = Folder::new()?;
        let mut command = Command::new("chromium");
        command.args(FLAGS).arg(format!("--user-data-dir={}", profile.join("profile").display()));
        if rustix::process::geteuid().is_root() {
            // Its own sandbox needs another user than root.
            command.arg("--no-sandbox");
        }
        command.arg("about:blank").env("HOME", profile.path()).current_dir(profile.path());
        let chromium = Process::start("chromium", command)?;
        let debugger = |line: &str| {
            let (_, rest) = line.split_once("DevTools listening on ws://")?;
            rest.split_once('/').map(|(at, _)| at.to_owned())
        };
        let debugger = chromium.log().wait("Chromium's own port", &mut Mark::default(), SOON, debugger).await?;
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").env("HOME", profile.path()).current_dir(profile.path());
        let driver = Process::start("chromedriver", command)?;
        let port = |line: &str| {
            let (_, port) = line.rsplit_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        };
        let port = driver.log().wait("the driver's port", &mut Mark::default(), SOON, port).await?;
        let mut wanted = Capabilities::new();
        wanted.insert("goog:chromeOptions".to_owned(), json!({ "debuggerAddress": debugger }));
        wanted.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(wanted);
        let client = builder.connect(&format!("http://127.0.0.1:{port}/")).await;
        let client = client.with_context(|| format!("the driver drives nothing\n{}", driver.log().tail()))?;
        Ok(Self { client, runs: Cell::new(true), axe, _driver: driver, _chromium: chromium, _profile: profile })
    }

    /// Looks at pages in this way from now on.
    pub(crate) async fn view(&self, view: View) -> Result<()> {
        let height = if view.width < 700 { 800 } else { 1_000 };
        let size = json!({ "width": view.width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.order("Emulation.setDeviceMetricsOverride", size).await?;
        let colours = if view.dark { "dark" } else { "light" };
        let features = json!([
            { "name": "prefers-color-scheme", "value": colours },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.order("Emulation.setEmulatedMedia", json!({ "features": features })).await?;
        self.runs.set(view.scripts);
        self.scripts(view.scripts).await
    }

    /// Lets scripts of pages that are loaded from now on run, or not.
    async fn scripts(&self, run: bool) -> Result<()> {
        self.order("Emulation.setScriptExecutionDisabled", json!({ "value": !run })).await.map(drop)
    }

    /// Opens an address.
    pub(crate) async fn open(&self, url: &str) -> Result<()> {
        self.client.goto(url).await.with_context(|| format!("{url} does not load"))
    }

    /// Loads the page again.
    pub(crate) async fn reload(&self) -> Result<()> {
        self.client.refresh().await.context("the page does not load again")
    }

    /// Returns the address of the page.
    pub(crate) async fn address(&self) -> Result<String> {
        Ok(self.client.current_url().await.context("the page has no address")?.into())
    }

    /// Returns the HTML of the page as it is now.
    pub(crate) async fn source(&self) -> Result<String> {
        self.client.source().await.context("the page has no source")
    }

    /// Returns the text that a person sees in the page's main part.
    pub(crate) async fn text(&self) -> Result<String> {
        let text = self.run("return document.querySelector('main')?.innerText ?? ''").await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the page's main part shows all of these words.
    pub(crate) async fn shows(&self, words: &[&str]) -> Result<()> {
        let deadline = Instant::now() + SOON;
        loop {
            // A page that loads itself again has no text for a moment.
            let text = self.text().await.unwrap_or_default();
            let Some(missing) = words.iter().find(|word| !text.contains(**word)) else { return Ok(()) };
            if Instant::now() >= deadline {
                bail!("no {missing:?} at {} in:\n{text}", self.address().await?);
            }
            sleep(A_MOMENT).await;
        }
    }

    /// Waits until the address of the page ends like this.
    pub(crate) async fn leads_to(&self, end: &str) -> Result<()> {
        let is_there = |at: &Value| at.as_str().is_some_and(|at| at.ends_with(end));
        self.waits("return location.href", is_there).await.with_context(|| format!("it does not lead to {end}"))
    }

    /// Waits until an element of the page matches.
    pub(crate) async fn has(&self, css: &str) -> Result<()> {
        self.find(css).await.map(drop)
    }

    /// Waits until a script of ours returns something of which this holds.
    pub(crate) async fn waits(&self, script: &str, is_it: impl Fn(&Value) -> bool) -> Result<()> {
        let deadline = Instant::now() + SOON;
        loop {
            // Between two pages there is none that could run it.
            let found = self.run(script).await.unwrap_or_default();
            if is_it(&found) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "at {} there is still {found}", self.address().await?);
            sleep(A_MOMENT).await;
        }
    }

    /// Returns how many elements of the page match.
    pub(crate) async fn count(&self, css: &str) -> Result<usize> {
        let found = self.client.find_all(Locator::Css(css)).await;
        Ok(found.with_context(|| format!("cannot look for {css}"))?.len())
    }

    /// Presses what matches.
    pub(crate) async fn press(&self, css: &str) -> Result<()> {
        if self.find(css).await?.click().await.is_ok() {
            return Ok(());
        }
        // A live part of the page may have been replaced just then.
        self.find(css).await?.click().await.with_context(|| format!("{css} cannot be pressed"))
    }

    /// Writes a text into a field, in place of its value.
    pub(crate) async fn fill(&self, css: &str, text: &str) -> Result<()> {
        let field = self.find(css).await?;
        field.clear().await.with_context(|| format!("{css} cannot be emptied"))?;
        field.send_keys(text).await.with_context(|| format!("{css} takes no text"))
    }

    /// Types keys into what matches, such as the path of a file into a field for files.
    pub(crate) async fn type_into(&self, css: &str, keys: &str) -> Result<()> {
        self.find(css).await?.send_keys(keys).await.with_context(|| format!("{css} takes no keys"))
    }

    /// Presses keys where the focus is.
    pub(crate) async fn keys(&self, keys: &str) -> Result<()> {
        let focused = self.client.active_element().await.context("nothing takes keys")?;
        focused.send_keys(keys).await.context("what has the focus takes no keys")
    }

    /// Waits until an element matches: the page after a button appears a moment later.
    async fn find(&self, css: &str) -> Result<Element> {
        let deadline = Instant::now() + SOON;
        loop {
            match self.client.find(Locator::Css(css)).await {
                Ok(found) => return Ok(found),
                Err(_) if Instant::now() < deadline => sleep(A_MOMENT).await,
                Err(error) => {
                    let (at, text) = (self.address().await?, self.text().await?);
                    return Err(error).with_context(|| format!("no {css} at {at}, which shows:\n{text}"));
                }
            }
        }
    }

    /// Runs a script of ours in the page, also where its own do not run.
    pub(crate) async fn run(&self, script: &str) -> Result<Value> {
        self.client.execute(script, Vec::new()).await.with_context(|| format!("a script fails: {script:.80}"))
    }

    /// Checks what holds for each page, and that axe-core and Chromium complain about nothing.
    pub(crate) async fn is_well_made(&self) -> Result<()> {
        let faults = lines(&self.run(FAULTS).await?);
        ensure!(faults.is_empty(), "{}", faults.join("\n"));
        // The checker waits by timers, which are scripts. The page's own scripts were skipped when it was loaded.
        self.scripts(true).await?;
        self.run(&self.axe).await?;
        let complaints = lines(&self.run(COMPLAINTS).await?);
        self.scripts(self.runs.get()).await?;
        ensure!(complaints.is_empty(), "axe-core: {}", complaints.join("\n"));
        self.console().await
    }

    /// Checks that Chromium wrote no error into the console since the last check, such as a script that a policy
    /// blocked.
    pub(crate) async fn console(&self) -> Result<()> {
        let entries = self.client.issue_cmd(Order::log()).await.context("there is no console")?;
        let entries = entries.as_array().into_iter().flatten().filter(|one| one["level"] == "SEVERE");
        let errors: Vec<_> =
            entries.filter_map(|one| one["message"].as_str()).filter(|text| is_of_the_page(text)).collect();
        ensure!(errors.is_empty(), "in the console: {}", errors.join("\n"));
        Ok(())
    }

    /// Forgets what was written into the console.
    pub(crate) async fn forget_console(&self) -> Result<()> {
        self.client.issue_cmd(Order::log()).await.context("there is no console").map(drop)
    }

    /// Returns the name and the value of each cookie of the page.
    pub(crate) async fn cookies(&self) -> Result<Vec<(String, String)>> {
        let found = self.order("Network.getCookies", json!({})).await?;
        let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
        let found = found["cookies"].as_array().into_iter().flatten();
        Ok(found.map(|one| (text(one, "name"), text(one, "value"))).collect())
    }

    /// Has no cookie but these, for the server with this address.
    pub(crate) async fn set_cookies(&self, url: &str, cookies: &[(String, String)]) -> Result<()> {
        self.order("Network.clearBrowserCookies", json!({})).await?;
        for (name, value) in cookies {
            let cookie = json!({ "name": name, "value": value, "url": url, "httpOnly": true, "sameSite": "Strict" });
            self.order("Network.setCookie", cookie).await?;
        }
        Ok(())
    }

    /// Returns a picture of the whole page, as PNG.
    pub(crate) async fn picture(&self) -> Result<Vec<u8>> {
        let taken = self.order("Page.captureScreenshot", json!({ "captureBeyondViewport": true })).await?;
        STANDARD.decode(taken["data"].as_str().unwrap_or_default()).context("a picture that is none")
    }

    /// Gives an order of Chromium's own protocol.
    async fn order(&self, name: &'static str, parameters: Value) -> Result<Value> {
        let done = self.client.issue_cmd(Order::chromium(name, &parameters)).await;
        done.with_context(|| format!("Chromium does not obey {name}"))
    }
}

/// Returns whether an error in the console is about the page: a picture for the bookmarks is asked for by the browser itself.
fn is_of_the_page(text: &str) -> bool {
    !text.contains("/favicon.ico")
}

fn lines(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// An order to the driver beyond those of the standard.
#[derive(Debug)]
struct Order {
    path: &'static str,
    body: Value,
}

impl Order {
    /// An order of Chromium's own protocol.
    fn chromium(name: &str, parameters: &Value) -> Self {
        Self { path: "goog/cdp/execute", body: json!({ "cmd": name, "params": parameters }) }
    }

    /// Returns the new entries in the console.
    fn log() -> Self {
        Self { path: "se/log", body: json!({ "type": "browser" }) }
    }
}

impl WebDriverCompatibleCommand for Order {
    fn endpoint(&self, base_url: &Url, session_id: Option<&str>) -> Result<Url, ParseError> {
        base_url.join(&format!("session/{}/{}", session_id.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

//! Installing a plugin: from a file, from an address, or by its name in an index. Nothing is granted before the owner
//! has read the requests, decided about them, and agreed to the last page.

mod decision;
mod offered;
mod work;

use std::future::ready;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use maud::{Markup, html};
use parlor_base::escape::escape_untrusted;
use parlor_base::id::{Digest, PluginId};
use parlor_config::Config;
use parlor_plugins::admin::{Expected, GivenSecrets, PluginAdmin};
use parlor_plugins::index::{Hit, Indexes, search};
use parlor_plugins::listing::{Listing, Wanted};
use parlor_plugins::policy::Policy;
use parlor_plugins::source::Source;
use parlor_store::{DataFile, Owner};
use parlor_window::{Form, Page, Problem, Question, Reply, Role, Routes, Upload, segment, stranger};

use self::decision::Decision;
use self::offered::{Offered, Sheet};
use self::work::{GivingUp, Stage, session_key};
use super::host::{Host, Visit, change, look};
use super::parts::{MOST_ROWS, cell, field, rows, table, whole};
use crate::places::places;
use crate::plugin::from_index::{Asking, Chosen, choose_listed};
use crate::tell::tell;

pub(super) use self::work::Installs;

/// The most of a signature that is pasted, in bytes.
const LONGEST_SIGNATURE: usize = 16 << 10;
/// How often a page that waits looks again, in seconds.
const AGAIN: u32 = 2;

/// Adds the pages.
pub(super) fn routes(routes: Routes<Arc<Host>>) -> Routes<Arc<Host>> {
    routes
        .page("/install", Role::Owner, start)
        .form("/install/fetch", Role::Owner, |visit, form| ready(fetch(visit, &form)))
        .upload("/install/file", Role::Owner, |visit, upload| ready(file(visit, upload)))
        .page("/install/{number}", Role::Owner, |visit| ready(show(&visit)))
        .form("/install/{number}", Role::Owner, decide)
        .form("/install/{number}/cancel", Role::Owner, |visit, _| ready(cancel(&visit)))
}

/// A plugin that a search found.
#[derive(Debug)]
struct Listed {
    listing: String,
    version: Option<String>,
    description: String,
    asks: String,
    installed: String,
    has_other_key: bool,
}

impl Listed {
    fn of(hit: &Hit<'_>, policy: &Policy) -> Self {
        let listing = Listing { index: hit.known.name.clone(), plugin: hit.plugin.clone() };
        let of_it = policy.plugins.iter().filter(|(_, entry)| entry.index.as_ref() == Some(&listing));
        let newest = hit.listed.newest();
        let asks = newest.iter().flat_map(|(_, release)| &release.permissions).map(|one| one.as_str());
        Self {
            listing: listing.to_string(),
            version: newest.map(|(version, _)| version.to_string()),
            description: hit.listed.description.clone(),
            asks: asks.collect::<Vec<_>>().join(", "),
            installed: of_it.map(|(id, _)| id.as_str()).collect::<Vec<_>>().join(", "),
            has_other_key: hit.known.has_other_key(hit.plugin),
        }
    }
}

async fn start(visit: Visit) -> Result<Reply, Problem> {
    let words = visit.query("q").unwrap_or_default().to_owned();
    let typed: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    let (has_indexes, found) = look(&visit, move |config, admin| {
        let all = Indexes::new(&config.data).all()?;
        let policy = admin.policy().unwrap_or_default();
        let hits = search(&all, &typed);
        let found: Vec<_> = hits.iter().take(MOST_ROWS).map(|hit| Listed::of(hit, &policy)).collect();
        Ok((!all.is_empty(), found))
    })
    .await?;
    let link = |path: &str| visit.link(path);
    let begun = visit.state.installs.of(&session_key(&visit.session));
    let source = visit.query("source").unwrap_or_default();
    let content = html! {
        @if !begun.is_empty() {
            h2 { "Begun" }
            ul {
                @for number in &begun {
                    li { a href=(link(&format!("/install/{number}"))) { "Install " (number) " is not decided yet" } }
                }
            }
        }
        h2 { "From a file" }
        (visit.upload_form("/install/file", &file_fields()))
        h2 { "From an address, or by its name" }
        (visit.form("/install/fetch", &fetch_fields(source)))
        h2 { "Find one in the indexes" }
        (listed(&link, &words, has_indexes, &found))
    };
    Ok(Page::new("Install a plugin", content).into())
}

fn file_fields() -> Markup {
    html! {
        p {
            label for="file" { "The plugin's file" }
            input type="file" id="file" name="file" accept=".wasm" required;
        }
        p {
            label for="signature" { "Its signature" }
            textarea id="signature" name="signature" rows="4" maxlength=(LONGEST_SIGNATURE)
                aria-describedby="signature-hint" {}
            span.hint id="signature-hint" { "The text of the file that ends with .minisig, if there is one." }
        }
        button type="submit" { "Send and examine it" }
    }
}

fn fetch_fields(source: &str) -> Markup {
    let hint = "An address that begins with https:// or oci://, or a name in an index, such as examples/echo.";
    html! {
        (field("source", "Address or name", source, hint))
        (field("digest", "Digest", "", "sha256:…; if given, every other file is refused."))
        button type="submit" { "Fetch and examine it" }
    }
}

fn listed(link: &dyn Fn(&str) -> String, words: &str, has_indexes: bool, found: &[Listed]) -> Markup {
    let row = |one: &Listed| {
        html! {
            tr {
                th scope="row" { (cell(&one.listing)) @if let Some(version) = &one.version { " " (version) } }
                td { (cell(&one.description)) }
                td { @if one.asks.is_empty() { "nothing" } @else { (one.asks) } }
                td {
                    @if one.has_other_key { "by another key than when it was first seen; " }
                    @if one.installed.is_empty() { "not installed" } @else { "installed as " (one.installed) }
                }
                td { a href=(link(&format!("/install?source={}", segment(&one.listing)))) { "Choose " (cell(&one.listing)) } }
            }
        }
    };
    html! {
        @if has_indexes {
            form method="get" action=(link("/install")) {
                (field("q", "Words", words, "Each of them has to occur in the name, the description or a permission."))
                button type="submit" { "Search" }
            }
            @if found.is_empty() {
                p { "Nothing was found." }
            } @else {
                p { "What an index says is its publisher's word." }
                (table("Plugins in the indexes", &["Plugin", "Description", "Asks for", "Here", "Choose"],
                    &rows(found, row)))
            }
        } @else {
            p { "There are no indexes; " code { "parlor index add URL" } " adds one." }
        }
    }
}

/// A typed source of a plugin.
#[derive(Debug)]
enum Meant {
    Address(Source),
    Name(Wanted),
}

impl Meant {
    /// Parses what was typed. Files of this machine are not for browsers.
    fn parse(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            return Source::parse(text, Path::new("")).map(Self::Address).map_err(|error| error.to_string());
        }
        let text = escape_untrusted(text, 200);
        text.parse().map(Self::Name).map_err(|_| {
            format!("`{text}` is no address that begins with https:// or oci://, and no name in an index, such as `examples/echo`")
        })
    }

    fn chosen(self, config: &Config, digest: Option<Digest>) -> anyhow::Result<Chosen> {
        let expected = Expected { digest, ..Expected::default() };
        match self {
            Self::Address(source) => Ok(Chosen::unlisted(source, expected)),
            // Only a person at a terminal may accept a changed key.
            Self::Name(wanted) => choose_listed(config, &wanted, expected, Asking { json: true, check: false }),
        }
    }
}

fn fetch(visit: Visit, form: &Form) -> Result<Reply, Problem> {
    let meant = Meant::parse(form.need("source")?.trim()).map_err(Problem::wrong)?;
    let digest = form.get("digest").map(|digest| digest.trim().parse::<Digest>()).transpose();
    let digest = digest.map_err(|error| Problem::wrong(error.to_string()))?;
    begin(visit, move |config, admin| examined(config, admin, meant.chosen(config, digest)?, false))
}

fn file(visit: Visit, upload: Upload) -> Result<Reply, Problem> {
    let signature = upload.get("signature").map(str::to_owned);
    if signature.as_ref().is_some_and(|signature| signature.len() > LONGEST_SIGNATURE) {
        return Err(Problem::new(413, format!("a signature has at most {LONGEST_SIGNATURE} bytes")));
    }
    begin(visit, move |config, admin| {
        // The signature must be next to the file. The browser's file name is not used.
        let folder = tempfile::tempdir().context("there is no folder for the file")?;
        let path = folder.path().join("plugin.wasm");
        upload.into_file().path.persist(&path).context("the file cannot be kept")?;
        if let Some(signature) = signature {
            std::fs::write(folder.path().join("plugin.wasm.minisig"), signature)
                .context("the signature cannot be kept")?;
        }
        examined(config, admin, Chosen::unlisted(Source::File(path), Expected::default()), true)
    })
}

/// Begins an install: fetches the plugin while the browser moves to the page that waits for it.
fn begin(
    visit: Visit,
    find: impl FnOnce(&Config, &PluginAdmin<'_>) -> anyhow::Result<Offered> + Send + 'static,
) -> Result<Reply, Problem> {
    let number = visit.state.installs.begin(&session_key(&visit.session))?;
    tokio::spawn(async move {
        let stage = match look(&visit, find).await {
            Ok(offered) => Stage::Offered(Arc::new(offered)),
            Err(problem) => Stage::Failed(problem.sentence),
        };
        visit.state.installs.set(number, stage);
    });
    Ok(Reply::to(format!("/install/{number}")))
}

/// Fetches and examines a file. `is_sent`: a browser sent it, so it is not kept where it is now.
fn examined(config: &Config, admin: &PluginAdmin<'_>, chosen: Chosen, is_sent: bool) -> anyhow::Result<Offered> {
    let mut offer = admin.offer(&chosen.source, &chosen.expected)?;
    chosen.is_as_listed(offer.manifest())?;
    let name = offer.manifest().name.clone();
    if is_sent {
        offer.source = format!("sent-by-browser/{name}.wasm");
    }
    let sheet = Sheet::of(&offer, places(config, None), kept(config, &name)?);
    Ok(Offered { offer, chosen, sheet })
}

/// Returns how many entries an earlier plugin of this id has left.
fn kept(config: &Config, id: &PluginId) -> anyhow::Result<usize> {
    let Some(file) = DataFile::open(&config.data)? else { return Ok(0) };
    let mut count = 0;
    for account in config.accounts.values() {
        let owner = Owner { account: account.link.jid.to_bare(), plugin: id.clone() };
        file.each(&owner, |_| {
            count += 1;
            Ok::<_, anyhow::Error>(())
        })??;
    }
    Ok(count)
}

/// Returns the number of the install that a request names.
fn number(visit: &Visit) -> Result<u64, Problem> {
    visit.part("number").parse().map_err(|_| over())
}

fn over() -> Problem {
    Problem::missing("there is no such install of this session, or it is decided about already: begin anew")
}

fn show(visit: &Visit) -> Result<Reply, Problem> {
    let number = number(visit)?;
    let stage = visit.state.installs.stage(number, &session_key(&visit.session)).ok_or_else(over)?;
    let decide = format!("/install/{number}");
    let cancel = visit.form(&format!("{decide}/cancel"), &html! { button type="submit" { "Give it up" } });
    let link = |path: &str| visit.link(path);
    if let Stage::Offered(offered) = &stage {
        let form = visit.form(&decide, &offered.sheet.fields());
        let content = html! {
            (offered.sheet.shown())
            h2 { "Your decision" }
            (form)
            (cancel)
        };
        return Ok(Page::new(format!("Install {}", offered.sheet.manifest().name), content).into());
    }
    let page = Page::new("Install a plugin", waiting(&link, &stage, &cancel));
    let is_on_the_way = matches!(stage, Stage::Fetching | Stage::Installing(_));
    Ok(if is_on_the_way { page.refreshing(AGAIN) } else { page }.into())
}

/// Shows an install that does not wait for a decision.
fn waiting(link: &dyn Fn(&str) -> String, stage: &Stage, cancel: &Markup) -> Markup {
    html! {
        @match stage {
            Stage::Fetching => {
                p role="status" { "The file is fetched and examined. This page looks again every few seconds." }
                (cancel)
            }
            Stage::Offered(_) => {}
            Stage::Installing(id) => {
                p role="status" { (id.as_str()) " is being installed and started. This page looks again every few seconds." }
            }
            Stage::Failed(why) => {
                p role="status" { "Nothing was installed: " (whole(why)) }
                p { a href=(link("/install")) { "Begin anew" } }
            }
            Stage::Done(id, sentence) => {
                p role="status" { (stranger(sentence)) }
                p { a href=(link(&format!("/plugins/{id}"))) { "The plugin " (id.as_str()) } }
            }
        }
    }
}

async fn decide(visit: Visit, form: Form) -> Result<Reply, Problem> {
    let (number, session) = (number(&visit)?, session_key(&visit.session));
    let Some(Stage::Offered(offered)) = visit.state.installs.stage(number, &session) else { return Err(over()) };
    offered.sheet.is_shown_by(&form)?;
    let (manifest, places) = (offered.sheet.manifest(), &offered.sheet.places);
    let decision = Decision::of(form.fields(), manifest, places).map_err(Problem::wrong)?;
    let (id, asked) = (decision.id.clone(), Arc::clone(&offered));
    let looks_like = look(&visit, move |_, admin| {
        // If the owner typed another id, they chose it deliberately.
        let is_chosen = id != asked.sheet.manifest().name;
        Ok(admin.plan_install(&id, &asked.offer, is_chosen)?.looks_like)
    })
    .await?;
    let path = format!("/install/{number}");
    if !form.is_agreed() {
        let question = Question {
            title: format!("Install {}?", decision.id),
            sentences: decision.words(manifest, places, looks_like.as_ref()),
            button: format!("Install {}", decision.id),
            is_danger: decision.is_danger() || looks_like.is_some(),
            action: &path,
            back: &path,
            fields: form.fields(),
        };
        return Ok(visit.confirm(&question));
    }
    let started = visit.state.installs.start(number, &session, &decision.id);
    let offered = started.ok_or_else(over)?;
    tokio::spawn(async move {
        let stage = installed(&visit, &decision, offered).await;
        visit.state.installs.set(number, stage);
    });
    Ok(Reply::to(path))
}

/// Installs what was decided, and lets the host start it.
async fn installed(visit: &Visit, decision: &Decision, offered: Arc<Offered>) -> Stage {
    let (id, table) = (decision.id.clone(), decision.table());
    let done = format!("{id} {} is installed", offered.sheet.manifest().version);
    let new = id.clone();
    let changed = change(visit, move |config, admin| {
        let plan = admin.plan_install(&new, &offered.offer, true)?;
        admin.install(&plan, &table, &GivenSecrets::new())?;
        offered.chosen.pin(config);
        Ok(())
    });
    if let Err(problem) = changed.await {
        return Stage::Failed(problem.sentence);
    }
    let new = id.clone();
    let told = look(visit, move |config, _| {
        let told = tell(config, &[&new])?;
        Ok((told.line(), told.trouble()))
    });
    let says = match told.await {
        Ok((_, Some(trouble))) => format!("{done}, but {trouble}"),
        Ok((line, None)) => format!("{done}; {line}"),
        Err(problem) => format!("{done}, but the host was not told: {}", problem.sentence),
    };
    Stage::Done(id, says)
}

fn cancel(visit: &Visit) -> Result<Reply, Problem> {
    let number = number(visit)?;
    match visit.state.installs.give_up(number, &session_key(&visit.session)) {
        GivingUp::Unknown => Err(over()),
        GivingUp::GivenUp => Ok(visit.done("/install", "nothing was installed")),
        GivingUp::Agreed => {
            let sentence = "you have agreed to it already, so it is not given up: this page shows what comes of it";
            Ok(visit.done(&format!("/install/{number}"), sentence))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::rooms::tests::visit;

    const EVIL: &str = "<script>alert(1)</script>";

    fn link(path: &str) -> String {
        format!("/base{path}")
    }

    fn one(text: &str) -> Listed {
        Listed {
            listing: text.to_owned(),
            version: Some(text.to_owned()),
            description: text.to_owned(),
            asks: text.to_owned(),
            installed: text.to_owned(),
            has_other_key: true,
        }
    }

    #[test]
    fn a_file_of_this_machine_is_no_source() {
        for wrong in ["/etc/passwd", "../echo.wasm", "./echo", "file:///etc/passwd", "http://example.org/x", "", EVIL] {
            let meant = Meant::parse(wrong);
            assert!(meant.is_err(), "{wrong}: {meant:?}");
        }
        assert!(matches!(Meant::parse("https://example.org/echo.wasm"), Ok(Meant::Address(Source::Web(_)))));
        assert!(matches!(
            Meant::parse("oci://example.org/plugins/echo:0.1.0"),
            Ok(Meant::Address(Source::Registry(_)))
        ));
        for name in ["echo", "examples/echo", "examples/echo@0.1.0"] {
            assert!(matches!(Meant::parse(name), Ok(Meant::Name(_))), "{name}");
        }
    }

    #[test]
    fn plugins_of_indexes_are_found_and_chosen() {
        let page = listed(&link, "rss", true, &[one("examples/echo")]).into_string();
        assert!(page.contains("/base/install?source=examples%2Fecho") && page.contains("value=\"rss\""), "{page}");
        assert!(listed(&link, "", true, &[]).into_string().contains("Nothing was found."));
        let none = listed(&link, "", false, &[]).into_string();
        assert!(none.contains("There are no indexes") && !none.contains("<form"), "{none}");
        let many: Vec<_> = (0..MOST_ROWS).map(|_| one(&"\"".repeat(500))).collect();
        let page = listed(&link, "", true, &many).into_string();
        assert!(page.len() < 128 << 10 && page.contains("more are not shown."), "{} bytes", page.len());
    }

    #[test]
    fn each_stage_says_what_comes_of_it() {
        let id = || "echo".parse::<PluginId>().unwrap();
        let page = |stage: Stage| waiting(&link, &stage, &html! { "give up" }).into_string();
        assert!(page(Stage::Fetching).contains("give up"));
        assert!(page(Stage::Installing(id())).contains("echo is being installed and started"));
        let failed = page(Stage::Failed(EVIL.to_owned()));
        assert!(failed.contains("Nothing was installed") && failed.contains("/base/install\""), "{failed}");
        let done = page(Stage::Done(id(), EVIL.to_owned()));
        assert!(done.contains("/base/plugins/echo\""), "{done}");
        for text in [failed, done] {
            assert!(!text.contains("<script") && text.contains("&lt;script&gt;"), "{text}");
        }
    }

    #[test]
    fn what_is_being_installed_is_not_given_up() {
        let id = || "echo".parse::<PluginId>().unwrap();
        for (stage, to, says) in [
            (Stage::Fetching, "/install", "nothing was installed"),
            (Stage::Installing(id()), "/install/1", "not given up"),
            (Stage::Done(id(), "echo is installed".to_owned()), "/install/1", "not given up"),
        ] {
            let visit = visit(Role::Owner, "/install/1/cancel").with_part("number", "1");
            assert_eq!(cancel(&visit).unwrap_err().status, 404, "there is none yet");
            visit.state.installs.begin(&session_key(&visit.session)).unwrap();
            visit.state.installs.set(1, stage);
            assert_eq!(cancel(&visit).unwrap().into_text(), to);
            assert!(visit.notice().unwrap().contains(says), "{to}");
            let stays = visit.state.installs.stage(1, &session_key(&visit.session)).is_some();
            assert_eq!(stays, to == "/install/1");
        }
    }

    #[test]
    fn what_is_no_source_begins_nothing() {
        let owner = || visit(Role::Owner, "/install/fetch");
        for fields in [&[("source", "/etc/passwd")][..], &[("source", "echo"), ("digest", "sha256:no")], &[]] {
            assert_eq!(fetch(owner(), &Form::of(fields)).unwrap_err().status, 400, "{fields:?}");
        }
        assert_eq!(show(&visit(Role::Owner, "/install/x")).unwrap_err().status, 404);
    }

    #[test]
    fn no_text_of_strangers_is_markup() {
        for page in [listed(&link, EVIL, true, &[one(EVIL)]), fetch_fields(EVIL)] {
            let page = page.into_string();
            assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
        }
    }
}

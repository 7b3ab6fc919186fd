//! The problems that `parlor doctor` finds, with their remedies.

use std::sync::Arc;

use maud::{Markup, html};
use parlor_config::{Config, Overrides};
use parlor_window::{Form, Page, Problem, Reply, Role, Routes, stranger};
use tokio::sync::Semaphore;

use super::host::{Host, Visit, look};
use super::parts::{rows, table};
use crate::doctor::{Finding, Findings, State, examine};

/// Only one check runs at a time: a server may lock out an account that logs in too often.
static LOOKS: Semaphore = Semaphore::const_new(1);

/// Adds the pages.
pub(super) fn routes(routes: Routes<Arc<Host>>) -> Routes<Arc<Host>> {
    routes.page("/doctor", Role::Viewer, page).form("/doctor", Role::Operator, log_in)
}

async fn page(visit: Visit) -> Result<Reply, Problem> {
    let findings = found(&visit, true).await?;
    let form = visit.may(Role::Operator).then(|| visit.form("/doctor", &log_in_form()));
    Ok(Page::new("Doctor", content(&findings, form.as_ref())).into())
}

/// Looks as well whether each account can log in.
async fn log_in(visit: Visit, form: Form) -> Result<Reply, Problem> {
    form.need("what")?;
    let findings = found(&visit, false).await?;
    Ok(Page::new("Doctor", content(&findings, None)).into())
}

async fn found(visit: &Visit, offline: bool) -> Result<Findings, Problem> {
    let place = LOOKS.try_acquire().map_err(|_| Problem::new(409, "somebody looks just now; try it again"))?;
    look(visit, move |config, _| {
        // It counts until it is done, also if the browser has broken off the request meanwhile.
        let _place = place;
        // If the host's file is broken, other pages use only the known places. This page must report the problem.
        let (data, plugins) = (Some(config.data.clone()), Some(config.plugins.clone()));
        let overrides = Overrides { data, plugins, ..Overrides::default() };
        let mut findings = Findings::default();
        examine(Config::load(&config.path, &overrides).map_err(Into::into), offline, &mut findings)?;
        Ok(findings)
    })
    .await
}

fn log_in_form() -> Markup {
    html! {
        p {
            "It can also log in once for each account, under a resource of its own, so that the host stays connected. That "
            "takes some seconds, and changes nothing."
        }
        input type="hidden" name="what" value="accounts";
        button type="submit" { "Log in and look" }
    }
}

fn content(findings: &Findings, form: Option<&Markup>) -> Markup {
    let shown = findings.grouped();
    let of = |state: State| shown.iter().filter(move |one| one.state == state).collect::<Vec<_>>();
    let (broken, warnings, fine) = (of(State::Broken), of(State::Warning), of(State::Fine));
    html! {
        p.lead role="status" {
            @match (broken.len(), warnings.len()) {
                (0, 0) => "Nothing is broken.",
                (0, warnings) => { "Nothing is broken; warnings: " (warnings) "." },
                (broken, warnings) => { "Broken: " (broken) "; warnings: " (warnings) "." },
            }
        }
        @for (title, some) in [("Broken", &broken), ("Warnings", &warnings), ("In order", &fine)] {
            @if !some.is_empty() {
                h2 { (title) }
                (table(title, &["What", "It says", "What to do"], &rows(some.iter().copied(), row)))
            }
        }
        @if let Some(form) = form {
            h2 { "Look further" }
            (form)
        }
    }
}

fn row(finding: &Finding) -> Markup {
    html! {
        tr {
            th scope="row" { (stranger(&finding.check)) }
            td { @for (number, line) in finding.says.lines().enumerate() { @if number > 0 { br; } (stranger(line)) } }
            td { @if let Some(remedy) = &finding.remedy { (stranger(remedy)) } @else { "–" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::spawn_blocking;
    use tokio::time::timeout;

    use super::super::tests::host_in;
    use super::*;

    const EVIL: &str = "<script>alert(1)</script>";

    fn finding(state: State, says: &str) -> Finding {
        Finding { check: "disk".to_owned(), state, says: says.to_owned(), remedy: Some(says.to_owned()), alike: None }
    }

    fn page(findings: Vec<Finding>) -> String {
        content(&Findings { findings, accounts: 0 }, None).into_string()
    }

    /// Otherwise an account would log in as often as somebody asks and breaks off.
    #[test]
    fn a_check_whose_browser_is_gone_counts_until_it_is_done() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            // The check does not begin before the only thread for it is free.
            let (free, busy) = std::sync::mpsc::channel::<()>();
            let busy = spawn_blocking(move || busy.recv());
            let folder = tempfile::tempdir().unwrap();
            let visit = Visit::for_test(Role::Viewer, "/doctor", host_in(folder.path()));
            assert!(timeout(Duration::from_millis(10), found(&visit, true)).await.is_err());
            assert!(LOOKS.try_acquire().is_err());
            drop(free);
            assert!(busy.await.unwrap().is_err());
            drop(timeout(Duration::from_mins(1), LOOKS.acquire()).await.unwrap().unwrap());
        });
    }

    #[test]
    fn what_is_broken_comes_first() {
        let text = page(vec![
            finding(State::Fine, "fine"),
            finding(State::Warning, "so so"),
            finding(State::Broken, "no room\nmake room"),
        ]);
        assert!(text.contains("Broken: 1; warnings: 1."), "{text}");
        let at = |word: &str| text.find(word).unwrap();
        assert!(at("no room") < at("so so") && at("so so") < at("In order"), "{text}");
        assert!(text.contains("<br>"), "{text}");
    }

    #[test]
    fn where_nothing_was_found_nothing_is_broken() {
        let text = page(Vec::new());
        assert!(text.contains("Nothing is broken.") && !text.contains("<table"), "{text}");
        assert!(content(&Findings::default(), Some(&log_in_form())).into_string().contains("Log in and look"));
    }

    #[test]
    fn what_is_the_same_of_many_accounts_is_one_row() {
        let text = content(&crate::doctor::tests::of_accounts(1_000), None).into_string();
        assert!(text.contains("Broken: 1; warnings: 1."), "{text}");
        assert!(
            text.contains("990 of 1000 accounts (a0000, a0001, a0002 and 987 more): the server has no X"),
            "{text}"
        );
        assert_eq!(text.matches("<tr>").count(), 2 + 2, "a head and a row for each state: {text}");
    }

    #[test]
    fn thousands_of_findings_fit_on_a_page_and_none_is_markup() {
        let all =
            [State::Fine, State::Warning, State::Broken].map(|state| vec![finding(state, &EVIL.repeat(30)); 2_000]);
        let text = page(all.into_iter().flatten().collect());
        assert!(text.len() < 300 << 10 && text.matches("more are not shown.").count() == 3, "{} bytes", text.len());
        assert!(!text.contains("<script") && text.contains("&lt;script&gt;"), "{text}");
    }
}

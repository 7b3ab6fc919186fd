//! `parlor keys verify` and `answer`: compares a secret with a person, off the record. The secret is never an argument, which
//! other users could read in the list of processes.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use jid::BareJid;
use parlor::control::client::{Client, escaped};
use parlor::control::views::{Compared, Comparison, Keys, shown};
use parlor_base::escape::{EscapedPath as _, quoted_untrusted, shell_word};
use parlor_config::AccountName;
use parlor_session::Secret;

use crate::Ended;
use crate::ask::Terminal;
use crate::show::{print, print_json};
use crate::target;

/// The longest secret, in bytes.
const LONGEST_SECRET: usize = 1_024;
/// How often the time that somebody was waited for is shown.
const STEP: Duration = Duration::from_secs(1);

/// The source of a secret.
#[derive(Debug, Args)]
pub(super) struct SecretArgs {
    /// Read the secret from this file, without its line end; - for standard input. Else it is asked for.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl SecretArgs {
    /// Reads the secret, or asks for it without showing it.
    fn read(&self, jid: &BareJid, as_json: bool) -> anyhow::Result<Secret> {
        let secret = match (&self.secret_file, Terminal::open_unless(as_json)) {
            (Some(path), _) if path != Path::new("-") => {
                let cannot = || format!("the secret in {} cannot be read", path.escaped());
                read_from(File::open(path).with_context(cannot)?).with_context(cannot)?
            }
            (None, Some(terminal)) => {
                let question = format!("The secret that {jid} knows, too, which is not shown:");
                Secret::new(terminal.ask_hidden(&question)?.unwrap_or_default().into_bytes())
            }
            (None, None) if io::stdin().is_terminal() => {
                bail!("nobody can be asked here: give the secret on standard input, or by --secret-file")
            }
            _ => read_from(io::stdin().lock()).context("standard input")?,
        };
        match secret.len() {
            0 => bail!("there is no secret, so nothing was compared"),
            1..=LONGEST_SECRET => Ok(secret),
            _ => bail!("a secret has at most {LONGEST_SECRET} bytes; agree on a shorter one"),
        }
    }
}

/// Reads a secret without the line end. A secret that is too long is returned with its excess, so that the caller can
/// refuse it.
fn read_from(from: impl Read) -> io::Result<Secret> {
    // The buffer never grows, so that no copy of the secret stays in freed memory.
    let mut bytes = Vec::with_capacity(LONGEST_SECRET + 64);
    from.take(LONGEST_SECRET as u64 + 3).read_to_end(&mut bytes)?;
    let end = bytes.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    bytes.truncate(end);
    Ok(Secret::new(bytes))
}

/// Asks a person for a secret, and waits for the result.
pub(super) fn verify(
    host: &Client,
    account: &AccountName,
    jid: &BareJid,
    question: Option<&str>,
    from: &SecretArgs,
    as_json: bool,
) -> anyhow::Result<()> {
    let secret = from.read(jid, as_json)?;
    let question = question.map(|question| format!("&question={}", escaped(question))).unwrap_or_default();
    let path = format!("/v1/accounts/{account}/keys/verify?jid={}{question}", escaped(jid.as_str()));
    target::say(&format!("asking {jid}, who has five minutes to answer; Ctrl-C gives up"));
    let compared = waited(|| host.compare::<Compared>(&path, &secret))?;
    told(&compared, as_json)
}

/// Answers a person who asks for a secret, and waits for the result.
pub(super) fn answer(
    host: &Client,
    account: &AccountName,
    jid: &BareJid,
    from: &SecretArgs,
    as_json: bool,
) -> anyhow::Result<()> {
    let all: Vec<Keys> = host.get(&format!("/v1/accounts/{account}/keys?jid={}", escaped(jid.as_str())))?;
    let open = all.iter().flat_map(|on| &on.comparisons).find(|open| open.asked);
    let open =
        open.ok_or_else(|| anyhow!("{jid} asks {account} for no secret now; a request counts for five minutes"))?;
    target::say(&asks(open));
    let secret = from.read(jid, as_json)?;
    let number = open.number;
    let path = format!("/v1/accounts/{account}/keys/answer?jid={}&number={number}", escaped(jid.as_str()));
    target::say(&format!("waiting for the result of the comparison with {jid}; Ctrl-C cancels"));
    let compared = waited(|| host.compare::<Compared>(&path, &secret))?;
    told(&compared, as_json)
}

/// Says what a person asks, and with which key.
fn asks(open: &Comparison) -> String {
    let question = match open.question.as_deref().filter(|question| !question.trim().is_empty()) {
        Some(question) => format!("asks {}", quoted_untrusted(question, usize::MAX)),
        None => "asks for the secret, without a question".to_owned(),
    };
    format!("{} {question}\nOTR {}", open.jid, shown(&open.fingerprint))
}

/// Says who asks for a secret, and how to answer.
pub(super) fn hint(account: &str, open: &Comparison) -> String {
    let question = match open.question.as_deref().filter(|question| !question.trim().is_empty()) {
        Some(question) => format!(": {}", quoted_untrusted(question, usize::MAX)),
        None => String::new(),
    };
    if !open.asked {
        return format!("{} is asked to compare a secret{question}\n", open.jid);
    }
    let word = shell_word(&open.jid);
    format!("{} asks to compare a secret{question}\n  answer: parlor keys {account} answer {word}\n", open.jid)
}

/// Shows the result. Only that both have entered the same is a success.
fn told(compared: &Compared, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        print_json(compared)?;
    }
    let Compared { jid, outcome, trust, .. } = compared;
    match outcome.as_str() {
        "same" if as_json => Ok(()),
        "same" => print(&same(compared)),
        "different" => {
            let says = format!(
                "{jid} entered something else. The key stays {trust}: one of you mistyped the secret, or somebody in between \
                 has a key of their own there"
            );
            Err(Ended::Different(says).into())
        }
        "timed-out" => bail!("nothing was compared: {jid} did not answer in time"),
        _ => bail!("nothing was compared: it was given up, or the conversation with {jid} has ended"),
    }
}

/// Says that both have entered the same, and what follows from it.
fn same(compared: &Compared) -> String {
    let Compared { account, jid, fingerprint, trust, .. } = compared;
    let key = format!("  OTR\n    {}", shown(fingerprint));
    if trust == "trusted" {
        return format!("{jid} entered the same, so the key is trusted\n{key}");
    }
    let ask = format!("  ask in turn: parlor keys {account} verify {}", shell_word(jid));
    format!(
        "{jid} entered the same, and now knows who you are. The key stays {trust}: {jid} chose the question, as somebody in between \
         could\n{key}\n{ask}"
    )
}

/// Shows on a terminal for how long somebody is waited for.
fn waited<T>(wait: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return wait();
    }
    thread::scope(|scope| {
        let (waits, has_ended) = mpsc::channel::<Infallible>();
        scope.spawn(move || {
            let began = Instant::now();
            while has_ended.recv_timeout(STEP) == Err(RecvTimeoutError::Timeout) {
                // The comparison continues even if this cannot be shown.
                let _ = write!(io::stderr(), "\r{} s", began.elapsed().as_secs());
            }
            let _ = write!(io::stderr(), "\r\x1b[K");
        });
        let result = wait();
        drop(waits);
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(question: Option<&str>, asked: bool) -> Comparison {
        Comparison {
            number: 3,
            jid: "a;b@example.org".to_owned(),
            fingerprint: "0123abcd".repeat(5),
            question: question.map(str::to_owned),
            asked,
            since: "2026-11-26T08:00:00Z".to_owned(),
        }
    }

    fn compared(outcome: &str) -> Compared {
        Compared {
            account: "main".to_owned(),
            jid: "juliet@example.org".to_owned(),
            fingerprint: "0123abcd".repeat(5),
            outcome: outcome.to_owned(),
            trust: "blind".to_owned(),
        }
    }

    #[test]
    fn a_secret_is_read_without_its_line_end_and_whole() {
        for (given, read) in [("a b \n", "a b "), ("ä\r\n", "ä"), ("x", "x"), ("\n", ""), ("", "")] {
            assert_eq!(&*read_from(given.as_bytes()).unwrap(), read.as_bytes());
        }
        let longest = "x".repeat(LONGEST_SECRET);
        assert_eq!(read_from(format!("{longest}\r\n").as_bytes()).unwrap().len(), LONGEST_SECRET);
        assert!(read_from(format!("{longest}y").as_bytes()).unwrap().len() > LONGEST_SECRET);
    }

    #[test]
    fn who_asks_is_shown_with_the_command_to_answer() {
        let hint = |question, asked| hint("main", &open(question, asked));
        assert_eq!(
            hint(Some("what sang?"), true),
            "a;b@example.org asks to compare a secret: “what sang?”\n  answer: parlor keys main answer 'a;b@example.org'\n"
        );
        assert_eq!(hint(Some(" "), false), "a;b@example.org is asked to compare a secret\n");
        assert!(
            asks(&open(Some("a” and its key is trusted “"), true))
                .contains(" asks “a' and its key is trusted '”\nOTR ")
        );
        assert!(asks(&open(None, true)).contains("without a question\nOTR 0123ABCD "));
    }

    #[test]
    fn the_same_secret_is_a_success_and_says_so_if_the_key_is_not_trusted() {
        told(&compared("same"), false).unwrap();
        let said = same(&compared("same"));
        assert!(said.contains("The key stays blind: juliet@example.org chose the question"), "{said}");
        assert!(said.ends_with("parlor keys main verify juliet@example.org"), "{said}");
        let said = same(&Compared { trust: "trusted".to_owned(), ..compared("same") });
        assert!(said.starts_with("juliet@example.org entered the same, so the key is trusted\n  OTR\n"), "{said}");
    }

    #[test]
    fn only_the_same_secret_is_a_success() {
        for (outcome, says) in
            [("different", "something else"), ("timed-out", "in time"), ("aborted", "given up"), ("new", "given up")]
        {
            let error = told(&compared(outcome), false).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(error.is::<Ended>(), outcome == "different");
        }
    }
}

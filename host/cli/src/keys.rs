//! `parlor keys`: shows the keys for encrypted messages, decides about those of others, and makes new ones.

mod compare;
mod screen;

use clap::{Arg, Args, Subcommand};
use compare::SecretArgs;
use jid::BareJid;
use parlor::control::client::escaped;
use parlor::control::views::{Keys, shown};
use parlor_base::nearest::{nearest, suggestion};
use parlor_config::{AccountName, Config};
use screen::{decided, fingerprints, known};

use super::Ended;
use super::ask::Terminal;
use super::show::{print, print_json};
use super::target::{self, Target};

/// The names of the subcommands, for those who mistype one.
const ACTIONS: [&str; 7] = ["list", "fingerprint", "verify", "answer", "trust", "distrust", "reset"];
/// The number of hex digits of a fingerprint of OMEMO.
const OMEMO: usize = 64;
/// The number of hex digits of a fingerprint of OTR.
const OTR: usize = 40;

/// The arguments of `parlor keys`.
#[derive(Debug, Args)]
#[command(
    mut_args(everywhere),
    after_help = "Nothing that it shows is secret: a fingerprint is for others to compare. The host has to run.\n\nExamples:\n  parlor keys                                        the keys of all accounts and of others\n  parlor keys fingerprint                            what to read out to somebody who compares\n  parlor keys list juliet@example.org                the keys of one person\n  parlor keys trust juliet@example.org FINGERPRINT   after you compared it with hers\n  parlor keys second distrust juliet@example.org --all\n  parlor keys verify juliet@example.org              compare a secret instead, off the record\n  parlor keys second reset                           new keys for the account called second\n\nExit codes: 0 shown or done, 1 failed, such as for a key that is not known, 3 not agreed to, 4 no host runs, 5 a node of the cluster did not answer, 2 wrong usage"
)]
pub struct KeysArgs {
    /// The name of the account. Without it, all are shown; a change needs it if there are several.
    account: Option<AccountName>,
    /// The same as ACCOUNT, as with other commands.
    #[arg(long = "account", value_name = "NAME")]
    named: Option<AccountName>,
    #[command(subcommand)]
    action: Option<Action>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the keys that accounts know of others, with what is decided about each
    #[command(
        after_help = "A key is `trusted` or `distrusted` by you, `blind` (it gets messages until you compare a key of that person) or `undecided` (it gets none).\n\nExamples:\n  parlor keys list\n  parlor keys main list juliet@example.org --json\n\nExit codes: 0 shown, 1 failed, 4 no host runs, 5 a node of the cluster did not answer, 2 wrong usage"
    )]
    List {
        /// Only those of this person.
        jid: Option<BareJid>,
    },
    /// Show the account's own fingerprints, for others to compare
    #[command(
        after_help = "Example:\n  parlor keys fingerprint\n\nExit codes: 0 shown, 1 failed, 4 no host runs, 5 a node of the cluster did not answer, 2 wrong usage"
    )]
    Fingerprint,
    /// Compare a secret with a person off the record, and trust their key if it is the same
    #[command(
        after_help = "You and that person each enter a secret that nobody else knows, and each learns only whether both were the same. You need a conversation by OTR: ask the person to begin one in their client. The command asks for the secret on the terminal, or reads it from --secret-file or standard input. It cannot be an argument, since others can read those. The person has five minutes, and Ctrl-C cancels.\n\nExamples:\n  parlor keys verify juliet@example.org\n  parlor keys main verify juliet@example.org --question 'what sang?'\n  pass show juliet | parlor keys verify juliet@example.org --secret-file - --json\n\nExit codes: 0 the same, and the key is trusted, 5 different, and the key stays as it was, 1 given up, no answer in time, or failed, 4 no host runs, 2 wrong usage"
    )]
    Verify {
        /// The person.
        jid: BareJid,
        /// A question that tells the person what to enter.
        #[arg(long, value_name = "TEXT")]
        question: Option<String>,
        #[command(flatten)]
        secret: SecretArgs,
    },
    /// Answer a person who asks for a secret to compare
    #[command(
        after_help = "`parlor keys` shows who asks, and owners get a message. You have five minutes to answer. See `parlor keys verify --help` for what is compared. If both enter the same, the key is trusted, unless that person chose a question: somebody in between can ask for what they know themselves.\n\nExamples:\n  parlor keys answer juliet@example.org\n  parlor keys main answer juliet@example.org --secret-file secret.txt\n\nExit codes: 0 the same, 5 different, and the key stays as it was, 1 nobody asks, given up, no answer in time, or failed, 4 no host runs, 2 wrong usage"
    )]
    Answer {
        /// The person.
        jid: BareJid,
        #[command(flatten)]
        secret: SecretArgs,
    },
    /// Trust a key of a person, after you compared its fingerprint
    #[command(
        after_help = "Compare the fingerprint over another channel than this account: in person, or by telephone. After you trust one key of a person, their later keys get no messages until you decide.\n\nExamples:\n  parlor keys trust juliet@example.org 0123abcd 4567ef01 ...\n  parlor keys main trust juliet@example.org 0123ABCD0123ABCD0123ABCD0123ABCD0123ABCD\n\nExit codes: 0 done, 1 it knows no such key, or failed, 4 no host runs, 2 wrong usage"
    )]
    Trust {
        /// The person.
        jid: BareJid,
        /// All of the fingerprint: 64 hex digits for OMEMO, 40 for OTR; spaces and colons do not count.
        #[arg(required = true)]
        fingerprint: Vec<String>,
    },
    /// Distrust a key of a person: it gets no messages, and what it sends is refused
    #[command(
        after_help = "Examples:\n  parlor keys distrust juliet@example.org 0123abcd 4567ef01 ...\n  parlor keys distrust juliet@example.org --all\n\nExit codes: 0 done, 1 it knows no such key, or failed, 4 no host runs, 2 wrong usage"
    )]
    Distrust {
        /// The person.
        jid: BareJid,
        /// All of the fingerprint, as for `trust`.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        fingerprint: Vec<String>,
        /// All keys of that person that the account knows.
        #[arg(long)]
        all: bool,
    },
    /// Make new keys for an account; whoever verified the former ones has to do so again
    #[command(
        after_help = "Do that if somebody else may have the data folder. Your decisions about keys of others stay.\n\nExamples:\n  parlor keys main reset\n  parlor keys main reset --yes\n\nExit codes: 0 done, 1 failed, 3 not agreed to, 4 no host runs, 2 wrong usage"
    )]
    Reset {
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
}

/// Lets a flag stand before and after the subcommand.
fn everywhere(argument: Arg) -> Arg {
    if argument.is_positional() { argument } else { argument.global(true) }
}

impl KeysArgs {
    /// Does what was asked, and shows the result.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load()?;
        if let (Some(one), Some(other)) = (&self.account, &self.named) {
            let says = format!("the account is given twice, as {one} and as {other}: give it once");
            return Err(Ended::Usage(says).into());
        }
        if let Some(name) = self.account().filter(|name| !config.accounts.contains_key(*name)) {
            return Err(self.unknown(name, &config));
        }
        match &self.action {
            None => self.look(&config, None, known),
            Some(Action::List { jid }) => self.look(&config, jid.as_ref(), known),
            Some(Action::Fingerprint) => self.look(&config, None, fingerprints),
            Some(Action::Verify { jid, question, secret }) => {
                let name = self.one(&config, "verify")?;
                compare::verify(&target::running(&config)?, name, jid, question.as_deref(), secret, self.json)
            }
            Some(Action::Answer { jid, secret }) => {
                let name = self.one(&config, "answer")?;
                compare::answer(&target::running(&config)?, name, jid, secret, self.json)
            }
            Some(Action::Trust { jid, fingerprint }) => {
                let digits = digits(fingerprint)?;
                self.decide(&config, "trust", jid, Some(&digits))
            }
            Some(Action::Distrust { jid, fingerprint, all }) => {
                let digits = if *all { None } else { Some(digits(fingerprint)?) };
                self.decide(&config, "distrust", jid, digits.as_deref())
            }
            Some(Action::Reset { yes }) => self.reset(&config, *yes),
        }
    }

    /// Returns the account that is named, if one is.
    fn account(&self) -> Option<&AccountName> {
        self.account.as_ref().or(self.named.as_ref())
    }

    /// Shows the keys of the account, or of all.
    fn look(&self, config: &Config, jid: Option<&BareJid>, screen: fn(&[Keys]) -> String) -> anyhow::Result<()> {
        let host = target::running(config)?;
        let of = match self.account() {
            Some(name) => format!("/v1/accounts/{name}/keys"),
            None => "/v1/keys".to_owned(),
        };
        let person = jid.map(|jid| format!("?jid={}", escaped(jid.as_str()))).unwrap_or_default();
        let all: Vec<Keys> = host.get(&format!("{of}{person}"))?;
        let shown = if self.json { print_json(&all) } else { print(&screen(&all)) };
        shown.and_then(|()| target::whole(&host))
    }

    /// Decides about a key of a person, or about all of them.
    fn decide(&self, config: &Config, what: &str, jid: &BareJid, fingerprint: Option<&str>) -> anyhow::Result<()> {
        let name = self.one(config, what)?;
        let host = target::running(config)?;
        let key = fingerprint.map(|digits| format!("&fingerprint={digits}")).unwrap_or_default();
        let path = format!("/v1/accounts/{name}/keys/{what}?jid={}{key}", escaped(jid.as_str()));
        let all: Vec<Keys> = host.post(&path)?;
        if self.json {
            return print_json(&all);
        }
        let which =
            fingerprint.map_or_else(|| format!("all keys of {jid}"), |digits| format!("{jid}, {}", shown(digits)));
        print(&format!("{name} {what}s {which}\n{}", decided(&all)))
    }

    /// Makes new keys for an account, if its owner agrees.
    fn reset(&self, config: &Config, yes: bool) -> anyhow::Result<()> {
        let name = self.one(config, "reset")?;
        // Check this before asking: the owner should not agree to an impossible action.
        let host = target::running(config)?;
        if !yes {
            self.agree(name)?;
        }
        let all: Vec<Keys> = host.post(&format!("/v1/accounts/{name}/keys/reset"))?;
        if self.json { print_json(&all) } else { print(&format!("{name} has new keys\n\n{}", fingerprints(&all))) }
    }

    fn agree(&self, name: &AccountName) -> anyhow::Result<()> {
        let what = format!("make new keys for {name}");
        let terminal = Terminal::for_consent(self.json, &what)?;
        target::say(&format!(
            "Everybody who compared a fingerprint of {name} has to compare the new one. Messages that were encrypted for the \
             former keys and have not come yet cannot be read any more. OTR conversations end. Your decisions about keys of \
             others stay."
        ));
        terminal.consent(&format!("Really {what}?"))
    }

    /// Returns the account that a change is for.
    fn one<'a>(&'a self, config: &'a Config, what: &str) -> anyhow::Result<&'a AccountName> {
        let mut names = config.accounts.keys();
        match (self.account(), names.next(), names.next()) {
            (Some(name), ..) | (None, Some(name), None) => Ok(name),
            (None, first, _) => {
                let first = first.map(ToString::to_string).unwrap_or_default();
                let says = format!("there are several accounts: name one, as in `parlor keys {first} {what}`");
                Err(Ended::Usage(says).into())
            }
        }
    }

    /// Returns the error for a name that no account has. It may be a subcommand that was mistyped.
    fn unknown(&self, name: &AccountName, config: &Config) -> anyhow::Error {
        let word = name.as_str();
        let near = nearest(word, config.accounts.keys().map(AccountName::as_str).chain(ACTIONS));
        if self.action.is_none() && near.is_some_and(|near| ACTIONS.contains(&near)) {
            let near = suggestion(near);
            return Ended::Usage(format!("there is no account {word}, and no `parlor keys {word}`{near}")).into();
        }
        target::no_account(config, name)
    }
}

/// Returns the digits of a fingerprint as it was typed or copied from a client: in groups, with colons, or in capitals.
/// An incomplete fingerprint is refused, since an attacker can make a key with the same first digits.
fn digits(typed: &[String]) -> Result<String, Ended> {
    let typed = typed.concat();
    let digits: String = typed.chars().filter(|one| !one.is_whitespace() && !":-".contains(*one)).collect();
    let digits = digits.to_ascii_lowercase();
    if let Some(wrong) = digits.chars().find(|one| !one.is_ascii_hexdigit()) {
        return Err(Ended::Usage(format!("a fingerprint has the digits 0 to 9 and a to f alone, and no {wrong:?}")));
    }
    // Some clients show the byte before the key that says what kind of key it is.
    let digits = match digits.strip_prefix("05") {
        Some(rest) if rest.len() == OMEMO => rest.to_owned(),
        _ => digits,
    };
    if [OMEMO, OTR].contains(&digits.len()) {
        return Ok(digits);
    }
    let length = digits.len();
    Err(Ended::Usage(format!(
        "a fingerprint has {OMEMO} digits (OMEMO) or {OTR} (OTR), and this one {length}: compare and copy all of it"
    )))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        keys: KeysArgs,
    }

    fn typed(line: &str) -> Result<KeysArgs, clap::Error> {
        Typed::try_parse_from(line.split(' ')).map(|typed| typed.keys)
    }

    #[test]
    fn an_account_may_stand_before_the_action_and_flags_anywhere() {
        for line in ["keys", "keys main", "keys list", "keys main list", "keys main list juliet@example.org"] {
            let keys = typed(line).unwrap();
            assert_eq!(keys.account.is_some(), line.contains("main"), "{line}");
            assert_eq!(keys.action.is_some(), line.contains("list"), "{line}");
        }
        for line in ["keys --json main list", "keys main --json list", "keys main list --json", "keys --json"] {
            assert!(typed(line).unwrap().json, "{line}");
        }
        for line in ["keys --account main", "keys --account main list", "keys list --account main", "keys main list"] {
            assert_eq!(typed(line).unwrap().account().map(AccountName::as_str), Some("main"), "{line}");
        }
        let keys = typed("keys list --config other.toml").unwrap();
        assert_eq!(keys.target.config.as_deref(), Some(std::path::Path::new("other.toml")));
    }

    #[test]
    fn what_is_mistyped_is_refused_with_what_may_be_meant() {
        let error = typed("keys main lsit").unwrap_err();
        assert!(error.to_string().contains("list"), "{error}");
        assert_eq!(error.exit_code(), 2);
        for line in [
            "keys trust juliet@example.org",
            "keys distrust juliet@example.org",
            "keys trust juliet@example.org/balcony 01",
            "keys distrust juliet@example.org 01 --all",
            // A secret cannot be passed as an argument.
            "keys answer juliet@example.org nightingale",
            "keys verify juliet@example.org --secret nightingale",
        ] {
            assert_eq!(typed(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn a_fingerprint_is_read_as_clients_show_it() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let omemo = "0123abcd".repeat(8);
        let shown = ["0123ABCD"; 8].join(" ");
        assert_eq!(digits(&words(&shown)).unwrap(), omemo);
        assert_eq!(digits(&[shown]).unwrap(), omemo);
        assert_eq!(digits(&[format!("05{omemo}")]).unwrap(), omemo);
        assert_eq!(digits(&words(&["ABCD:0123"; 5].join("-"))).unwrap(), "abcd0123".repeat(5));
        for wrong in ["", "0123abcd", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64)] {
            assert!(matches!(digits(&[wrong.to_owned()]), Err(Ended::Usage(_))), "{wrong}");
        }
    }
}

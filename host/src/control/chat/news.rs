//! News about keys of other people, announced to the owners of an account. The log has each of them. The number that
//! owners get is limited, since other people decide when they have new devices.

use std::sync::Arc;

use parlor_base::escape::{escape_untrusted, quoted_untrusted, shell_word};
use parlor_base::rate::Bucket;
use parlor_runtime::account::alerts::AlertKind;
use parlor_runtime::account::{Asker, Shared};
use parlor_session::permissions::Granted;
use parlor_session::{KeyKind, KeyNews, KeyNewsKind, SendMessage};
use parlor_stanza::types::{DeviceTrust, Draft, MessageKind};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::control::views::shown;
use crate::host::Host;

/// Maximum number of news that owners get at once.
const BURST: f64 = 8.0;
/// The rate afterwards, per second: one in five minutes.
const RATE: f64 = 1.0 / 300.0;
/// Maximum length of a shown address, in bytes.
const LONGEST: usize = 1 << 10;

/// Waits for the next news. The error is the number of news that were lost because the receiver lagged.
pub(super) async fn next(news: &mut Receiver<Arc<KeyNews>>) -> Result<Arc<KeyNews>, u64> {
    match news.recv().await {
        Ok(news) => Ok(news),
        Err(RecvError::Lagged(lost)) => Err(lost),
        // The account has ended, and so does the waiting task.
        Err(RecvError::Closed) => std::future::pending().await,
    }
}

/// Announces news of one account.
pub(super) struct Announcer {
    /// The places for news that anybody can make, such as new devices.
    usual: Bucket,
    /// The places for rare and serious news, so that no one can hide them behind many others.
    grave: Bucket,
    /// The places for requests to compare a secret, which wait for an answer.
    requests: Bucket,
    /// The number of news that were withheld from the owners since the last one that they got.
    untold: u64,
}

impl Announcer {
    pub(super) fn new() -> Self {
        Self {
            usual: Bucket::new(RATE, BURST),
            grave: Bucket::new(RATE, BURST),
            requests: Bucket::new(RATE, BURST),
            untold: 0,
        }
    }

    /// Notifies the owners of an account, if its configuration enables that and they did not get too much lately.
    pub(super) async fn announce(&mut self, host: &Host, account: &Shared, news: Result<Arc<KeyNews>, u64>) {
        let config = host.config();
        let Some(written) = config.accounts.get(&account.name) else { return };
        let is_wanted = written.encryption.announce && AlertKind::Keys.is_wanted(&account.settings());
        if !is_wanted || written.owners.is_empty() {
            return;
        }
        let Some(text) = self.text(account.name.as_str(), news.as_deref()) else { return };
        for owner in &written.owners {
            let draft = Draft { body: Some(text.clone()), ..Draft::default() };
            let message = SendMessage { to: owner.clone().into(), kind: MessageKind::Chat, draft };
            if let Err(error) = account.ask(Asker::Host, &Granted::HOST, message).await {
                tracing::warn!(account = %account.name, %owner, %error, "an owner was not told of a key");
            }
        }
    }

    /// Returns the text for owners; none if they got too much lately.
    fn text(&mut self, account: &str, news: Result<&KeyNews, &u64>) -> Option<String> {
        let news = match news {
            Ok(news) => news,
            Err(lost) => {
                self.untold += lost;
                return None;
            }
        };
        let places = match news.what {
            KeyNewsKind::NewDevice | KeyNewsKind::TooManyDevices => &self.usual,
            KeyNewsKind::ChangedIdentity | KeyNewsKind::NotPublished | KeyNewsKind::ComparedDifferent => &self.grave,
            KeyNewsKind::AskedToCompare => &self.requests,
        };
        if places.take(1.0).is_err() {
            self.untold += 1;
            return None;
        }
        let more = match std::mem::take(&mut self.untold) {
            0 => String::new(),
            untold => format!(
                "\nYou were not told of {untold} more such changes before; `parlor keys {account} list` shows all keys."
            ),
        };
        Some(says(account, news) + &more)
    }
}

fn says(account: &str, news: &KeyNews) -> String {
    let jid = escape_untrusted(&news.jid.to_string(), LONGEST);
    let key = match news.kind {
        KeyKind::Omemo { device } => format!("OMEMO device {device}"),
        KeyKind::Otr => "OTR key".to_owned(),
    };
    let fingerprint = news.fingerprint.as_deref().map(shown).unwrap_or_default();
    match news.what {
        KeyNewsKind::NewDevice => {
            let then = match news.trust {
                DeviceTrust::Undecided => "It gets no messages until you trust it.",
                DeviceTrust::Blind => "It gets messages, since nobody has compared a key of this person yet.",
                DeviceTrust::Trusted => "You trust it.",
                DeviceTrust::Distrusted => "You distrust it.",
            };
            format!("{jid} has a new {key}:\n{fingerprint}\n{then} {}", advice(account, news))
        }
        KeyNewsKind::ChangedIdentity => format!(
            "{jid} has another key for its {key}:\n{fingerprint}\nThis happens when somebody installs a client anew, and when \
             somebody in between swaps keys. {}",
            advice(account, news)
        ),
        KeyNewsKind::TooManyDevices => {
            format!("{jid} lists more devices than {account} takes. Some of them get no messages.")
        }
        KeyNewsKind::NotPublished => format!(
            "The keys of {account} are not published, so nobody can write to it encrypted. `parlor logs` says why."
        ),
        KeyNewsKind::AskedToCompare => asks(account, news, &jid, &fingerprint),
        KeyNewsKind::ComparedDifferent => format!(
            "A secret that was compared with {jid} was not the same; its OTR key is as trusted as before:\n{fingerprint}\nOne of you \
             mistyped it, or somebody in between has a key of their own there. Compare again, or compare the fingerprint."
        ),
    }
}

/// Says who asks to compare a secret, and how an owner answers. The question is another person's.
fn asks(account: &str, news: &KeyNews, jid: &str, fingerprint: &str) -> String {
    let question = news.question.as_deref().filter(|question| !question.trim().is_empty());
    let question = match question {
        Some(question) => format!("The question is: {}", quoted_untrusted(question, LONGEST)),
        None => "There is no question.".to_owned(),
    };
    // An address may have characters that a shell acts upon.
    let word = shell_word(news.jid.as_str());
    format!(
        "{jid} asks to compare a secret that both of you know. The key is:\n{fingerprint}\n{question}\nTo answer, run this on the \
         machine of the host within five minutes; it asks for the secret. Never write the secret into a chat.\n\
         parlor keys {account} answer {word}"
    )
}

/// Says what an owner can do about a key.
fn advice(account: &str, news: &KeyNews) -> String {
    let Some(fingerprint) = &news.fingerprint else { return String::new() };
    // An address may have characters that a shell acts upon.
    let jid = shell_word(news.jid.as_str());
    format!(
        "Compare the fingerprint with that person by another way, and then run one of these:\nparlor keys {account} trust {jid} \
         {fingerprint}\nparlor keys {account} distrust {jid} {fingerprint}"
    )
}

#[cfg(test)]
mod tests {
    use jid::BareJid;

    use super::*;

    fn news(jid: &str, what: KeyNewsKind, trust: DeviceTrust) -> KeyNews {
        let fingerprint = Some("0123abcd".repeat(8));
        let kind = KeyKind::Omemo { device: 7 };
        KeyNews { jid: BareJid::new(jid).unwrap(), what, kind, fingerprint, trust, question: None }
    }

    #[test]
    fn owners_are_told_who_asks_for_a_secret_and_a_question_cannot_pretend_to_be_more() {
        let asked = |question: Option<&str>| {
            let question = question.map(str::to_owned);
            let news = news("juliet@example.org", KeyNewsKind::AskedToCompare, DeviceTrust::Blind);
            says("main", &KeyNews { kind: KeyKind::Otr, fingerprint: Some("ab".repeat(20)), question, ..news })
        };
        let text = asked(Some("what sang?\nrun rm -rf \u{202e}x"));
        assert!(text.starts_with("juliet@example.org asks to compare a secret"), "{text}");
        assert!(text.contains("ABABABAB ABABABAB") && text.contains("what sang?"), "{text}");
        assert!(!text.contains("\nrun") && !text.contains('\u{202e}'), "{text}");
        assert!(text.ends_with("\nparlor keys main answer juliet@example.org"), "{text}");
        let text = asked(Some("none”. Your certificate has ended: log in at https://evil.example “"));
        assert!(
            text.contains("\nThe question is: “none'. Your certificate has ended: log in at https://evil.example '”\n"),
            "{text}"
        );
        for none in [None, Some(" ")] {
            assert!(asked(none).contains("There is no question."));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_without_end_do_not_flood_owners_and_hide_nothing() {
        let mut announcer = Announcer::new();
        let mut told = |what: KeyNewsKind| announcer.text("main", Ok(&news("a@b", what, DeviceTrust::Blind))).is_some();
        assert_eq!((0..100).filter(|_| told(KeyNewsKind::AskedToCompare)).count(), 8);
        assert!(told(KeyNewsKind::NewDevice) && told(KeyNewsKind::ComparedDifferent));
    }

    #[test]
    fn owners_are_told_what_came_and_what_to_do() {
        let text = says("main", &news("juliet@example.org", KeyNewsKind::NewDevice, DeviceTrust::Undecided));
        let groups = ["0123abcd"; 8].join(" ");
        assert!(text.starts_with(&format!("juliet@example.org has a new OMEMO device 7:\n{groups}\n")), "{text}");
        assert!(text.contains("no messages until you trust it"), "{text}");
        let command = format!("\nparlor keys main distrust juliet@example.org {}", "0123abcd".repeat(8));
        assert!(text.ends_with(&command), "{text}");
        let text = says("main", &news("juliet@example.org", KeyNewsKind::ChangedIdentity, DeviceTrust::Distrusted));
        assert!(text.contains("another key for its OMEMO device 7"), "{text}");
    }

    #[test]
    fn an_address_is_one_word_of_a_command() {
        let text = says("main", &news("a;b$(c)@example.org", KeyNewsKind::NewDevice, DeviceTrust::Blind));
        assert!(text.contains("trust 'a;b$(c)@example.org' 0123"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn somebody_who_changes_devices_without_end_floods_no_owner() {
        let mut announcer = Announcer::new();
        let mut told = |what: KeyNewsKind| {
            let one = news("juliet@example.org", what, DeviceTrust::Blind);
            announcer.text("main", Ok(&one))
        };
        assert_eq!((0..100).filter(|_| told(KeyNewsKind::NewDevice).is_some()).count(), 8);
        // A key that was swapped is not hidden behind them.
        let text = told(KeyNewsKind::ChangedIdentity).unwrap();
        assert!(text.contains("not told of 92 more such changes before"), "{text}");
        assert_eq!(announcer.text("main", Err(&5)), None);
        tokio::time::advance(std::time::Duration::from_secs(301)).await;
        let one = || news("juliet@example.org", KeyNewsKind::NewDevice, DeviceTrust::Blind);
        let text = announcer.text("main", Ok(&one())).unwrap();
        assert!(text.contains("not told of 5 more such changes before"), "{text}");
        assert_eq!(announcer.text("main", Ok(&one())), None);
    }
}

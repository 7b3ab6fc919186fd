//! News about keys of other people, announced to the owners of an account. The log has each of them, and owners are told of
//! only so many: people choose when they have new devices.

use parlor_base::escape::{escape_untrusted, shell_word};
use parlor_base::rate::Bucket;
use parlor_runtime::account::alerts::AlertKind;
use parlor_runtime::account::{Asker, Shared};
use parlor_session::permissions::Granted;
use parlor_session::{KeyKind, KeyNews, KeyNewsKind, SendMessage};
use parlor_stanza::types::{DeviceTrust, Draft, MessageKind};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::control::views::shown;
use crate::host::Host;

/// How many news owners are told at once.
const BURST: f64 = 8.0;
/// How many they are told a second afterwards: one in five minutes.
const RATE: f64 = 1.0 / 300.0;
/// The most of an address that is shown, in bytes.
const LONGEST: usize = 1 << 10;

/// Waits for the next news. The error is how many came while nobody waited, and are lost.
pub(super) async fn next(news: &mut Receiver<KeyNews>) -> Result<KeyNews, u64> {
    match news.recv().await {
        Ok(news) => Ok(news),
        Err(RecvError::Lagged(lost)) => Err(lost),
        // The account has ended, and so does whoever waits here.
        Err(RecvError::Closed) => std::future::pending().await,
    }
}

/// Announces news of one account.
pub(super) struct Announcer {
    /// The places for news that anybody can make, such as new devices.
    usual: Bucket,
    /// The places for news that are rare and grave, so that nobody hides one behind many others.
    grave: Bucket,
    /// How many news owners were not told of since they were last told of one.
    untold: u64,
}

impl Announcer {
    pub(super) fn new() -> Self {
        Self { usual: Bucket::new(RATE, BURST), grave: Bucket::new(RATE, BURST), untold: 0 }
    }

    /// Tells the owners of an account, if its configuration says so and they were not told too much lately.
    pub(super) async fn announce(&mut self, host: &Host, account: &Shared, news: Result<KeyNews, u64>) {
        let config = host.config();
        let Some(written) = config.accounts.get(&account.name) else { return };
        let is_wanted = written.encryption.announce && AlertKind::Keys.is_wanted(&account.settings());
        if !is_wanted || written.owners.is_empty() {
            return;
        }
        let Some(text) = self.text(account.name.as_str(), news) else { return };
        for owner in &written.owners {
            let draft = Draft { body: Some(text.clone()), ..Draft::default() };
            let message = SendMessage { to: owner.clone().into(), kind: MessageKind::Chat, draft };
            if let Err(error) = account.ask(Asker::Host, &Granted::HOST, message).await {
                tracing::warn!(account = %account.name, %owner, %error, "an owner was not told of a key");
            }
        }
    }

    /// Returns the text for owners; none if they were told too much lately.
    fn text(&mut self, account: &str, news: Result<KeyNews, u64>) -> Option<String> {
        let news = match news {
            Ok(news) => news,
            Err(lost) => {
                self.untold += lost;
                return None;
            }
        };
        let places = match news.what {
            KeyNewsKind::NewDevice | KeyNewsKind::TooManyDevices => &self.usual,
            KeyNewsKind::ChangedIdentity | KeyNewsKind::NotPublished => &self.grave,
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
        Some(says(account, &news) + &more)
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
    }
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
        KeyNews { jid: BareJid::new(jid).unwrap(), what, kind: KeyKind::Omemo { device: 7 }, fingerprint, trust }
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
            announcer.text("main", Ok(one))
        };
        assert_eq!((0..100).filter(|_| told(KeyNewsKind::NewDevice).is_some()).count(), 8);
        // A key that was swapped is not hidden behind them.
        let text = told(KeyNewsKind::ChangedIdentity).unwrap();
        assert!(text.contains("not told of 92 more such changes before"), "{text}");
        assert_eq!(announcer.text("main", Err(5)), None);
        tokio::time::advance(std::time::Duration::from_secs(301)).await;
        let one = || news("juliet@example.org", KeyNewsKind::NewDevice, DeviceTrust::Blind);
        let text = announcer.text("main", Ok(one())).unwrap();
        assert!(text.contains("not told of 5 more such changes before"), "{text}");
        assert_eq!(announcer.text("main", Ok(one())), None);
    }
}

//! The requests about the keys of accounts for encrypted messages.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jid::BareJid;
use parlor_base::escape::escape_untrusted;
use parlor_config::AccountName;
use parlor_runtime::account::Shared;
use parlor_session::{AnswerComparison, BeginComparison};
use parlor_stanza::error::CallError;
use parlor_stanza::types::DeviceTrust;
use parlor_store::By;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

use crate::control::http::{Answer, json};
use crate::control::reach::reached;
use crate::control::refusal::Refusal;
use crate::control::request::Request;
use crate::control::show;
use crate::control::views::Keys;
use crate::host::keys::Undecided;
use crate::host::{Host, keys};

/// How long a comparison that is given up may take to end.
const GIVING_UP: Duration = Duration::from_secs(5);
/// The most of an address that is shown, in bytes.
const LONGEST: usize = 1 << 10;

/// Answers with the keys of each account that the session reaches.
pub(super) async fn all(host: &Host, request: &Request) -> Result<Answer, Refusal> {
    let person = person(request)?;
    let mut shown = Vec::new();
    for account in reached(host, request) {
        match look(&account, person.clone()).await {
            // An account that is being removed has no keys to show.
            Err(Refusal::Keys(CallError::Stopped)) => {}
            looked => shown.push(looked?),
        }
    }
    json(&shown)
}

/// Answers with the keys of one account.
pub(super) async fn of(host: &Host, name: &str, request: &Request) -> Result<Answer, Refusal> {
    let account = account(host, name)?;
    json(&[look(&account, person(request)?).await?])
}

/// Trusts or distrusts a key of a person, and answers with that person's keys.
pub(super) async fn decide(
    host: &Host,
    name: &str,
    request: &Request,
    trust: DeviceTrust,
    by: &By,
) -> Result<Answer, Refusal> {
    let account = account(host, name)?;
    let person = somebody(request)?;
    let fingerprint = request.value("fingerprint").map(str::to_owned);
    // All keys of a person at once can only be distrusted: they were not all compared.
    if fingerprint.is_none() && matches!(trust, DeviceTrust::Trusted) {
        return Err(Refusal::Value("`fingerprint` names the key".to_owned()));
    }
    keys::decide(host, &account, &person, fingerprint, trust, by).await.map_err(|error| match error {
        Undecided::Call(CallError::NotFound(_)) => {
            Refusal::NoKey { account: account.name.clone(), jid: escape_untrusted(person.as_str(), LONGEST) }
        }
        error => Refusal::from(error),
    })?;
    json(&[look(&account, Some(person)).await?])
}

/// Makes new keys for an account, and answers with its keys.
pub(super) async fn reset(host: &Host, name: &str, by: &By) -> Result<Answer, Refusal> {
    let account = account(host, name)?;
    keys::reset(host, &account, by).await?;
    json(&[look(&account, None).await?])
}

/// Compares a secret with a person, at either side's request, and answers with the result. A client that disconnects
/// before has it given up.
pub(super) async fn compare(
    host: &Host,
    name: &str,
    request: &Request,
    is_answer: bool,
    mut client: impl AsyncRead + Unpin,
    by: &By,
) -> Result<Answer, Refusal> {
    let (account, jid) = (account(host, name)?, somebody(request)?);
    let number = request.value("number").map(str::parse::<u64>).transpose();
    let number = number.map_err(|_| Refusal::Value("`number` is the number of a comparison".to_owned()))?;
    let question = request.value("question").map(str::to_owned);
    let secret = request.body.clone();
    let mut compared = pin!(async {
        if is_answer {
            let command = AnswerComparison { jid: jid.clone(), number, secret };
            keys::compare(host, &account, &jid, command, by).await
        } else {
            let command = BeginComparison { jid: jid.clone(), secret, question };
            keys::compare(host, &account, &jid, command, by).await
        }
    });
    let mut nothing = [0; 1];
    let compared = tokio::select! {
        biased;
        compared = &mut compared => compared,
        _ = client.read(&mut nothing) => {
            keys::give_up(&account, &jid).await.map_err(Refusal::Keys)?;
            // If it had begun, it has ended, and a result from just before is recorded.
            let Ok(compared) = timeout(GIVING_UP, compared).await else {
                keys::give_up(&account, &jid).await.map_err(Refusal::Keys)?;
                return Err(Refusal::Keys(CallError::Stopped));
            };
            compared
        }
    };
    json(&show::compared(&account, &jid, &compared?))
}

async fn look(account: &Shared, person: Option<BareJid>) -> Result<Keys, Refusal> {
    Ok(show::keys(account, &keys::list(account, person).await.map_err(Refusal::Keys)?))
}

fn account(host: &Host, name: &str) -> Result<Arc<Shared>, Refusal> {
    let name = name.parse::<AccountName>().map_err(|error| Refusal::Value(error.to_string()))?;
    let unknown = || Refusal::NoAccount(format!("{name}; `parlor status` shows those that it has"));
    host.account(&name).ok_or_else(unknown)
}

fn somebody(request: &Request) -> Result<BareJid, Refusal> {
    person(request)?.ok_or_else(|| Refusal::Value("`jid` is the address of a person".to_owned()))
}

fn person(request: &Request) -> Result<Option<BareJid>, Refusal> {
    let parsed = request.value("jid").map(BareJid::new).transpose();
    parsed.map_err(|error| Refusal::Value(format!("`jid` is no address: {error}")))
}

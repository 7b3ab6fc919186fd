//! `parlor say`: sends a message as an account.

use clap::Args;
use parlor::control::addresses;
use parlor::control::client::escaped;
use parlor::control::views::Said;

use super::Ended;
use super::target::{AccountRequest, flag, typed};

/// The arguments of `parlor say`.
#[derive(Debug, Args)]
#[command(
    mut_arg("account", AccountRequest::of_one),
    after_help = "The command writes to a room that the account is in, to an occupant (room@service/nick), or to a person. For a person who is no contact, give --new. The message is encrypted end to end if the chat is. No plugin or hook sees it before it is sent.\n\nExamples:\n  parlor say juliet@example.org 'I am back.'\n  parlor say hall@muc.example.org 'Maintenance at nine.'\n\nExit codes: 0 sent, or queued until the account is connected again, 1 it cannot be sent, 4 no host runs, 2 wrong usage"
)]
pub struct SayArgs {
    /// The recipient: a room, an occupant or a person.
    to: String,
    /// The text, at most 4 KiB, in quotes.
    #[arg(required = true)]
    text: Vec<String>,
    /// Write although the account does not know this address.
    #[arg(long)]
    new: bool,
    #[command(flatten)]
    request: AccountRequest,
}

impl SayArgs {
    /// Has the host send the message.
    pub fn run(&self) -> anyhow::Result<()> {
        typed(addresses::recipient(&self.to))?;
        let text = self.words()?;
        let (to, text, new) = (escaped(&self.to), escaped(text), flag("new", self.new));
        let path = self.request.path(&format!("/v1/say?to={to}&text={text}{new}"));
        let said: Said = self.request.host()?.post(&path)?;
        self.request.show(&said, || told(&said))
    }

    /// Returns the text. Several words without quotes are refused: the shell may have changed what is between them.
    fn words(&self) -> anyhow::Result<&str> {
        match &self.text[..] {
            [text] if !text.is_empty() => Ok(text),
            [first, _, ..] => {
                let sentence = format!("the text has to be one argument: put it in quotes, such as '{first} …'");
                Err(Ended::Usage(sentence).into())
            }
            _ => Err(Ended::Usage("there is no text to say".to_owned()).into()),
        }
    }
}

/// Says whether the message was sent.
fn told(said: &Said) -> String {
    let Said { account, to, queued, .. } = said;
    if *queued {
        format!("account {account} is not connected; the message to {to} waits until it is connected again\n")
    } else {
        format!("account {account} told {to}\n")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        say: SayArgs,
    }

    #[test]
    fn a_text_without_quotes_is_refused_with_a_hint_at_them() {
        let say =
            |words: &[&str]| Typed::try_parse_from(["say", "hall@muc.example.org"].iter().chain(words)).unwrap().say;
        assert_eq!(say(&["hi all"]).words().unwrap(), "hi all");
        let error = say(&["hi", "all"]).words().unwrap_err().to_string();
        assert_eq!(error, "the text has to be one argument: put it in quotes, such as 'hi …'");
        assert!(Typed::try_parse_from(["say", "hall@muc.example.org"]).is_err());
        assert_eq!(say(&[""]).words().unwrap_err().to_string(), "there is no text to say");
    }

    #[test]
    fn a_message_that_waits_is_not_called_sent() {
        let said = |queued| Said { account: "main".to_owned(), to: "a@b".to_owned(), id: "1".to_owned(), queued };
        assert_eq!(told(&said(false)), "account main told a@b\n");
        let waits = told(&said(true));
        assert!(waits.contains("is not connected") && !waits.contains("told"), "{waits}");
    }
}

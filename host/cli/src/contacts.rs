//! `parlor contacts`: the people in the rosters of accounts, and those who ask to be there.

use clap::{Args, Subcommand};
use parlor::control::addresses;
use parlor::control::client::escaped;
use parlor::control::views::{People, Person};

use super::fleet::MANY;
use super::show::{Put as _, on_node, table};
use super::target::{self, AccountRequest};

/// The arguments of `parlor contacts`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Without a command it lists the contacts. A person whose SUBSCRIPTION ends with `asks` wants to see when the account is online. PLUGINS names those that added or changed a contact: what they made of it lets nobody give a command.\n\nExamples:\n  parlor contacts                  the contacts of every account\n  parlor contacts --account main   those of one account\n  parlor contacts --json           the same for programs\n  parlor contacts accept juliet@example.org   lets her see it\n  parlor contacts deny juliet@example.org     does not\n\nExit codes: 0 shown or done, 1 failed, 4 no host runs, 5 a node of the cluster did not answer, 2 wrong usage"
)]
pub struct ContactsArgs {
    #[command(subcommand)]
    command: Option<ContactsCommand>,
    #[command(flatten)]
    request: AccountRequest,
}

#[derive(Debug, Subcommand)]
enum ContactsCommand {
    /// Let a person who asks see when the account is online.
    Accept(AnswerArgs),
    /// Deny that to a person who asks.
    Deny(AnswerArgs),
}

/// The request that is answered.
#[derive(Debug, Args)]
#[command(
    mut_arg("account", AccountRequest::of_one),
    after_help = "`parlor contacts` lists the people who ask. If a person asks several accounts, name one.\n\nExamples:\n  parlor contacts accept juliet@example.org\n  parlor contacts deny juliet@example.org --account main\n\nExit codes: 0 done, 1 nobody of this address asks, or it cannot be done, 4 no host runs, 2 wrong usage"
)]
struct AnswerArgs {
    /// The address of the person.
    jid: String,
    #[command(flatten)]
    request: AccountRequest,
}

impl AnswerArgs {
    fn post(&self, step: &str, does: &str) -> anyhow::Result<()> {
        target::typed(addresses::person(&self.jid))?;
        let path = format!("/v1/contacts/{step}?jid={}", escaped(&self.jid));
        let people: Vec<People> = self.request.host()?.post(&self.request.path(&path))?;
        self.request.show(&people, || answered(&people, &self.jid, does))
    }
}

impl ContactsArgs {
    /// Shows the contacts, or answers a request.
    pub fn run(&self) -> anyhow::Result<()> {
        match &self.command {
            None => self.list(),
            Some(ContactsCommand::Accept(answer)) => answer.post("accept", "accepts"),
            Some(ContactsCommand::Deny(answer)) => answer.post("deny", "denies"),
        }
    }

    fn list(&self) -> anyhow::Result<()> {
        let host = self.request.host()?;
        let people: Vec<People> = host.get(&self.request.path("/v1/contacts"))?;
        self.request.show(&people, || screen(&people))?;
        target::whole(&host)
    }
}

/// The head of a list. The last column is left out where no plugin has changed a contact.
const HEAD: [&str; 6] = ["CONTACT", "NAME", "STATUS", "SUBSCRIPTION", "GROUPS", "PLUGINS"];

/// Says which account has answered the request of a person. All of its contacts would hide that.
fn answered(all: &[People], jid: &str, does: &str) -> String {
    let mut text = String::new();
    for People { account, node, .. } in all {
        text.put(format_args!("account {account}{} {does} the request of {jid}\n", on_node(node.as_deref())));
    }
    text
}

/// Shows the contacts of each account. Of many accounts, those without contacts are only counted.
fn screen(all: &[People]) -> String {
    let mut text = String::new();
    let is_left_out = |people: &&People| all.len() > MANY && people.contacts.is_empty();
    for people in all.iter().filter(|people| !is_left_out(people)) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.put(format_args!("account {}{}\n", people.account, on_node(people.node.as_deref())));
        if people.contacts.is_empty() {
            text.push_str(if people.known {
                "no contacts\n"
            } else {
                "its contacts have not come from the server yet\n"
            });
            continue;
        }
        let (mut head, mut rows) = (HEAD.to_vec(), people.contacts.iter().map(row).collect::<Vec<_>>());
        if people.contacts.iter().all(|person| person.plugins.is_empty()) {
            head.truncate(HEAD.len() - 1);
            for row in &mut rows {
                row.truncate(HEAD.len() - 1);
            }
        }
        text.push_str(&table(&head, &rows));
    }
    let (known, unknown): (Vec<_>, Vec<_>) = all.iter().filter(is_left_out).partition(|people| people.known);
    for (names, what) in [(known, "no contacts"), (unknown, "contacts that have not come from the server yet")] {
        if !names.is_empty() {
            let line = if text.is_empty() { "" } else { "\n" };
            text.put(format_args!("{line}accounts with {what}: {} of {}\n", names.len(), all.len()));
        }
    }
    text
}

fn row(person: &Person) -> Vec<String> {
    let [groups, plugins] =
        [&person.groups, &person.plugins].map(|names| if names.is_empty() { "-".to_owned() } else { names.join(", ") });
    vec![person.jid.clone(), person.name.clone(), person.status.clone(), subscription(person), groups, plugins]
}

/// Returns who sees whose presence, and whether the person asks for more.
pub(super) fn subscription(person: &Person) -> String {
    if person.asks { format!("{}, asks", person.subscription) } else { person.subscription.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_with_its_account_and_without_all_contacts() {
        let main = People { account: "main".to_owned(), node: None, known: true, contacts: Vec::new() };
        let told = |people: People| answered(&[people], "paris@example.org", "denies");
        assert_eq!(told(main.clone()), "account main denies the request of paris@example.org\n");
        let far = told(People { node: Some("two".to_owned()), ..main });
        assert_eq!(far, "account main, node two denies the request of paris@example.org\n");
    }

    #[test]
    fn of_many_accounts_those_without_contacts_are_counted() {
        let people = |number: usize| People {
            account: format!("shop-{number}"),
            node: None,
            known: number > 2,
            contacts: Vec::new(),
        };
        let all: Vec<_> = (0..21).map(people).collect();
        let counts = "accounts with no contacts: 18 of 21\n\n\
                      accounts with contacts that have not come from the server yet: 3 of 21\n";
        assert_eq!(screen(&all), counts);
        assert!(screen(&all[1..]).starts_with("account shop-1\n"), "each of 20 is shown");
    }

    #[test]
    fn people_who_only_ask_are_told_from_contacts() {
        let person = |jid: &str, asks: bool| Person {
            jid: jid.to_owned(),
            name: jid.to_owned(),
            subscription: if asks { "none" } else { "both" }.to_owned(),
            status: "online".to_owned(),
            asks,
            groups: Vec::new(),
            plugins: Vec::new(),
        };
        let people =
            |account: &str, known: bool, contacts| People { account: account.to_owned(), node: None, known, contacts };
        let all = [
            people("main", true, vec![person("a@example.org", false), person("b@example.org", true)]),
            people("new", false, Vec::new()),
            people("spare", true, Vec::new()),
            People { node: Some("two".to_owned()), ..people("far", true, Vec::new()) },
        ];
        assert_eq!(
            screen(&all),
            "account main\n\
             CONTACT        NAME           STATUS  SUBSCRIPTION  GROUPS\n\
             a@example.org  a@example.org  online  both          -\n\
             b@example.org  b@example.org  online  none, asks    -\n\
             \naccount new\nits contacts have not come from the server yet\n\
             \naccount spare\nno contacts\n\
             \naccount far, node two\nno contacts\n"
        );
        // What it made of the contact gives nobody a command.
        let welcomed = Person { plugins: vec!["welcome".to_owned()], ..person("a@example.org", false) };
        assert_eq!(
            screen(&[people("main", true, vec![welcomed, person("b@example.org", true)])]),
            "account main\n\
             CONTACT        NAME           STATUS  SUBSCRIPTION  GROUPS  PLUGINS\n\
             a@example.org  a@example.org  online  both          -       welcome\n\
             b@example.org  b@example.org  online  none, asks    -       -\n"
        );
    }
}

//! `parlor contacts`: the people in the rosters of accounts.

use clap::Args;
use parlor::control::views::{People, Person};
use parlor_config::AccountName;

use super::rooms::of;
use super::show::{Put as _, on_node, print, print_json, table};
use super::target::{self, Target};

/// The arguments of `parlor contacts`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor contacts                  the contacts of every account\n  parlor contacts --account main   those of one account\n  parlor contacts --json           the same for programs\n\nExit codes: 0 shown, 1 failed, 4 no host runs, 5 a node of the cluster did not answer, 2 wrong usage"
)]
pub struct ContactsArgs {
    /// Only of this account.
    #[arg(long, value_name = "NAME")]
    account: Option<AccountName>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl ContactsArgs {
    /// Shows the contacts.
    pub fn run(&self) -> anyhow::Result<()> {
        let host = target::running(&self.target.load_to_look()?)?;
        let people: Vec<People> = host.get(&format!("/v1/contacts{}", of(self.account.as_ref())))?;
        let shown = if self.json { print_json(&people) } else { print(&screen(&people)) };
        shown.and_then(|()| target::whole(&host))
    }
}

fn screen(all: &[People]) -> String {
    let mut text = String::new();
    for people in all {
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
        let rows: Vec<_> = people.contacts.iter().map(row).collect();
        text.push_str(&table(&["CONTACT", "NAME", "STATUS", "SUBSCRIPTION", "GROUPS"], &rows));
    }
    text
}

fn row(person: &Person) -> Vec<String> {
    let groups = if person.groups.is_empty() { "-".to_owned() } else { person.groups.join(", ") };
    vec![person.jid.clone(), person.name.clone(), person.status.clone(), subscription(person), groups]
}

/// Returns who sees whose presence, and whether the person asks for more.
pub(super) fn subscription(person: &Person) -> String {
    if person.asks { format!("{}, asks", person.subscription) } else { person.subscription.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_who_only_ask_are_told_from_contacts() {
        let person = |jid: &str, asks: bool| Person {
            jid: jid.to_owned(),
            name: jid.to_owned(),
            subscription: if asks { "none" } else { "both" }.to_owned(),
            status: "online".to_owned(),
            asks,
            groups: Vec::new(),
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
    }
}

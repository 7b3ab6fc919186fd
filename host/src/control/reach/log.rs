//! The lines of the log about a plugin, as a session of some accounts may see them.

use super::Reach;
use crate::control::lines::SAYS;
use crate::control::views::Line;

/// The lines of the host about a plugin on one account that say nothing of the host and of others. The rest may name its files,
/// memory and other accounts.
const TOLD: [&str; 5] =
    ["plugin running", "plugin stopped", "plugin ended", "plugin declined to start", "plugin failed while stopping"];
/// The fields of lines that are told.
const FIELDS: [&str; 4] = ["plugin", "account", "reason", "failures"];

impl Reach {
    /// Returns a line as somebody who has some accounts may see it; none if it is not about a plugin on one of these.
    pub(super) fn line(&self, mut line: Line) -> Option<Line> {
        let is_own = line.fields.get("account").is_some_and(|account| self.has(account));
        let is_told = line.target == SAYS || TOLD.contains(&line.message.as_str());
        if !is_own || !is_told || !line.fields.contains_key("plugin") {
            return None;
        }
        line.fields.retain(|name, _| FIELDS.contains(&name.as_str()));
        // All lines of the host are counted together.
        line.number = 0;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::reach;
    use super::*;

    fn line(target: &str, message: &str, fields: &[(&str, &str)]) -> Line {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Line {
            number: 7,
            at: "2026-11-20T08:00:00Z".to_owned(),
            level: "info".to_owned(),
            target: target.to_owned(),
            message: message.to_owned(),
            fields,
        }
    }

    #[test]
    fn lines_of_a_plugin_are_told_of_the_own_accounts_alone() {
        let reach = reach();
        let on = |account: &'static str| [("plugin", "both"), ("account", account)];
        let own = reach.line(line(SAYS, "hello", &on("red"))).unwrap();
        assert_eq!((own.number, own.message.as_str(), own.fields["account"].as_str()), (0, "hello", "red"));
        assert_eq!(reach.line(line(SAYS, "hello", &on("blue"))), None);
        // It may be about any account.
        assert_eq!(reach.line(line(SAYS, "hello", &[("plugin", "both")])), None);
        assert_eq!(reach.line(line(SAYS, "hello", &[("account", "red")])), None);
        let at = "parlor_runtime::supervisor::runs";
        let fields = [on("red"), [("reason", "it trapped"), ("node", "two")]].concat();
        let ended = reach.line(line(at, "plugin ended", &fields)).unwrap();
        assert_eq!(ended.fields["reason"], "it trapped");
        assert!(!ended.fields.contains_key("node"), "{ended:?}");
        let fault = line(at, "the addresses of its webhooks cannot be read", &fields);
        assert_eq!(reach.line(fault), None, "it names files of the host");
    }
}

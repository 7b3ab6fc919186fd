//! Hints about the forms that people open in a test.

use parlor_base::nearest::nearest;

use super::super::script::Act;
use super::super::server::FormAct;
use super::Stage;

impl Stage {
    /// Returns a hint if a step opens the form of a command that the plugin does not have and that is nearly the name of
    /// one. The account's answer has only a condition, as on a server.
    pub fn hint(&self, act: &Act) -> Option<String> {
        let Act::Form { does: FormAct::Opens(command), .. } = act else { return None };
        let instance = self.plugin.as_ref()?.instance()?;
        unknown(command, instance.called(&[]).keys().map(String::as_str))
    }
}

fn unknown<'a>(command: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    // With a dot, it may be that of another plugin.
    if command.contains('.') || known.clone().any(|name| name == command) {
        return None;
    }
    nearest(command, known).map(|near| format!("the plugin has no command {command}; did you mean {near}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_is_nearly_another_one_is_named() {
        let hint = |command: &str| unknown(command, ["roll", "stats"].into_iter());
        assert_eq!(hint("rol").as_deref(), Some("the plugin has no command rol; did you mean roll?"));
        for command in ["roll", "weather", "dice.rol"] {
            assert_eq!(hint(command), None, "{command}");
        }
    }
}

//! Registering and answering commands that people give.

use std::sync::Arc;

use jid::FullJid;
use parlor_base::id::{InstanceId, PluginId};
use parlor_stanza::error::CallError;
use parlor_stanza::types::Message;

use super::Command;
use crate::answer::Answer;
use crate::command_names::ChosenNames;
use crate::commands::declaration::Declared;
use crate::commands::filling::FormAnswer;
use crate::commands::people::Around;
use crate::commands::{Added, New, Reading, Spoken};
use crate::encryption::sending::may_answer_in_form;
use crate::features::{Features, ad_hoc};
use crate::router::Mailbox;
use crate::turn::Turn;

/// Register a command that people can give to the plugin, which reads its arguments.
#[derive(Debug)]
pub struct AddCommand {
    /// The calling instance's mailbox, with its grants.
    pub mailbox: Arc<Mailbox>,
    /// The owner's names and rules for the plugin's commands.
    pub names: Arc<ChosenNames>,
    /// The plugin of the instance.
    pub plugin: PluginId,
    /// The command with its help.
    pub spoken: Spoken,
    /// Maximum number of commands that the plugin may have.
    pub most: usize,
}

impl Command for AddCommand {
    type Answer = Added;

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let Self { mailbox, names, plugin, spoken: Spoken { name, help, usage }, most } = self;
        let new = New { mailbox, names, plugin, most, name, help, reading: Reading::Plugin(usage) };
        let result = features.commands.add_command(new, turn);
        ad_hoc::announce(features, turn);
        turn.answer(answer, result);
    }
}

/// Register a command whose arguments the host reads.
#[derive(Debug)]
pub struct DeclareCommand {
    /// The calling instance's mailbox, with its grants.
    pub mailbox: Arc<Mailbox>,
    /// The owner's names and rules for the plugin's commands.
    pub names: Arc<ChosenNames>,
    /// The plugin of the instance.
    pub plugin: PluginId,
    /// The command, which was checked.
    pub declared: Declared,
    /// Maximum number of commands that the plugin may have.
    pub most: usize,
}

impl Command for DeclareCommand {
    type Answer = Added;

    const SENDS: bool = false;

    fn weight(&self) -> usize {
        self.declared.weight()
    }

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let Self { mailbox, names, plugin, declared, most } = self;
        let (name, help) = (declared.name.clone(), declared.help.clone());
        let reading = Reading::Host(Box::new(declared));
        let result = features.commands.add_command(New { mailbox, names, plugin, most, name, help, reading }, turn);
        ad_hoc::announce(features, turn);
        turn.answer(answer, result);
    }
}

/// Remove a command of the plugin. Answered with the name under which the command was registered.
#[derive(Debug)]
pub struct RemoveCommand {
    /// The calling instance.
    pub by: InstanceId,
    /// The plugin of the instance.
    pub plugin: PluginId,
    /// The name of the command.
    pub name: String,
}

impl Command for RemoveCommand {
    type Answer = String;

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let result = features.commands.remove_command(self.by, &self.plugin, &self.name, turn);
        ad_hoc::announce(features, turn);
        turn.answer(answer, result);
    }
}

/// Free the short names of the commands of a plugin that no longer runs and does not come back.
#[derive(Debug)]
pub struct ForgetCommands {
    /// The plugin.
    pub plugin: PluginId,
}

impl Command for ForgetCommands {
    type Answer = ();

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        features.commands.forget_plugin(&self.plugin);
        turn.answer(answer, Ok(()));
    }
}

/// Answer a command that was given through a form, in the form. Answered when the answer is there for the person.
#[derive(Debug)]
pub struct AnswerForm {
    /// The plugin of the calling instance.
    pub plugin: PluginId,
    /// The id of the form.
    pub form: String,
    /// The answer.
    pub text: String,
    /// Whether it is progress, and another one follows.
    pub more: bool,
}

impl Command for AnswerForm {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let result = self.put(features, turn);
        turn.answer(answer, result);
    }
}

impl AnswerForm {
    fn put(self, features: &mut Features, turn: &mut Turn<'_>) -> Result<(), CallError> {
        let Self { plugin, form, text, more } = self;
        let Features { commands, rooms, roster, owners, encryption, .. } = features;
        let around = Around { rooms, roster, owners };
        let to = commands.form_of(&plugin, &form, around)?;
        if !text.is_empty() {
            may_answer_in_form(encryption, &to, &text, turn)?;
        }
        commands.answer_form(&form, FormAnswer { text, more }, turn);
        Ok(())
    }
}

/// Find the client whose form waits for a plugin's answer.
#[derive(Debug)]
pub struct FindForm {
    /// The plugin of the calling instance.
    pub plugin: PluginId,
    /// The id of the form.
    pub form: String,
}

impl Command for FindForm {
    type Answer = FullJid;

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let Self { plugin, form } = self;
        let Features { commands, rooms, roster, owners, .. } = features;
        let result = commands.form_of(&plugin, &form, Around { rooms, roster, owners });
        turn.answer(answer, result);
    }
}

/// Inform the person who gave a command that it failed. Answered when the reply is sent.
#[derive(Debug)]
pub struct AnswerFailed {
    /// The message with the command.
    pub message: Arc<Message>,
}

impl Command for AnswerFailed {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let words = turn.settings.failed_command_answer.clone();
        let result = if words.is_empty() {
            Ok(())
        } else {
            let Features { commands, rooms, roster, owners, .. } = features;
            commands.answer(&self.message, &words, Around { rooms, roster, owners }, turn)
        };
        turn.answer(answer, result);
    }
}

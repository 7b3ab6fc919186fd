//! `hooks`: verdicts about messages that other plugins send and get.

use parlor_session::permissions::{CallName, Target};
use parlor_stanza::altered::Texts;
use parlor_stanza::error::CallError;
use parlor_stanza::raw::is_one_line;
use wasmtime::component::Accessor;

use super::{answer, caller, text, words};
use crate::account::hooks::Point;
use crate::account::hooks::outgoing::changed_so;
use crate::bindings::parlor::plugin::hooks::{Host, HostWithStore};
use crate::bindings::parlor::plugin::types::Error;
use crate::instance::{Context, Grouping};
use crate::unanswered::Verdict;

/// Maximum length of an id, in bytes.
const LONGEST: usize = 64;
/// Maximum length of a label, in bytes.
const LONGEST_LABEL: usize = 64;
/// Maximum length of a reason, in bytes.
const LONGEST_REASON: usize = 4 << 10;

impl Host for Context {}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn allow(accessor: &Accessor<T, Self>, id: String) -> Result<(), Error> {
        answer(give(accessor, CallName::HooksAllow, &id, Ok(Verdict::Allow)))
    }

    async fn alter(
        accessor: &Accessor<T, Self>,
        id: String,
        body: Option<String>,
        subject: Option<String>,
    ) -> Result<(), Error> {
        answer(alter(accessor, &id, Texts { body, subject }))
    }

    async fn stop(accessor: &Accessor<T, Self>, id: String, reason: Option<String>) -> Result<(), Error> {
        answer(stop(accessor, &id, reason))
    }

    async fn mark(accessor: &Accessor<T, Self>, id: String, label: String) -> Result<(), Error> {
        answer(give(accessor, CallName::HooksMark, &id, labelled(&id, label)))
    }
}

/// Returns the verdict by which an outgoing message gets other texts.
fn other_texts(id: &str, texts: Texts) -> Result<Verdict, CallError> {
    if !Point::Outgoing.asked(id) {
        return Err(CallError::invalid("id", "is of no outgoing message, and only those are changed"));
    }
    if texts.change_nothing() {
        return Err(CallError::invalid("body", "is not given, and no subject; use `allow`"));
    }
    texts.check()?;
    Ok(Verdict::Alter(texts))
}

/// Returns the verdict by which an incoming message gets a label.
fn labelled(id: &str, label: String) -> Result<Verdict, CallError> {
    if !Point::Incoming.asked(id) {
        return Err(CallError::invalid("id", "is of no incoming message, and only those get labels"));
    }
    if label.is_empty() || label.len() > LONGEST_LABEL || !is_one_line(&label) {
        return Err(CallError::invalid("label", format!("is no line of 1 to {LONGEST_LABEL} bytes")));
    }
    Ok(Verdict::Mark(label))
}

/// Lets a message pass with other texts. With texts that cannot be sent it is stopped, and this is an error: the plugin wanted another
/// message than the one that the owner's `on_failure` could let pass.
fn alter<T: Send + 'static>(accessor: &Accessor<T, Grouping>, id: &str, texts: Texts) -> Result<(), CallError> {
    let wrong = texts.check().err().filter(|_| Point::Outgoing.asked(id));
    let Some(wrong) = wrong else { return give(accessor, CallName::HooksAlter, id, other_texts(id, texts)) };
    give_instead(accessor, CallName::HooksAlter, id, Verdict::Stop(Some(changed_so(&wrong))), wrong)
}

/// Stops a message or a command. A reason that cannot be used is left out, and an error. It may repeat what a stranger wrote, who
/// could otherwise make the owner's `on_failure` let pass what this plugin stops.
fn stop<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    id: &str,
    reason: Option<String>,
) -> Result<(), CallError> {
    let (reason, wrong) = usable(reason);
    let verdict = Verdict::Stop(reason);
    match wrong {
        Some(wrong) => give_instead(accessor, CallName::HooksStop, id, verdict, wrong),
        None => give(accessor, CallName::HooksStop, id, Ok(verdict)),
    }
}

/// Gives a verdict in place of one that cannot be used, and returns the error for that one.
fn give_instead<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    call: CallName,
    id: &str,
    verdict: Verdict,
    wrong: CallError,
) -> Result<(), CallError> {
    match give(accessor, call, id, Ok(verdict)) {
        Ok(()) | Err(CallError::NotFound(_)) => Err(wrong),
        refused => refused,
    }
}

/// Returns a reason that says something and can be used, or the error for one that cannot.
fn usable(reason: Option<String>) -> (Option<String>, Option<CallError>) {
    let Some(reason) = reason.filter(|reason| !reason.trim().is_empty()) else { return (None, None) };
    let wrong = words("reason", &reason, LONGEST_REASON).err();
    (wrong.is_none().then_some(reason), wrong)
}

/// Gives this plugin's verdict on a question.
fn give<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    call: CallName,
    id: &str,
    verdict: Result<Verdict, CallError>,
) -> Result<(), CallError> {
    let (instance, open) = caller(accessor, call)?;
    open.granted(Target::None)?;
    text("id", id, LONGEST)?;
    let verdict = verdict?;
    let not_found = || CallError::NotFound(format!("question {id}"));
    let waiting = instance.lasting.unanswered.hooks();
    if !waiting.waits(id) {
        return Err(not_found());
    }
    let bytes = match &verdict {
        Verdict::Alter(texts) => [&texts.body, &texts.subject].into_iter().flatten().map(String::len).sum(),
        Verdict::Stop(reason) => reason.as_ref().map_or(0, String::len),
        Verdict::Allow | Verdict::Mark(_) => 0,
    };
    // No pace: there is one verdict for each question.
    let _held = instance.hold(bytes)?;
    if waiting.answer(id, verdict) { Ok(()) } else { Err(not_found()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_says_nothing_is_none_and_one_that_cannot_be_used_is_left_out() {
        let of = |reason: &str| usable(Some(reason.to_owned()));
        assert_eq!((usable(None), of("no")), ((None, None), (Some("no".to_owned()), None)));
        assert_eq!((of(""), of(" \n")), ((None, None), (None, None)));
        for reason in ["a\u{1}b", &"x".repeat(LONGEST_REASON + 1)] {
            assert!(matches!(of(reason), (None, Some(CallError::Invalid { argument, .. })) if argument == "reason"));
        }
    }

    #[test]
    fn only_outgoing_messages_are_changed_and_only_incoming_ones_get_labels() {
        let texts = || Texts { body: Some("other".to_owned()), subject: None };
        assert_eq!(other_texts("hookOutgoing-1", texts()), Ok(Verdict::Alter(texts())));
        for (id, texts) in [("hookIncoming-1", texts()), ("1", texts()), ("hookOutgoing-1", Texts::default())] {
            assert!(matches!(other_texts(id, texts), Err(CallError::Invalid { .. })), "{id}");
        }
        assert_eq!(labelled("hookIncoming-1", "spam".to_owned()), Ok(Verdict::Mark("spam".to_owned())));
        for (id, label) in [
            ("hookOutgoing-1", "spam".to_owned()),
            ("hookIncoming-1", String::new()),
            ("hookIncoming-1", "a\nb".to_owned()),
            ("hookIncoming-1", "x".repeat(65)),
        ] {
            assert!(matches!(labelled(id, label), Err(CallError::Invalid { .. })), "{id}");
        }
    }
}

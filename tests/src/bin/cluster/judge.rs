//! Judges the answers: which messages were lost, which were answered twice, and what of that follows a kill, as the
//! documents say.

use std::collections::BTreeMap;
use std::time::Duration;

/// The longest time between the answer to a message and a kill after which the message may be handled again: the answer
/// was on its way to the client, or what the host had noted of it was not acknowledged yet.
pub(crate) const WINDOW: Duration = Duration::from_secs(1);

/// A message to an account, with its answers in the order in which they came. Times count from the begin of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// The number of the account.
    pub(crate) to: usize,
    pub(crate) at: Duration,
    pub(crate) answers: Vec<Answer>,
    /// Whether the server returned it, so that its sender knows that it did not arrive.
    pub(crate) was_returned: bool,
}

/// An answer to a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) at: Duration,
    /// What the plugin has noted; `None` if it was not to note the message.
    pub(crate) note: Option<Note>,
}

/// What a plugin has noted once it answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Note {
    /// How often it was told the message.
    pub(crate) times: u64,
    /// How many messages it was told that it was to note.
    pub(crate) count: u64,
}

/// A kill of the node that had an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Killed {
    pub(crate) account: usize,
    pub(crate) at: Duration,
}

/// What became of all messages, by their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Without an answer.
    pub(crate) lost: Vec<usize>,
    /// Returned by the server, and not answered.
    pub(crate) returned: Vec<usize>,
    /// Answered more than once for no reason that the documents name.
    pub(crate) doubled: Vec<usize>,
    /// Answered once more after a kill that came within [`WINDOW`] of the answer before.
    pub(crate) again: Vec<usize>,
    /// The messages whose answers say that a value was lost: the plugin had counted as many with a message before, or had
    /// not noted this one although it had answered it.
    pub(crate) forgotten: Vec<usize>,
    /// Answered, and not among what the plugin had noted in the end.
    pub(crate) not_noted: Vec<usize>,
}

impl Verdict {
    /// Returns how many values were acknowledged and lost.
    pub(crate) fn lost_values(&self) -> usize {
        self.forgotten.len() + self.not_noted.len()
    }

    /// Returns whether every message was answered, and handled once unless its handler was killed.
    pub(crate) fn is_good(&self) -> bool {
        self.lost.is_empty() && self.returned.is_empty() && self.doubled.is_empty() && self.lost_values() == 0
    }
}

/// Judges the messages. `noted` says whether the plugin of an account had noted a message in the end.
pub(crate) fn judge(said: &[Said], kills: &[Killed], noted: impl Fn(usize, usize) -> bool) -> Verdict {
    let mut verdict = Verdict::default();
    let mut counted: BTreeMap<(usize, u64), usize> = BTreeMap::new();
    for (number, one) in said.iter().enumerate() {
        if one.answers.is_empty() {
            let unanswered = if one.was_returned { &mut verdict.returned } else { &mut verdict.lost };
            unanswered.push(number);
            continue;
        }
        let pairs = || one.answers.iter().zip(one.answers.iter().skip(1));
        if pairs().any(|(first, next)| !follows_a_kill(one.to, first, next, kills)) {
            verdict.doubled.push(number);
        } else if one.answers.len() > 1 {
            verdict.again.push(number);
        }
        let counts: Vec<_> = one.answers.iter().filter_map(|answer| answer.note).collect();
        let is_forgotten = counts.iter().any(|note| counted.insert((one.to, note.count), number).is_some())
            || !counts.is_sorted_by(|first, next| first.times < next.times);
        if is_forgotten {
            verdict.forgotten.push(number);
        }
        if !counts.is_empty() && !noted(one.to, number) {
            verdict.not_noted.push(number);
        }
    }
    verdict
}

/// Returns whether the next answer may be there since the account's node was killed about when it gave the first.
fn follows_a_kill(account: usize, first: &Answer, next: &Answer, kills: &[Killed]) -> bool {
    let is_reason = |kill: &Killed| {
        kill.account == account && first.at <= kill.at + WINDOW && kill.at <= first.at + WINDOW && kill.at <= next.at
    };
    kills.iter().any(is_reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Messages to account 0, each with the moments of its answers.
    fn said(answers: &[&[u64]]) -> Vec<Said> {
        let mut count = 0;
        let mut said = Vec::new();
        for moments in answers {
            let mut one = Said::default();
            for (times, moment) in (1..).zip(*moments) {
                count += 1;
                one.answers.push(Answer { at: at(*moment), note: Some(Note { times, count }) });
            }
            said.push(one);
        }
        said
    }

    fn all_noted(_: usize, _: usize) -> bool {
        true
    }

    #[test]
    fn each_message_answered_once_is_good() {
        let verdict = judge(&said(&[&[10], &[20], &[30]]), &[], all_noted);
        assert_eq!(verdict, Verdict::default());
        assert!(verdict.is_good());
    }

    #[test]
    fn a_message_without_an_answer_is_lost_unless_it_was_returned() {
        let mut said = said(&[&[10], &[], &[]]);
        said[2].was_returned = true;
        let verdict = judge(&said, &[], all_noted);
        assert_eq!((&verdict.lost[..], &verdict.returned[..]), (&[1][..], &[2][..]));
        assert!(!verdict.is_good());
    }

    #[test]
    fn a_second_answer_is_doubled_unless_the_node_was_killed_about_then() {
        let said = said(&[&[5_000, 9_000]]);
        let killed = |account, millis| [Killed { account, at: at(millis) }];
        for none in [&[][..], &killed(1, 5_100), &killed(0, 3_900), &killed(0, 6_100), &killed(0, 9_001)] {
            let verdict = judge(&said, none, all_noted);
            assert_eq!((&verdict.doubled[..], &verdict.again[..]), (&[0][..], &[][..]), "{none:?}");
            assert!(!verdict.is_good());
        }
        for reason in [killed(0, 5_100), killed(0, 5_999), killed(0, 4_900)] {
            let verdict = judge(&said, &reason, all_noted);
            assert_eq!((&verdict.doubled[..], &verdict.again[..]), (&[][..], &[0][..]), "{reason:?}");
            assert!(verdict.is_good());
        }
    }

    #[test]
    fn each_answer_more_needs_a_kill_of_its_own() {
        let said = said(&[&[5_000, 9_000, 13_000]]);
        let one = Killed { account: 0, at: at(5_100) };
        assert_eq!(judge(&said, &[one], all_noted).doubled, [0]);
        let next = Killed { account: 0, at: at(9_500) };
        assert_eq!(judge(&said, &[one, next], all_noted).again, [0]);
    }

    #[test]
    fn a_count_that_comes_twice_or_a_note_that_is_gone_is_a_lost_value() {
        let mut twice = said(&[&[10], &[20]]);
        twice[1].answers[0].note = Some(Note { times: 1, count: 1 });
        assert_eq!(judge(&twice, &[], all_noted).forgotten, [1]);
        twice[1].to = 1;
        assert!(judge(&twice, &[], all_noted).is_good(), "each account counts on its own");
        let mut anew = said(&[&[5_000, 9_000]]);
        anew[0].answers[1].note = Some(Note { times: 1, count: 2 });
        assert_eq!(judge(&anew, &[Killed { account: 0, at: at(5_100) }], all_noted).forgotten, [0]);
        let gone = judge(&said(&[&[10], &[20]]), &[], |_, number| number != 1);
        assert_eq!(gone.not_noted, [1]);
        assert!(!gone.is_good());
        let mut plain = said(&[&[10], &[20]]);
        for one in &mut plain {
            one.answers[0].note = None;
        }
        assert!(judge(&plain, &[], |_, _| false).is_good(), "they were not to be noted");
    }
}

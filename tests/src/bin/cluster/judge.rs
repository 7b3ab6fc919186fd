//! Judges the answers: which messages were lost, which were answered twice, and what of that follows a kill, as the
//! documents say.

use std::collections::BTreeMap;
use std::time::Duration;

/// The longest time between the answer to a message and the end of its node's work, by a kill or a cut, after which the
/// message may be handled again: what the host had noted of it was not acknowledged yet.
pub(crate) const BEFORE: Duration = Duration::from_secs(1);
/// How long after that an answer may come that was on its way. A node that is cut off answers for longer than this if it
/// handles what it cannot note.
pub(crate) const AFTER: Duration = Duration::from_millis(400);

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
    /// The plugin's note of the message; `None` if it was not to note it.
    pub(crate) note: Option<Note>,
}

/// The note that a plugin has made of a message once it answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Note {
    /// How often it was told the message.
    pub(crate) times: u64,
    /// How many messages it was told that it was to note.
    pub(crate) count: u64,
}

/// A fault of the node that had an account, or of NATS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) account: usize,
    pub(crate) at: Duration,
    pub(crate) kind: Kind,
}

/// The effect of a fault on the work of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The node was killed, and no other one was broken at the time.
    Killed,
    /// The node was killed while another one was broken.
    KilledBesideAnother,
    /// The node was suspended, or cut off from NATS.
    Cut,
    /// The node gave its accounts away, or was slow.
    Orderly,
}

impl Kind {
    /// Returns whether handlers that run are lost.
    fn breaks_handlers(self) -> bool {
        self != Self::Orderly
    }

    fn is_kill(self) -> bool {
        matches!(self, Self::Killed | Self::KilledBesideAnother)
    }
}

/// The results for all messages, by their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Without an answer.
    pub(crate) lost: Vec<usize>,
    /// Returned by the server, and not answered.
    pub(crate) returned: Vec<usize>,
    /// Answered more than once for no reason that the documents name.
    pub(crate) doubled: Vec<usize>,
    /// Answered once more since the node was killed about when it gave the answer before.
    pub(crate) again_after_kill: Vec<usize>,
    /// Answered once more since the node was suspended, or cut off from NATS, about when it gave the answer before.
    pub(crate) again_after_cut: Vec<usize>,
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
pub(crate) fn judge(said: &[Said], hits: &[Hit], noted: impl Fn(usize, usize) -> bool) -> Verdict {
    let mut verdict = Verdict::default();
    let mut counted: BTreeMap<(usize, u64), usize> = BTreeMap::new();
    for (number, one) in said.iter().enumerate() {
        if one.answers.is_empty() {
            let unanswered = if one.was_returned { &mut verdict.returned } else { &mut verdict.lost };
            unanswered.push(number);
            continue;
        }
        let pairs = one.answers.iter().zip(one.answers.iter().skip(1));
        let reasons: Vec<_> = pairs.map(|(first, next)| reason(one.to, first, next, hits)).collect();
        if reasons.contains(&None) {
            verdict.doubled.push(number);
        } else if reasons.iter().flatten().any(|kind| !kind.is_kill()) {
            verdict.again_after_cut.push(number);
        } else if !reasons.is_empty() {
            verdict.again_after_kill.push(number);
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

/// Returns the fault of the account's node about when it gave the first answer, since which the next one may be there.
fn reason(account: usize, first: &Answer, next: &Answer, hits: &[Hit]) -> Option<Kind> {
    let is_reason = |hit: &&Hit| {
        let is_near = first.at <= hit.at + AFTER && hit.at <= first.at + BEFORE;
        hit.account == account && hit.kind.breaks_handlers() && is_near && hit.at <= next.at
    };
    let mut reasons = hits.iter().filter(is_reason).map(|hit| hit.kind);
    let first = reasons.next()?;
    Some(if first.is_kill() { first } else { reasons.find(|kind| kind.is_kill()).unwrap_or(first) })
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

    fn hit(account: usize, millis: u64, kind: Kind) -> Hit {
        Hit { account, at: at(millis), kind }
    }

    #[test]
    fn a_second_answer_is_doubled_unless_the_node_was_broken_about_then() {
        let said = said(&[&[5_000, 9_000]]);
        for kind in [Kind::Killed, Kind::KilledBesideAnother, Kind::Cut] {
            for none in [vec![], vec![hit(1, 5_100, kind)], vec![hit(0, 4_500, kind)], vec![hit(0, 6_100, kind)]] {
                let verdict = judge(&said, &none, all_noted);
                assert_eq!(verdict, Verdict { doubled: vec![0], ..Verdict::default() }, "{none:?}");
                assert!(!verdict.is_good());
            }
            for moment in [4_700, 5_100, 5_999] {
                let verdict = judge(&said, &[hit(0, moment, kind)], all_noted);
                let (kill, cut) = if kind == Kind::Cut { (vec![], vec![0]) } else { (vec![0], vec![]) };
                let expected = Verdict { again_after_kill: kill, again_after_cut: cut, ..Verdict::default() };
                assert_eq!(verdict, expected, "{moment} {kind:?}");
                assert!(verdict.is_good());
            }
        }
        let orderly = judge(&said, &[hit(0, 5_100, Kind::Orderly)], all_noted);
        assert_eq!(orderly.doubled, [0], "nothing is handled twice when an account is given away");
    }

    /// A message that a node answers long after it was cut off is not one that it was handling at the time of the cut.
    #[test]
    fn what_a_node_answers_for_long_after_a_cut_is_doubled() {
        let cut = [hit(0, 5_000, Kind::Cut)];
        let verdict = judge(&said(&[&[5_200, 8_000], &[5_900, 8_000], &[6_400, 8_000]]), &cut, all_noted);
        assert_eq!((&verdict.again_after_cut[..], &verdict.doubled[..]), (&[0][..], &[1, 2][..]));
    }

    #[test]
    fn each_answer_more_needs_a_kill_of_its_own() {
        let said = said(&[&[5_000, 9_000, 13_000]]);
        let one = hit(0, 5_100, Kind::Killed);
        assert_eq!(judge(&said, &[one], all_noted).doubled, [0]);
        let next = hit(0, 9_500, Kind::Killed);
        assert_eq!(judge(&said, &[one, next], all_noted).again_after_kill, [0]);
        let cut = hit(0, 9_500, Kind::Cut);
        assert_eq!(judge(&said, &[one, cut], all_noted).again_after_cut, [0]);
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
        assert_eq!(judge(&anew, &[hit(0, 5_100, Kind::Killed)], all_noted).forgotten, [0]);
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

//! A record of people in rooms, and the consequences of their messages. It calls nothing of the host's.

use std::collections::{BTreeMap, VecDeque};

use parlor_sdk::jiff::Timestamp;

/// The number of people that are remembered. Somebody who is forgotten starts without warnings and kicks.
const REMEMBERED: usize = 1_000;

/// The forbidden words, and the limits that decide when to warn, kick and ban.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Words, whatever their capitals.
    pub(crate) forbidden: Vec<String>,
    /// Warnings before a kick.
    pub(crate) warnings: u32,
    /// Kicks before a ban.
    pub(crate) kicks: u32,
    /// Messages that somebody may send
    pub(crate) messages: usize,
    /// within so many seconds.
    pub(crate) seconds: i64,
}

/// The measure taken against a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sentence {
    /// The first, second… of so many.
    Warning {
        nth: u32,
        of: u32,
    },
    Kick,
    Ban,
}

/// A room, and somebody in it.
type Who<'a> = (&'a str, &'a str);

/// The record of one person.
#[derive(Debug, Default)]
struct Record {
    warnings: u32,
    kicks: u32,
    /// When the last messages were sent.
    sent: VecDeque<Timestamp>,
}

/// The records of all people.
#[derive(Debug, Default)]
pub(crate) struct Book(BTreeMap<(String, String), Record>);

impl Book {
    /// Somebody says something. None: there is nothing wrong with it; else what is, and what follows.
    pub(crate) fn hear(
        &mut self,
        rules: &Rules,
        who: Who<'_>,
        body: &str,
        at: Timestamp,
    ) -> Option<(String, Sentence)> {
        if self.0.len() >= REMEMBERED {
            self.0.pop_first();
        }
        let record = self.0.entry((who.0.to_owned(), who.1.to_owned())).or_default();
        record.sent.push_back(at);
        while record.sent.front().is_some_and(|first| at.as_second() - first.as_second() >= rules.seconds) {
            record.sent.pop_front();
        }
        let offence = if let Some(word) = rules.unwanted(body) {
            format!("please do not say “{word}” here")
        } else if record.sent.len() > rules.messages {
            // One warning for all of them.
            record.sent.clear();
            "please say less, or more slowly".to_owned()
        } else {
            return None;
        };
        Some((offence, record.sentence(rules)))
    }

    /// Forgets somebody.
    pub(crate) fn forget(&mut self, who: Who<'_>) {
        self.0.remove(&(who.0.to_owned(), who.1.to_owned()));
    }
}

impl Record {
    fn sentence(&mut self, rules: &Rules) -> Sentence {
        if self.warnings < rules.warnings {
            self.warnings += 1;
            return Sentence::Warning { nth: self.warnings, of: rules.warnings };
        }
        self.warnings = 0;
        if self.kicks < rules.kicks {
            self.kicks += 1;
            return Sentence::Kick;
        }
        Sentence::Ban
    }
}

impl Rules {
    /// The first word that is not wanted.
    fn unwanted<'a>(&'a self, body: &str) -> Option<&'a str> {
        let mut words = body.split(|one: char| !one.is_alphanumeric()).map(str::to_lowercase);
        words.find_map(|word| self.forbidden.iter().find(|one| one.to_lowercase() == word)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: Who<'_> = ("room@x", "bob@x");

    fn rules() -> Rules {
        Rules { forbidden: vec!["Spam".to_owned()], warnings: 1, kicks: 1, messages: 2, seconds: 10 }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(second.unsigned_abs())
    }

    fn hear(book: &mut Book, body: &str, second: i64) -> Option<Sentence> {
        book.hear(&rules(), WHO, body, at(second)).map(|(_, sentence)| sentence)
    }

    #[test]
    fn patience_has_an_end() {
        let mut book = Book::default();
        let warning = Some(Sentence::Warning { nth: 1, of: 1 });
        assert_eq!(hear(&mut book, "a spammer is no SPAMMER", 0), None);
        for (second, sentence) in
            [(100, warning), (200, Some(Sentence::Kick)), (300, warning), (400, Some(Sentence::Ban))]
        {
            assert_eq!(hear(&mut book, "more (sPAM)!", second), sentence, "{second}");
        }
        book.forget(WHO);
        assert_eq!(hear(&mut book, "spam", 500), warning);
    }

    #[test]
    fn too_much_at_once_is_one_offence() {
        let mut book = Book::default();
        for second in [0, 9, 10, 20] {
            assert_eq!(hear(&mut book, "x", second), None, "{second}");
        }
        assert_eq!(hear(&mut book, "x", 21), None);
        assert_eq!(hear(&mut book, "x", 22), Some(Sentence::Warning { nth: 1, of: 1 }));
        assert_eq!(hear(&mut book, "x", 23), None);
        // Somebody else is not meant.
        assert_eq!(book.hear(&rules(), ("room@x", "carol@x"), "x", at(23)), None);
    }
}

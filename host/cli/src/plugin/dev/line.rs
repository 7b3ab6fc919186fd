//! A line editor with history. It handles keys, but knows neither the terminal nor the meaning of lines.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// How many lines the history keeps.
const REMEMBERED: usize = 500;
/// The longest line, in characters: a longer one was pasted by mistake.
const LONGEST: usize = 10_000;

/// The effect of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pressed {
    /// The line or the cursor changed.
    Edited,
    /// The line is complete.
    Line(String),
    /// The input ends.
    End,
}

/// A line that is being edited.
#[derive(Debug, Default)]
pub(super) struct Line {
    text: Vec<char>,
    /// The position of the cursor, in characters.
    at: usize,
    before: Vec<String>,
    /// The index of the shown history entry, with the unfinished line that it replaces.
    shown: Option<(usize, Vec<char>)>,
}

impl Line {
    /// Handles a key.
    pub(super) fn press(&mut self, key: KeyEvent) -> Pressed {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return Pressed::End,
            KeyCode::Char('d') if control && self.text.is_empty() => return Pressed::End,
            KeyCode::Char('a') if control => self.at = 0,
            KeyCode::Char('e') if control => self.at = self.text.len(),
            KeyCode::Char('u') if control => drop(self.text.drain(..std::mem::take(&mut self.at))),
            KeyCode::Char('w') if control => self.remove_word(),
            KeyCode::Char(typed) if !control && self.text.len() < LONGEST => {
                self.text.insert(self.at, typed);
                self.at += 1;
            }
            KeyCode::Backspace if self.at > 0 => {
                self.at -= 1;
                self.text.remove(self.at);
            }
            KeyCode::Delete if self.at < self.text.len() => drop(self.text.remove(self.at)),
            KeyCode::Left => self.at = self.at.saturating_sub(1),
            KeyCode::Right => self.at = (self.at + 1).min(self.text.len()),
            KeyCode::Home => self.at = 0,
            KeyCode::End => self.at = self.text.len(),
            KeyCode::Up => self.look_back(),
            KeyCode::Down => self.look_on(),
            KeyCode::Enter => return Pressed::Line(self.take()),
            _ => {}
        }
        Pressed::Edited
    }

    fn take(&mut self) -> String {
        let text: String = std::mem::take(&mut self.text).into_iter().collect();
        (self.at, self.shown) = (0, None);
        if !text.trim().is_empty() && self.before.last() != Some(&text) {
            self.before.push(text.clone());
            if self.before.len() > REMEMBERED {
                self.before.remove(0);
            }
        }
        text
    }

    fn remove_word(&mut self) {
        let begin = self.text[..self.at]
            .iter()
            .rposition(|one| !one.is_whitespace())
            .map_or(0, |end| self.text[..end].iter().rposition(|one| one.is_whitespace()).map_or(0, |space| space + 1));
        self.text.drain(begin..self.at);
        self.at = begin;
    }

    fn look_back(&mut self) {
        let older = self.shown.as_ref().map_or(self.before.len(), |(at, _)| *at).checked_sub(1);
        let Some(older) = older else { return };
        let typed = self.shown.take().map_or_else(|| std::mem::take(&mut self.text), |(_, typed)| typed);
        self.shown = Some((older, typed));
        self.text = self.before[older].chars().collect();
        self.at = self.text.len();
    }

    fn look_on(&mut self) {
        let Some((at, typed)) = self.shown.take() else { return };
        match self.before.get(at + 1) {
            Some(newer) => {
                self.text = newer.chars().collect();
                self.shown = Some((at + 1, typed));
            }
            None => self.text = typed,
        }
        self.at = self.text.len();
    }

    /// Returns the part of the line that fits into `columns`, and the cursor's column in it. Each character counts as
    /// one column.
    pub(super) fn part(&self, columns: usize) -> (String, usize) {
        // The cursor needs a column, too.
        let begin = (self.at + 1).saturating_sub(columns).min(self.at);
        (self.text.iter().skip(begin).take(columns.saturating_sub(1)).collect(), self.at - begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(line: &mut Line, code: KeyCode) -> Pressed {
        line.press(KeyEvent::new(code, KeyModifiers::NONE))
    }

    fn control(line: &mut Line, letter: char) -> Pressed {
        line.press(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL))
    }

    fn types(line: &mut Line, text: &str) {
        for one in text.chars() {
            assert_eq!(press(line, KeyCode::Char(one)), Pressed::Edited);
        }
    }

    fn enter(line: &mut Line) -> String {
        match press(line, KeyCode::Enter) {
            Pressed::Line(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_line_is_edited_where_the_cursor_stands() {
        let mut line = Line::default();
        types(&mut line, "helo wrd");
        for _ in 0..5 {
            press(&mut line, KeyCode::Left);
        }
        types(&mut line, "l");
        press(&mut line, KeyCode::End);
        press(&mut line, KeyCode::Backspace);
        types(&mut line, "ld");
        press(&mut line, KeyCode::Home);
        press(&mut line, KeyCode::Delete);
        types(&mut line, "H");
        assert_eq!(enter(&mut line), "Hello wrld");
        types(&mut line, "one two  ");
        control(&mut line, 'w');
        types(&mut line, "ä");
        control(&mut line, 'a');
        types(&mut line, "x");
        control(&mut line, 'e');
        types(&mut line, "y");
        assert_eq!(enter(&mut line), "xone äy");
        types(&mut line, "all of it");
        control(&mut line, 'u');
        assert_eq!(enter(&mut line), "");
    }

    #[test]
    fn arrows_show_what_was_typed_before_and_lose_nothing() {
        let mut line = Line::default();
        for text in ["one", "two", "two", "  "] {
            types(&mut line, text);
            enter(&mut line);
        }
        types(&mut line, "thr");
        for _ in 0..5 {
            press(&mut line, KeyCode::Up);
        }
        assert_eq!(line.part(80).0, "one");
        press(&mut line, KeyCode::Down);
        assert_eq!(line.part(80).0, "two");
        press(&mut line, KeyCode::Down);
        press(&mut line, KeyCode::Down);
        types(&mut line, "ee");
        assert_eq!(enter(&mut line), "three");
        press(&mut line, KeyCode::Up);
        types(&mut line, "!");
        assert_eq!(enter(&mut line), "three!");
    }

    #[test]
    fn a_narrow_terminal_shows_the_part_with_the_cursor() {
        let mut line = Line::default();
        types(&mut line, "0123456789");
        assert_eq!(line.part(80), ("0123456789".to_owned(), 10));
        assert_eq!(line.part(5), ("6789".to_owned(), 4));
        press(&mut line, KeyCode::Home);
        assert_eq!(line.part(5), ("0123".to_owned(), 0));
        assert_eq!(line.part(0), (String::new(), 0));
    }

    #[test]
    fn it_ends_by_the_keys_that_end_things() {
        let mut line = Line::default();
        assert_eq!(control(&mut line, 'd'), Pressed::End);
        types(&mut line, "x");
        assert_eq!(control(&mut line, 'd'), Pressed::Edited);
        assert_eq!(control(&mut line, 'c'), Pressed::End);
    }
}

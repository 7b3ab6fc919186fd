//! The picture on a screen: as much of a terminal as drawing programs need.

/// The characters on a screen, after everything that was written to it.
#[derive(Debug)]
pub(super) struct Picture {
    cells: Vec<Vec<char>>,
    row: usize,
    column: usize,
    /// An escape sequence that has begun.
    escape: Option<String>,
}

impl Picture {
    pub(super) fn new(rows: usize, columns: usize) -> Self {
        Self { cells: vec![vec![' '; columns]; rows], row: 0, column: 0, escape: None }
    }

    /// Resizes the picture. Existing characters stay.
    pub(super) fn resize(&mut self, rows: usize, columns: usize) {
        self.cells.resize(rows, Vec::new());
        for row in &mut self.cells {
            row.resize(columns, ' ');
        }
    }

    pub(super) fn write(&mut self, text: &str) {
        text.chars().for_each(|one| self.put(one));
    }

    fn put(&mut self, one: char) {
        if let Some(escape) = &mut self.escape {
            escape.push(one);
            // `ESC [`, parameters, a letter. Without the bracket, intermediate bytes of another kind follow (ECMA-48,
            // ECMA-35).
            let is_over = match escape.strip_prefix('[') {
                Some(order) => !order.is_empty() && ('@'..='~').contains(&one),
                None => !(' '..='/').contains(&one),
            };
            if is_over {
                let escape = self.escape.take().unwrap_or_default();
                self.obey(&escape);
            }
            return;
        }
        match one {
            '\x1b' => self.escape = Some(String::new()),
            '\r' => self.column = 0,
            '\n' => self.row += 1,
            one if one.is_control() => {}
            one => {
                if let Some(cell) = self.cells.get_mut(self.row).and_then(|row| row.get_mut(self.column)) {
                    *cell = one;
                }
                self.column += 1;
            }
        }
    }

    fn obey(&mut self, escape: &str) {
        let Some(order) = escape.strip_prefix('[') else { return };
        let (parameters, letter) = order.split_at(order.len().saturating_sub(1));
        let numbers: Vec<usize> = parameters.split(';').map(|number| number.parse().unwrap_or(0)).collect();
        match (letter, parameters) {
            ("H", _) => {
                self.row = numbers[0].saturating_sub(1);
                self.column = numbers.get(1).map_or(0, |column| column.saturating_sub(1));
            }
            // The alternate screen is a separate one; for the tests an empty one is enough.
            ("J", "2") | ("h" | "l", "?1049") => self.cells.iter_mut().for_each(|row| row.fill(' ')),
            _ => {}
        }
    }

    /// Returns its lines, without trailing blanks.
    pub(super) fn lines(&self) -> String {
        let lines = self.cells.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_draws_where_it_wants() {
        let mut picture = Picture::new(3, 10);
        picture.write("old\x1b[?1049h\x1b[2;3Hab\x1b[1mc\x1b[0m\x1b[1;1Hx\r\ny\x1b(B");
        assert_eq!(picture.lines(), "x\ny abc");
        picture.write("\x1b[2");
        picture.write("J\x1b[99;99Hz");
        assert_eq!(picture.lines(), "");
    }
}

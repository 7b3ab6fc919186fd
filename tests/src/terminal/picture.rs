//! The picture on a screen: as much of a terminal as drawing programs need.

/// How far tabulators are apart.
const TAB: usize = 8;

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
            '\x08' => self.column = self.column.saturating_sub(1),
            '\t' => self.column = (self.column / TAB + 1) * TAB,
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
        // A number that is missing or zero is one.
        let count = numbers[0].max(1);
        match (letter, parameters) {
            ("H", _) => {
                self.row = count - 1;
                self.column = numbers.get(1).map_or(0, |column| column.saturating_sub(1));
            }
            ("A", _) => self.row = self.row.saturating_sub(count),
            ("B", _) => self.row += count,
            ("C", _) => self.column += count,
            ("D", _) => self.column = self.column.saturating_sub(count),
            ("G", _) => self.column = count - 1,
            ("d", _) => self.row = count - 1,
            // The alternate screen is a separate one; for the tests an empty one is enough.
            ("J", "2") | ("h" | "l", "?1049") => self.cells.iter_mut().for_each(|row| row.fill(' ')),
            ("J", "" | "0") => {
                self.clear(self.column, usize::MAX);
                self.cells.iter_mut().skip(self.row + 1).for_each(|row| row.fill(' '));
            }
            ("K", "" | "0") => self.clear(self.column, usize::MAX),
            ("K", "1") => self.clear(0, self.column + 1),
            ("K", "2") => self.clear(0, usize::MAX),
            ("X", _) => self.clear(self.column, self.column.saturating_add(count)),
            ("P", _) => self.delete(count),
            ("@", _) => self.insert(count),
            _ => {}
        }
    }

    /// Clears a part of the line that the cursor is in.
    fn clear(&mut self, from: usize, to: usize) {
        if let Some(row) = self.cells.get_mut(self.row) {
            let to = to.min(row.len());
            row[from.min(to)..to].fill(' ');
        }
    }

    /// Deletes characters at the cursor. The rest of the line moves there.
    fn delete(&mut self, count: usize) {
        let behind = self.cells.get_mut(self.row).and_then(|row| row.get_mut(self.column..)).unwrap_or_default();
        let kept = behind.len().saturating_sub(count);
        behind.rotate_left(behind.len() - kept);
        behind[kept..].fill(' ');
    }

    /// Makes room at the cursor. Characters beyond the edge of the line are lost.
    fn insert(&mut self, count: usize) {
        let behind = self.cells.get_mut(self.row).and_then(|row| row.get_mut(self.column..)).unwrap_or_default();
        let count = count.min(behind.len());
        behind.rotate_right(count);
        behind[..count].fill(' ');
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

    #[test]
    fn a_program_moves_and_clears_as_it_likes() {
        let mut picture = Picture::new(3, 10);
        picture.write("abcdef\x1b[3D\x1b[2Pg\x1b[2;2Hx\x1b[2Cy\x1b[1Gz");
        assert_eq!(picture.lines(), "abcg\nzx  y");
        picture.write("\x1b[1;2H\x1b[2@\x1b[2dw\tv\x08u\x1b[1;9H\x1b[K");
        assert_eq!(picture.lines(), "a  bcg\nzw  y   u");
        picture.write("\x1b[2;3H\x1b[1K\x1b[2X\x1b[99;1H\x1b[5P\x1b[5@\x1b[K\x1b[A\x1b[J");
        assert_eq!(picture.lines(), "a  bcg\n    y   u");
        picture.write("\x1b[H\x1b[2K\x1b[B\x1b[J");
        assert_eq!(picture.lines(), "");
    }
}

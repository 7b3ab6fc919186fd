//! Evaluates licence expressions (SPDX, annex D; older crates write `/` in place of `OR`).

/// Returns whether the allowed licences satisfy an expression, or why the expression is invalid.
pub(super) fn is_allowed(expression: &str, allowed: &[String]) -> Result<bool, String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut reader = Reader { words: spaced.split_whitespace().collect(), at: 0, allowed };
    let fulfilled = reader.any()?;
    match reader.next() {
        None => Ok(fulfilled),
        Some(word) => Err(format!("nobody expects {word} there")),
    }
}

struct Reader<'a> {
    words: Vec<&'a str>,
    at: usize,
    allowed: &'a [String],
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.at).copied();
        self.at += 1;
        word
    }

    fn skip(&mut self, word: &str) -> bool {
        let is_next = self.words.get(self.at) == Some(&word);
        self.at += usize::from(is_next);
        is_next
    }

    fn any(&mut self) -> Result<bool, String> {
        let mut fulfilled = self.all()?;
        while self.skip("OR") {
            fulfilled |= self.all()?;
        }
        Ok(fulfilled)
    }

    fn all(&mut self) -> Result<bool, String> {
        let mut fulfilled = self.one()?;
        while self.skip("AND") {
            fulfilled &= self.one()?;
        }
        Ok(fulfilled)
    }

    fn one(&mut self) -> Result<bool, String> {
        let name = self.next().ok_or("it ends too early")?;
        match name {
            "(" => {
                let fulfilled = self.any()?;
                if self.skip(")") { Ok(fulfilled) } else { Err("a bracket stays open".to_owned()) }
            }
            ")" | "AND" | "OR" | "WITH" => Err(format!("nobody expects {name} there")),
            _ if self.skip("WITH") => {
                let exception = self.next().ok_or("it names no exception")?;
                Ok(self.is_listed(&format!("{name} WITH {exception}")))
            }
            // With `+`, the reader may choose a later version than the allowed one.
            _ => Ok(self.is_listed(name.strip_suffix('+').unwrap_or(name))),
        }
    }

    fn is_listed(&self, name: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_as_their_standard_says() {
        let allowed: Vec<String> =
            ["MIT", "ISC", "MPL-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
        for (expression, fulfilled) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("MIT OR GPL-3.0-only", true),
            ("GPL-3.0-only/MIT", true),
            ("MIT AND GPL-3.0-only", false),
            ("MIT AND ISC", true),
            ("GPL-3.0-only OR MIT AND ISC", true),
            ("(GPL-3.0-only OR MIT) AND GPL-3.0-only", false),
            ("(GPL-3.0-only OR MIT) AND ISC", true),
            ("Apache-2.0", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("MPL-2.0+", true),
        ] {
            assert_eq!(is_allowed(expression, &allowed), Ok(fulfilled), "{expression}");
        }
        for broken in ["", "MIT OR", "OR MIT", "(MIT", "MIT)", "MIT ISC", "MIT WITH"] {
            assert!(is_allowed(broken, &allowed).is_err(), "{broken:?}");
        }
    }
}

//! Extracts Python's message about an author's mistake from the output of tools.

/// The text before the message: a traceback of the machine's Python, which runs componentize-py.
const BEFORE: &str = "\nAssertionError: ";
/// The text after it: the last line once more, and the tool's own backtrace.
const BEHIND: &str = "\n\nCaused by:\n";
/// The beginning of Python's message.
const TRACEBACK: &str = "Traceback (most recent call last):";

/// componentize-py's names for the folders that it was given, in order: the plugin's own, the main module's, and the
/// SDK's. For a missing name, Python also shows the file, in parentheses.
const OWN: [&str; 4] = ["File \"/0/", "File \"/2/", " (/0/", " (/2/"];
const MAIN: &str = "  File \"/1/";

/// Returns what the plugin printed, and then the traceback with the author's file names; `None` if the output has
/// another form.
pub(super) fn by_python(said: &str) -> Option<(String, String)> {
    let (_, said) = said.split_once(BEFORE)?;
    let (said, _) = said.split_once(BEHIND)?;
    shown(said)
}

/// Does the same with the output of Python alone.
pub(super) fn shown(said: &str) -> Option<(String, String)> {
    let mut is_of_main = false;
    let mut kept = String::new();
    for line in said.trim_end().lines() {
        // A call is one line, followed by further indented lines.
        is_of_main = line.starts_with(MAIN) || (is_of_main && line.starts_with("    "));
        if !is_of_main {
            match OWN.into_iter().find(|begin| line.contains(*begin)) {
                Some(begin) => kept.push_str(&line.replacen(begin, &begin[..begin.len() - "/0/".len()], 1)),
                None => kept.push_str(line),
            }
            kept.push('\n');
        }
    }
    let (printed, traceback) = kept.split_at(kept.find(TRACEBACK)?);
    Some((printed.to_owned(), traceback.trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_sees_what_python_says_and_his_own_files() {
        let said = "Traceback (most recent call last):\n  File \"<string>\", line 1, in <module>\nAssertionError: printed\n\
                    Traceback (most recent call last):\n  File \"/1/parlor_main.py\", line 3, in <module>\n    import plugin\n    ^^^^^\n  \
                    File \"/0/plugin.py\", line 4, in <module>\n    on(1)\n  File \"/2/parlor/listen.py\", line 9, in on\n    raise\n\
                    ImportError: no '/1/' in 'lib' (/0/lib.py). What?\n\n\nCaused by:\n    \
                    NameError: no\n\nStack backtrace:\n   0: <anyhow::Error>::msg\n";
        let expected = "Traceback (most recent call last):\n  File \"plugin.py\", line 4, in <module>\n    on(1)\n  \
                        File \"parlor/listen.py\", line 9, in on\n    raise\nImportError: no '/1/' in 'lib' (lib.py). What?";
        assert_eq!(by_python(said), Some(("printed\n".to_owned(), expected.to_owned())));
        assert_eq!(
            by_python("Traceback (most recent call last):\nAssertionError: no WIT\n\nCaused by:\n    x\n"),
            None
        );
        assert_eq!(by_python("Killed\n"), None);
    }
}

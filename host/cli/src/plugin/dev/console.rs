//! The author's input and output: a terminal, which prints lines above the one that is typed, or pipes, for scripts.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::thread;

use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use ratatui::crossterm::terminal;
use rustix::termios::LocalModes;
use tokio::sync::mpsc;

use super::line::{Line, Pressed};
use crate::modes::Without;

/// The most keys or lines in the queue. The rest of a long paste waits.
const WAITING: usize = 64;
/// The width of a terminal that does not report one.
const USUAL_WIDTH: u16 = 80;

/// An input event.
enum Input {
    Key(KeyEvent),
    /// The terminal has another width.
    Resized,
    Line(String),
}

/// The console.
pub(super) struct Console {
    input: mpsc::Receiver<Input>,
    /// The line that is being typed; none without a terminal.
    typing: Option<Typing>,
}

/// A line that is being typed.
struct Typing {
    line: Line,
    /// The text before the line.
    prompt: String,
    /// Whether it is on the screen now.
    is_shown: bool,
    /// Disables line mode and echo until this is dropped. Signals stay enabled: Ctrl-C also ends compilers.
    _ours: Without,
}

impl Console {
    /// Takes over the terminal of standard input and output, or reads lines without a terminal.
    pub(super) fn open() -> io::Result<Self> {
        let (sender, input) = mpsc::channel(WAITING);
        let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
        let typing = if is_terminal {
            let ours = Without::begin(LocalModes::ICANON | LocalModes::ECHO)?;
            Some(Typing { line: Line::default(), prompt: String::new(), is_shown: false, _ours: ours })
        } else {
            None
        };
        // The thread blocks, and ends with the process.
        thread::spawn(move || if is_terminal { keys(&sender) } else { lines(&sender) });
        Ok(Self { input, typing })
    }

    /// Returns whether there is a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.typing.is_some()
    }

    /// Waits for the next line; none at the end of the input. Cancel-safe.
    pub(super) async fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            let Some(input) = self.input.recv().await else { return Ok(None) };
            let key = match input {
                Input::Line(line) => return Ok(Some(line)),
                Input::Resized => {
                    self.draw()?;
                    continue;
                }
                Input::Key(key) => key,
            };
            let Some(typing) = &mut self.typing else { continue };
            match typing.line.press(key) {
                Pressed::Edited => self.draw()?,
                Pressed::Line(text) => {
                    let shown = format!("{}{text}", typing.prompt);
                    // Print the whole line, so that it stays on the screen.
                    self.print(&shown)?;
                    return Ok(Some(text));
                }
                Pressed::End => return Ok(None),
            }
        }
    }

    /// Shows this text before the typed line from now on.
    pub(super) fn prompt(&mut self, prompt: String) -> io::Result<()> {
        if let Some(typing) = &mut self.typing {
            (typing.prompt, typing.is_shown) = (prompt, true);
        }
        self.draw()
    }

    /// Clears the typed line from the screen until the next prompt, since others print.
    pub(super) fn make_room(&mut self) -> io::Result<()> {
        let Some(typing) = self.typing.as_mut().filter(|typing| typing.is_shown) else { return Ok(()) };
        typing.is_shown = false;
        write(format_args!("\r\x1b[K"))
    }

    /// Prints a line above the typed one.
    pub(super) fn print(&self, text: &str) -> io::Result<()> {
        let clear = if self.is_shown() { "\r\x1b[K" } else { "" };
        write(format_args!("{clear}{text}\n"))?;
        self.draw()
    }

    fn is_shown(&self) -> bool {
        self.typing.as_ref().is_some_and(|typing| typing.is_shown)
    }

    fn draw(&self) -> io::Result<()> {
        let Some(Typing { line, prompt, is_shown: true, .. }) = &self.typing else { return Ok(()) };
        let width = terminal::size().map_or(USUAL_WIDTH, |(columns, _)| columns.max(1));
        let before = prompt.chars().count();
        let (part, at) = line.part(usize::from(width).saturating_sub(before));
        let column = before + at + 1;
        write(format_args!("\r{prompt}{part}\x1b[K\x1b[{column}G"))
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // A terminal that is gone cannot be restored.
        let _ = self.make_room();
    }
}

fn write(text: std::fmt::Arguments<'_>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_fmt(text)?;
    out.flush()
}

/// Reads a terminal, key by key.
fn keys(sender: &mpsc::Sender<Input>) {
    loop {
        let input = match event::read() {
            Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => Input::Key(key),
            Ok(Event::Resize(..)) => Input::Resized,
            Ok(_) => continue,
            // The terminal is gone.
            Err(_) => return,
        };
        if sender.blocking_send(input).is_err() {
            return;
        }
    }
}

/// Reads a pipe, line by line.
fn lines(sender: &mpsc::Sender<Input>) {
    for line in io::stdin().lock().lines() {
        // Invalid UTF-8 ends the input, too.
        let Ok(line) = line else { return };
        if sender.blocking_send(Input::Line(line)).is_err() {
            return;
        }
    }
}

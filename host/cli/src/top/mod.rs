//! `parlor top`: shows the host live. It reads what `parlor status` shows, from the same socket, once a second.
//!
//! `state` is the state of the screen and handles keys, `draw` renders it, `news` runs the threads that wait for the
//! keyboard, the host and signals, and `screen` is the terminal. This module connects them.

mod draw;
mod news;
pub mod screen;
mod state;

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;

use super::target::{self, Target};
use news::{News, Sources};
use screen::Screen;
use state::{Request, Top};

/// How long the screen stays unchanged if nothing happens.
const AGAIN: Duration = Duration::from_secs(1);

/// The arguments of `parlor top`.
#[derive(Debug, Args)]
#[command(
    after_help = "Keys: ? shows them all. Restarting and disabling ask first.\n\nExamples:\n  parlor top               the host, live\n  parlor status --json      the same once, for programs\n\nExit codes: 0 left, 4 no host runs, 1 failed, 2 wrong usage"
)]
pub struct TopArgs {
    #[command(flatten)]
    target: Target,
}

impl TopArgs {
    /// Shows the host until the user quits.
    pub fn run(&self) -> anyhow::Result<()> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            bail!("`parlor top` needs a terminal to draw on; `parlor status --json` says the same to programs");
        }
        if !screen::can_be_drawn_on(std::env::var_os("TERM").as_deref()) {
            bail!(
                "`parlor top` draws, and `TERM` is not set or says that this terminal cannot be drawn on; `parlor status` says the \
                 same in lines"
            );
        }
        let config = self.target.load_to_look()?;
        // Before the screen is taken: the user must be able to read what to do first.
        let host = target::running(&config)?;
        let mut top = Top::new(host.get("/v1/status")?, Instant::now());
        let sources = Sources::start(config, self.target.clone()).context("signals cannot be listened to")?;
        let mut screen = Screen::open().context("the terminal cannot be drawn on")?;
        loop {
            screen.draw(|frame| draw::draw(frame, &mut top, Instant::now())).context("the terminal")?;
            sources.select(top.selected_id());
            let request = match sources.next(AGAIN) {
                Ok(News::Key(key)) => top.key(key),
                Ok(News::Looked(look)) => top.look(look, Instant::now()),
                Ok(News::Done(result)) => top.done(result),
                Ok(News::Resized) | Err(RecvTimeoutError::Timeout) => Request::Nothing,
                Ok(News::Stop) => Request::Quit,
                Ok(News::Lost(error)) => return Err(error).context("the terminal"),
                Ok(News::Broken) | Err(RecvTimeoutError::Disconnected) => {
                    bail!("a part of it broke; please report this")
                }
            };
            match request {
                Request::Nothing => {}
                Request::Quit => return Ok(()),
                Request::Logs(plugin) => sources.show_logs(plugin),
                Request::Do(order) => sources.carry_out(order),
            }
        }
    }
}

#[cfg(test)]
mod tests;

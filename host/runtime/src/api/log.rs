//! `log`: a plugin's lines in the host's log, and the output of its language's runtime.

use std::sync::Arc;

use bytes::Bytes;
use parlor_base::escape::escape_untrusted;
use parlor_base::log_level::LogLevel;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::bindings::parlor::plugin::log::{Host, Level};
use crate::instance::{Context, Instance};

/// Maximum length of a line, in bytes. Longer ones are cut.
const LONGEST: usize = 4 << 10;

impl Host for Context {
    fn write(&mut self, level: Level, message: String) {
        write(&self.instance, level, &message);
    }
}

/// The log target of lines that the owner chose to see of this plugin, independently of the filter for others.
pub const CHOSEN: &str = "chosen";

fn write(instance: &Instance, level: Level, message: &str) {
    let chosen = instance.settings.log.get();
    if chosen.is_some_and(|least| level_of(level) < least) || !instance.may_log() {
        return;
    }
    let (plugin, account) = (&instance.plugin, &instance.account.name);
    let line = escape_untrusted(message, LONGEST);
    // A line's name must be a constant in the code.
    macro_rules! say {
        ($say:ident $($fatal:tt)*) => {
            match chosen {
                None => tracing::$say!(target: "plugin", %plugin, %account, $($fatal)* "{line}"),
                Some(_) => tracing::$say!(name: CHOSEN, target: "plugin", %plugin, %account, $($fatal)* "{line}"),
            }
        };
    }
    match level {
        Level::Debug => say!(debug),
        Level::Info => say!(info),
        Level::Warn => say!(warn),
        Level::Error => say!(error),
        Level::Fatal => say!(error fatal = true,),
    }
}

fn level_of(level: Level) -> LogLevel {
    match level {
        Level::Debug => LogLevel::Debug,
        Level::Info => LogLevel::Info,
        Level::Warn => LogLevel::Warn,
        Level::Error | Level::Fatal => LogLevel::Error,
    }
}

/// The destination of a plugin's standard output or error: the log, line by line. Its author finds there what a runtime
/// prints before it aborts.
pub(crate) struct Printed {
    instance: Arc<Instance>,
    level: Level,
}

impl Printed {
    /// Returns the standard output of a plugin.
    pub(crate) fn output(instance: &Arc<Instance>) -> Self {
        Self { instance: Arc::clone(instance), level: Level::Info }
    }

    /// Returns the standard error of a plugin.
    pub(crate) fn error(instance: &Arc<Instance>) -> Self {
        Self { instance: Arc::clone(instance), level: Level::Warn }
    }
}

impl IsTerminal for Printed {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printed {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Lines { instance: Arc::clone(&self.instance), level: self.level, begun: Vec::new() })
    }

    /// Discards everything: this is for WASI 0.3, which plugins do not have.
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }
}

/// An output stream.
struct Lines {
    instance: Arc<Instance>,
    level: Level,
    /// A line that has not ended; never longer than a line of the log.
    begun: Vec<u8>,
}

impl Lines {
    fn end(&mut self) {
        let line = std::mem::take(&mut self.begun);
        if !line.is_empty() {
            write(&self.instance, self.level, &String::from_utf8_lossy(&line));
        }
    }
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        for byte in bytes {
            if byte == b'\n' || self.begun.len() == LONGEST {
                self.end();
            }
            if byte != b'\n' {
                self.begun.push(byte);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LONGEST)
    }
}

#[async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.end();
    }
}

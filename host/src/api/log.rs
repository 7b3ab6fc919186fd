//! `log`: a plugin's lines in the host's log, and what its language's runtime prints.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::bindings::parlor::plugin::log::{Host, Level};
use crate::harmless::harmless;
use crate::plugins::{Context, Instance};

/// What is longer is cut.
const LONGEST: usize = 4 << 10;

impl Host for Context {
    fn write(&mut self, level: Level, message: String) {
        write(&self.instance, level, &message);
    }
}

fn write(instance: &Instance, level: Level, message: &str) {
    if !instance.may_log() {
        return;
    }
    let (plugin, account) = (&instance.plugin, &instance.account.name);
    let line = harmless(message, LONGEST);
    match level {
        Level::Debug => tracing::debug!(target: "plugin", %plugin, %account, "{line}"),
        Level::Info => tracing::info!(target: "plugin", %plugin, %account, "{line}"),
        Level::Warn => tracing::warn!(target: "plugin", %plugin, %account, "{line}"),
        Level::Error => tracing::error!(target: "plugin", %plugin, %account, "{line}"),
        Level::Fatal => tracing::error!(target: "plugin", %plugin, %account, fatal = true, "{line}"),
    }
}

/// Where a plugin's standard output or error goes: into the log, line by line. Its author finds there what a runtime says
/// before it gives up.
pub(crate) struct Printed {
    instance: Arc<Instance>,
    level: Level,
}

impl Printed {
    /// The standard output of a plugin.
    pub(crate) fn output(instance: &Arc<Instance>) -> Self {
        Self { instance: Arc::clone(instance), level: Level::Info }
    }

    /// Its standard error.
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

    /// For WASI 0.3, which plugins do not have.
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }
}

/// One stream of what is printed.
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

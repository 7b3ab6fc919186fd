//! Where authors try their plugins: an engine that shows lines, and remembers what it has compiled.

use std::path::Path;
use std::sync::Arc;

use crate::atomic::make_private_folder;
use crate::plugins::{Compiler, Engine, build};
use crate::rehearsal::Player;

/// How much of what was compiled is kept, in bytes: some versions of a plugin in Python, hundreds of others.
const MOST_KEPT: u64 = 256 << 20;

/// An engine for authors.
pub(super) struct Workshop {
    engine: Arc<Engine>,
}

impl Workshop {
    /// Opens it. What is compiled is kept in parlor's own folder for this user; where there is none, it is compiled anew in
    /// each process.
    pub(super) fn open() -> anyhow::Result<Self> {
        let data = build::data_folder().ok().map(|data| data.join("tried"));
        let data = data.filter(|data| make_private_folder(data).is_ok());
        Ok(Self { engine: Arc::new(Engine::start(Compiler::for_authors(), data.as_deref())?) })
    }

    /// Reads and compiles a plugin's file.
    pub(super) async fn load(&self, file: &Path) -> anyhow::Result<Player> {
        let player = Player::load(&self.engine, file).await?;
        self.engine.keep_newest(MOST_KEPT).await;
        Ok(player)
    }
}

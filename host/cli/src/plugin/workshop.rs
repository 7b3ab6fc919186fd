//! The engine for authors: it resolves source lines, and caches compiled components.

use std::path::Path;
use std::sync::Arc;

use parlor_authoring::build;
use parlor_authoring::plugin_test::Player;
use parlor_runtime::compiler::Compiler;
use parlor_runtime::engine::Engine;

/// An engine for authors.
pub(super) struct Workshop {
    engine: Arc<Engine>,
}

impl Workshop {
    /// Starts the engine.
    pub(super) fn open() -> anyhow::Result<Self> {
        let kept = build::compiled_folder();
        Ok(Self { engine: Arc::new(Engine::start(Compiler::for_authors(), kept.as_deref())?) })
    }

    /// Reads and compiles a plugin's file.
    pub(super) async fn load(&self, file: &Path) -> anyhow::Result<Player> {
        let player = Player::load(&self.engine, file).await?;
        self.engine.keep_newest(build::MOST_COMPILED).await;
        Ok(player)
    }
}

//! A plugin's own settings on one account, in the layers of API row 117.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;

use super::manifest::Manifest;
use crate::error::CallError;

/// How many settings a plugin may add beyond its schema.
const MAX_ADDED: usize = 64;
/// How long the JSON of one value may be.
const MAX_VALUE: usize = 64 << 10;
/// How long a name may be.
const MAX_KEY: usize = 128;

type Values = BTreeMap<String, Value>;

/// What wins: what was set, then what the owner wrote, then what the plugin offered as default, then its manifest.
#[derive(Debug)]
pub struct OwnSettings {
    manifest: Arc<Manifest>,
    owner: Values,
    layers: ArcSwap<Layers>,
}

#[derive(Debug, Clone, Default)]
struct Layers {
    set: Values,
    offered: Values,
}

impl OwnSettings {
    /// The schema, and what the owner wrote in the policy: checked at admission.
    pub fn new(manifest: Arc<Manifest>, owner: Values) -> Self {
        Self { manifest, owner, layers: ArcSwap::default() }
    }

    /// The value that wins.
    pub fn get(&self, key: &str) -> Option<Value> {
        let layers = self.layers.load();
        layers
            .set
            .get(key)
            .or_else(|| self.owner.get(key))
            .or_else(|| layers.offered.get(key))
            .cloned()
            .or_else(|| self.manifest.settings.get(key).and_then(|setting| setting.default.clone()))
    }

    /// Changes them, all or none.
    pub fn set(&self, values: Values) -> Result<(), CallError> {
        self.change(values, |layers| &mut layers.set)
    }

    /// Adds settings and defaults that the owner's words and `set` override, all or none.
    pub fn offer(&self, values: Values) -> Result<(), CallError> {
        self.change(values, |layers| &mut layers.offered)
    }

    fn change(&self, values: Values, layer: fn(&mut Layers) -> &mut Values) -> Result<(), CallError> {
        for (key, value) in &values {
            self.check(key, value)?;
        }
        let mut layers = Layers::clone(&self.layers.load());
        layer(&mut layers).extend(values);
        let added = layers.set.keys().chain(layers.offered.keys());
        if added.filter(|key| !self.manifest.settings.contains_key(*key)).count() > MAX_ADDED {
            return Err(CallError::OverLimit(format!("{MAX_ADDED} settings beyond the manifest's")));
        }
        // Only the plugin's own calls write, one at a time, so nothing can be lost between load and store.
        self.layers.store(Arc::new(layers));
        Ok(())
    }

    fn check(&self, key: &str, value: &Value) -> Result<(), CallError> {
        if key.is_empty() || key.len() > MAX_KEY || key.chars().any(char::is_control) {
            return Err(CallError::invalid(
                "key",
                format!("a name of 1 to {MAX_KEY} bytes without control characters"),
            ));
        }
        if value.to_string().len() > MAX_VALUE {
            return Err(CallError::invalid("value", format!("{key} is longer than {MAX_VALUE} bytes")));
        }
        match self.manifest.settings.get(key) {
            Some(setting) => {
                setting.check(value).map_err(|reason| CallError::invalid("value", format!("{key}: {reason}")))
            }
            None => Ok(()),
        }
    }
}

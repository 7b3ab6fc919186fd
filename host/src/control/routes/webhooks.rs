//! The requests that change what becomes of a request to a webhook.

use std::sync::Arc;

use parlor_base::id::PluginId;
use parlor_config::AccountName;
use parlor_runtime::webhooks::Webhooks;
use parlor_store::{By, RequestState};

use crate::control::audit;
use crate::control::refusal::Refusal;
use crate::control::request::Request;
use crate::host::Host;

/// Tells the plugin of a request once more, or drops one that waits.
pub(super) async fn change(
    host: &Host,
    (plugin, all): (&PluginId, Vec<(AccountName, Arc<Webhooks>)>),
    what: &str,
    request: &Request,
    by: &By,
) -> Result<(), Refusal> {
    let number = request.value("request").and_then(|number| number.parse::<i64>().ok());
    let number = number.ok_or_else(|| Refusal::Value("`request` is the number of a request".to_owned()))?;
    let replays = what == "replay";
    let absent = || {
        let plugin = plugin.clone();
        if replays { Refusal::NoRequest { plugin, number } } else { Refusal::NotWaiting { plugin, number } }
    };
    for (account, webhooks) in all {
        let (requests, _) = webhooks.requests(u32::MAX).await.map_err(Refusal::Store)?;
        let Some(found) = requests.iter().find(|one| one.id == number) else { continue };
        // The audit has an entry before the change, so one that cannot be made ends here.
        if replays && webhooks.is_answered_by_plugin(&found.webhook) {
            return Err(Refusal::OfModeAnswer(number));
        }
        if replays == (found.state == RequestState::Waits) {
            return Err(absent());
        }
        let changing = async {
            let changed = if replays { webhooks.replay(number).await } else { webhooks.discard(number).await };
            if changed.map_err(Refusal::Store)? { Ok(()) } else { Err(absent()) }
        };
        return audit::recorded(host, request, by, &[&account], changing).await;
    }
    Err(absent())
}

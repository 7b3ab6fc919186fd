//! `parlor plugin hooks`: the webhooks of a plugin, and the last requests to them.

use clap::Args;
use parlor::control::client::escaped;
use parlor::control::views::{FormerSecret, SecretSender, Webhook, WebhookRequest, Webhooks};
use parlor_base::id::PluginId;
use parlor_plugins::admin::PluginAdmin;

use crate::show::{Put as _, second, size, table};
use crate::target::{self, AccountRequest};

/// The arguments of `parlor plugin hooks`.
#[derive(Debug, Args)]
#[command(
    after_help = "Give the sender of the requests the address, and the secret that you set by `parlor plugin config`. Anybody who knows both can send. To change a secret without refusing requests meanwhile, use `parlor plugin config --former-for`. To replace an address that became known, use --rotate; the former one ends at once.\n\nExamples:\n  parlor plugin hooks forge                   its addresses, and the last requests\n  parlor plugin hooks forge --replay 17       tell the plugin of request 17 once more\n  parlor plugin hooks forge --drop 18         drop request 18, which blocks those behind it\n  parlor plugin hooks forge --rotate github   another address for the webhook github\n\nExit codes: 0 shown or done, 1 there is no such webhook or request, 4 no host runs, 2 wrong usage"
)]
pub struct HooksArgs {
    /// The plugin.
    plugin: PluginId,
    /// The number of a request that the plugin is to be told of once more.
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["rotate", "drop"])]
    replay: Option<i64>,
    /// The number of a request that waits, and that the plugin is not to be told of again.
    #[arg(long, value_name = "NUMBER", conflicts_with = "rotate")]
    drop: Option<i64>,
    /// The webhook that is to have another address.
    #[arg(long, value_name = "WEBHOOK")]
    rotate: Option<String>,
    #[command(flatten)]
    request: AccountRequest,
}

impl HooksArgs {
    /// Carries out the requested change, and shows the webhooks.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = self.request.target.load_to_look()?;
        // Fails if there is no plugin with this id.
        PluginAdmin::new(&config).entry(&self.plugin)?;
        let host = target::running(&config)?;
        let all = format!("/v1/plugins/{}/webhooks", self.plugin);
        let change = |what: String| host.post(&self.request.path(&format!("{all}/{what}")));
        let mut shown: Vec<Webhooks> = match (self.replay, self.drop, &self.rotate) {
            (Some(number), ..) => change(format!("replay?request={number}"))?,
            (None, Some(number), _) => change(format!("drop?request={number}"))?,
            (None, None, Some(name)) => change(format!("rotate?webhook={}", escaped(name)))?,
            (None, None, None) => host.get(&all)?,
        };
        shown.retain(|one| self.request.picks(&one.account));
        self.request.show(&shown, || screen(&self.plugin, &shown))?;
        target::whole(&host)
    }
}

fn screen(id: &PluginId, all: &[Webhooks]) -> String {
    if all.is_empty() {
        return format!("{id} has no webhooks, or does not run\n");
    }
    let mut text = String::new();
    for (number, on) in all.iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        if all.len() > 1 {
            text.put(format_args!("on {}\n", on.account));
        }
        on.webhooks.iter().for_each(|webhook| text.push_str(&described(id, webhook)));
        text.put(format_args!("\n{}\n", waiting(on.waiting)));
        if !on.requests.is_empty() {
            let cells: Vec<_> = on.requests.iter().map(cells).collect();
            text.push_str(&table(&["REQUEST", "CAME", "WEBHOOK", "FROM", "SIZE", "OUTCOME"], &cells));
        }
        // The oldest is first: the others wait for it.
        for request in on.requests.iter().rev() {
            text.push_str(&blocked(id, request));
        }
    }
    text
}

fn described(id: &PluginId, webhook: &Webhook) -> String {
    let Webhook { name, address, mode, verification, lacks, former, senders } = webhook;
    let address = address.as_deref().unwrap_or("no address: set `listen` under [web] in the configuration");
    let who = if mode == "answer" { "the plugin" } else { "the host" };
    let mut text = format!("{name}  {address}\n  verified by {verification}, answered by {who}\n");
    if let Some(secret) = lacks {
        text.put(format_args!(
            "  every request is refused: give the secret with `parlor plugin config {id} {secret}`\n"
        ));
    }
    if let Some(FormerSecret { setting, until }) = former {
        text.put(format_args!(
            "  the former {setting} counts, too, until {} UTC: `parlor plugin config {id} --end-former {setting}` ends it\n",
            second(until)
        ));
    }
    if !senders.is_empty() {
        let all: Vec<_> = senders.iter().map(sender).collect();
        text.put(format_args!("  senders with their own secret: {}\n", all.join(", ")));
    }
    text
}

fn sender(SecretSender { name, former_until }: &SecretSender) -> String {
    match former_until {
        None => name.clone(),
        Some(until) => format!("{name} (the former one counts, too, until {} UTC)", second(until)),
    }
}

/// Returns why a request waits, and what can be done about it; empty unless an attempt to deliver it failed.
fn blocked(id: &PluginId, request: &WebhookRequest) -> String {
    let WebhookRequest { id: number, webhook, failure, next, .. } = request;
    let (Some(failure), Some(next)) = (failure, next) else { return String::new() };
    format!(
        "\nRequest {number}: {failure}. It is told again at {} UTC, if {id} runs then; until it is over, later requests to {webhook} wait. `parlor plugin hooks {id} --drop {number}` drops it\n",
        second(next)
    )
}

fn waiting(count: u64) -> String {
    match count {
        0 => "No request waits.".to_owned(),
        1 => "1 request waits.".to_owned(),
        _ => format!("{count} requests wait."),
    }
}

fn cells(request: &WebhookRequest) -> Vec<String> {
    let outcome = match (request.state.as_str(), request.status, request.attempts) {
        ("answered", Some(status), _) => format!("answered with {status}"),
        ("waiting", _, 0) => "waits".to_owned(),
        ("waiting", _, attempts) => format!("waits, after {attempts} in vain"),
        ("given-up", _, attempts) => format!("given up after {attempts}"),
        (state, ..) => state.to_owned(),
    };
    vec![
        request.id.to_string(),
        second(&request.at),
        request.webhook.clone(),
        request.sender.clone(),
        size(request.bytes),
        outcome,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_says_where_to_send_what_is_missing_and_what_came() {
        let webhook = |name: &str, address: Option<&str>, lacks: Option<&str>| Webhook {
            name: name.to_owned(),
            address: address.map(str::to_owned),
            mode: "queue".to_owned(),
            verification: "HMAC-SHA256 in x-hub-signature-256".to_owned(),
            lacks: lacks.map(str::to_owned),
            former: None,
            senders: Vec::new(),
        };
        let request = |id: i64, state: &str, status: Option<u16>, attempts: u32| WebhookRequest {
            id,
            webhook: "github".to_owned(),
            at: "2026-11-20T06:24:00.5Z".to_owned(),
            sender: "192.0.2.1".to_owned(),
            method: "POST".to_owned(),
            bytes: 12,
            attempts,
            state: state.to_owned(),
            status,
            failure: None,
            next: None,
        };
        let one = Webhooks {
            account: "main".to_owned(),
            node: None,
            webhooks: vec![
                webhook("github", Some("https://bot.example.org/hooks/forge/github/0a1b"), Some("github_secret")),
                Webhook {
                    former: Some(FormerSecret {
                        setting: "github_secret".to_owned(),
                        until: "2026-11-21T06:24:00.5Z".to_owned(),
                    }),
                    senders: vec![
                        SecretSender {
                            name: "garden".to_owned(),
                            former_until: Some("2026-11-21T06:24:00.5Z".to_owned()),
                        },
                        SecretSender { name: "shop".to_owned(), former_until: None },
                    ],
                    ..webhook("other", None, None)
                },
            ],
            waiting: 1,
            requests: vec![
                WebhookRequest {
                    failure: Some("its handler failed".to_owned()),
                    next: Some("2026-11-20T06:25:10.5Z".to_owned()),
                    ..request(3, "waiting", None, 2)
                },
                request(2, "answered", Some(204), 1),
                request(1, "told", None, 1),
            ],
        };
        let id: PluginId = "forge".parse().unwrap();
        let text = screen(&id, &[one]);
        assert_eq!(
            text,
            "github  https://bot.example.org/hooks/forge/github/0a1b\n  \
             verified by HMAC-SHA256 in x-hub-signature-256, answered by the host\n  \
             every request is refused: give the secret with `parlor plugin config forge github_secret`\n\
             other  no address: set `listen` under [web] in the configuration\n  \
             verified by HMAC-SHA256 in x-hub-signature-256, answered by the host\n  \
             the former github_secret counts, too, until 2026-11-21 06:24:00 UTC: \
             `parlor plugin config forge --end-former github_secret` ends it\n  \
             senders with their own secret: garden (the former one counts, too, until 2026-11-21 06:24:00 UTC), shop\n\n\
             1 request waits.\n\
             REQUEST  CAME                 WEBHOOK  FROM       SIZE  OUTCOME\n\
             3        2026-11-20 06:24:00  github   192.0.2.1  12 B  waits, after 2 in vain\n\
             2        2026-11-20 06:24:00  github   192.0.2.1  12 B  answered with 204\n\
             1        2026-11-20 06:24:00  github   192.0.2.1  12 B  told\n\n\
             Request 3: its handler failed. It is told again at 2026-11-20 06:25:10 UTC, if forge runs then; \
             until it is over, later requests to github wait. `parlor plugin hooks forge --drop 3` drops it\n"
        );
        assert_eq!(screen(&id, &[]), "forge has no webhooks, or does not run\n");
    }
}

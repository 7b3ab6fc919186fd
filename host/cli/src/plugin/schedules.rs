//! `parlor plugin schedules`: when plugins are due to run, and pausing that.

use clap::Args;
use parlor::control::client::escaped;
use parlor::control::views::{Schedule, Schedules};
use parlor_base::id::PluginId;
use parlor_plugins::admin::PluginAdmin;

use crate::show::{Put as _, second, table};
use crate::target::{self, AccountRequest};

/// The arguments of `parlor plugin schedules`.
#[derive(Debug, Args)]
#[command(
    after_help = "Times are in UTC. A paused schedule stays paused, even if its plugin cancels it and sets it again. Due times meanwhile are missed, and the plugin decides how many of them it gets afterwards.\n\nExamples:\n  parlor plugin schedules                           those of all plugins\n  parlor plugin schedules reminders                 those of one plugin\n  parlor plugin schedules reminders --pause daily   keep it from running\n  parlor plugin schedules reminders --resume daily  let it run again\n\nExit codes: 0 shown or done, 1 there is no such schedule, 4 no host runs, 5 a node of the cluster did not answer, 2 wrong usage"
)]
pub struct SchedulesArgs {
    /// The plugin. Without it, all are shown.
    plugin: Option<PluginId>,
    /// The schedule that is to pause.
    #[arg(long, value_name = "NAME", requires = "plugin", conflicts_with = "resume")]
    pause: Option<String>,
    /// The schedule that is to go on.
    #[arg(long, value_name = "NAME", requires = "plugin")]
    resume: Option<String>,
    #[command(flatten)]
    request: AccountRequest,
}

impl SchedulesArgs {
    /// Carries out the requested change, and shows the schedules.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = self.request.target.load_to_look()?;
        let all = if let Some(plugin) = &self.plugin {
            // Fails if there is no plugin with this id.
            PluginAdmin::new(&config).entry(plugin)?;
            format!("/v1/plugins/{plugin}/schedules")
        } else {
            "/v1/schedules".to_owned()
        };
        let host = target::running(&config)?;
        let change = |what: &str, name: &str| {
            let path = format!("{all}/{what}?schedule={}", escaped(name));
            host.post(&self.request.path(&path))
        };
        let mut shown: Vec<Schedules> = match (&self.pause, &self.resume) {
            (Some(name), _) => change("pause", name)?,
            (None, Some(name)) => change("resume", name)?,
            (None, None) => host.get(&all)?,
        };
        shown.retain(|one| self.request.picks(&one.account));
        self.request.show(&shown, || screen(&shown))?;
        target::whole(&host)
    }
}

fn screen(all: &[Schedules]) -> String {
    let mut text = String::new();
    for on in all.iter().filter(|on| !on.schedules.is_empty()) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.put(format_args!("{} on {}\n", on.plugin, on.account));
        let cells: Vec<_> = on.schedules.iter().map(cells).collect();
        text.push_str(&table(&["NAME", "WHEN", "NEXT", "LAST", "STATE"], &cells));
    }
    if text.is_empty() { "no schedules\n".to_owned() } else { text }
}

fn cells(schedule: &Schedule) -> Vec<String> {
    let time = |time: &Option<String>| time.as_deref().map_or_else(|| "-".to_owned(), second);
    let mut state = match (schedule.paused, &schedule.due, schedule.attempts) {
        (true, ..) => "paused".to_owned(),
        (false, Some(_), 0) => "due".to_owned(),
        (false, Some(_), attempts) => format!("due, after {attempts} in vain"),
        (false, None, _) if schedule.failed => "waits, the last one was given up".to_owned(),
        (false, None, _) => "waits".to_owned(),
    };
    if schedule.missed > 0 {
        state.put(format_args!(", {} missed", schedule.missed));
    }
    vec![schedule.name.clone(), schedule.when.clone(), time(&schedule.next), time(&schedule.last), state]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_says_when_each_is_due_and_how_it_is() {
        let schedule = |name: &str, paused: bool, due: bool, attempts: u32| Schedule {
            name: name.to_owned(),
            when: "0 9 * * * Europe/Berlin".to_owned(),
            next: Some("2026-11-20T08:00:00Z".to_owned()),
            due: due.then(|| "2026-11-19T08:00:00Z".to_owned()),
            attempts,
            missed: attempts,
            last: paused.then(|| "2026-11-18T08:00:00Z".to_owned()),
            failed: false,
            paused,
        };
        let one =
            |schedules| Schedules { plugin: "bell".to_owned(), account: "main".to_owned(), node: None, schedules };
        let all = [
            one(vec![schedule("a", true, false, 0), schedule("b", false, true, 2), schedule("c", false, false, 0)]),
            one(Vec::new()),
        ];
        assert_eq!(
            screen(&all),
            "bell on main\n\
             NAME  WHEN                     NEXT                 LAST                 STATE\n\
             a     0 9 * * * Europe/Berlin  2026-11-20 08:00:00  2026-11-18 08:00:00  paused\n\
             b     0 9 * * * Europe/Berlin  2026-11-20 08:00:00  -                    due, after 2 in vain, 2 missed\n\
             c     0 9 * * * Europe/Berlin  2026-11-20 08:00:00  -                    waits\n"
        );
        assert_eq!(screen(&[]), "no schedules\n");
    }
}

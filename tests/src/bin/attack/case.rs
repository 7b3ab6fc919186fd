//! The list of cases.

use anyhow::Result;
use futures_util::future::LocalBoxFuture;

use crate::trial::Trial;
use crate::{
    addresses, audit, between, calls, cluster, commands, cpu, dialogs, encryption, fairness, files, forms, hooks,
    loading, memory, nodes, operator, peer, people, requests, schedules, secrets, sends, wasi, web, webhooks, window,
};

/// The number of cases in `SECURITY.md`.
pub(crate) const TOTAL: u8 = 178;

/// An attack.
pub(crate) struct Case {
    /// The number that `SECURITY.md` gives it.
    pub(crate) number: u8,
    /// A description of the attack.
    pub(crate) name: &'static str,
    /// Runs the attack. Returns how it ended, or an error if it was not contained.
    pub(crate) run: Run,
}

pub(crate) type Run = for<'t> fn(&'t mut Trial) -> LocalBoxFuture<'t, Result<String>>;

/// Builds a case from its number, its description, and the function that runs it.
macro_rules! case {
    ($number:literal, $name:literal, $run:path) => {
        $crate::case::Case { number: $number, name: $name, run: |trial| Box::pin($run(trial)) }
    };
}

pub(crate) use case;

/// Some cases of each heading, which take less than a minute in all. The suite runs them each time.
pub(crate) const QUICK: &[u8] = &[
    1, 3, 10, 19, 20, 22, 30, 38, 44, 46, 50, 53, 59, 62, 68, 71, 75, 80, 84, 85, 86, 92, 96, 97, 100, 115, 117, 124,
    127, 136, 142, 148, 168, 172,
];

/// Returns all cases, by number.
pub(crate) fn all() -> Vec<Case> {
    let all = [
        cpu::cases(),
        memory::cases(),
        loading::cases(),
        calls::cases(),
        wasi::cases(),
        sends::cases(),
        peer::cases(),
        between::cases(),
        secrets::cases(),
        operator::cases(),
        fairness::cases(),
        web::cases(),
        webhooks::cases(),
        files::cases(),
        schedules::cases(),
        commands::cases(),
        forms::cases(),
        requests::cases(),
        hooks::cases(),
        dialogs::cases(),
        people::cases(),
        nodes::cases(),
        audit::cases(),
        encryption::cases(),
        window::cases(),
        cluster::cases(),
        addresses::cases(),
    ];
    let mut all: Vec<Case> = all.into_iter().flatten().collect();
    all.sort_by_key(|case| case.number);
    all
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_is_there_once() {
        let numbers: Vec<u8> = super::all().iter().map(|case| case.number).collect();
        assert_eq!(numbers, (1..=super::TOTAL).collect::<Vec<u8>>());
    }
}

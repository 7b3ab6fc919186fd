//! Runs plugins on accounts.
//!
//! **Owns:** the task of each account; the engine and its compiler; instances with their budgets; the supervisor that starts, moves
//! and ends them; the calls of the contract, one file of `api` for each grouping.
//!
//! **Must not** parse stanzas, or decide what a plugin may do: `parlor-session` does. Types of the contract stay in `api`,
//! `engine` and `run`.
//!
//! **Begin with** [`account`], the only writer of a session, and [`instance`], one plugin on one account while `run` runs it.

pub mod account;
pub mod api;
pub mod audited;
mod bindings;
mod catch_up;
mod ceiling;
mod clocks;
pub mod compiler;
pub mod counters;
pub mod denials;
pub mod engine;
pub mod explain;
pub mod instance;
pub mod loading;
pub mod mappings;
pub mod may_act;
mod named;
pub mod order;
mod progress;
pub mod record;
pub mod rights;
mod run;
pub mod schedules;
mod settings;
pub mod supervisor;
pub mod threads;
mod timers;
pub mod traces;
mod unanswered;
mod watchdog;
mod watched;
pub mod webhooks;

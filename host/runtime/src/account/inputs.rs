//! The inputs of an account's task: orders, and events of its link.

use std::sync::Arc;

use jiff::Timestamp;
use parlor_session::router::{Mailbox, Shadow};
use parlor_session::{Answer, Effect, otr_key_made};
use parlor_stanza::error::CallError;
use parlor_stanza::types::Outgoing;
use parlor_xmpp::{ConnectError, LinkEvent};
use tokio::time::Instant;

use super::Asker;
use super::connection::Connection;
use super::forms;
use super::leaving::CloseReason;
use super::logins::{self, Logins};
use super::on_disk;
use super::order::Order;
use super::questions;
use super::screened;
use super::worker::Worker;

impl Worker {
    /// Carries out an order, except for the one to stop.
    pub(super) async fn on_order(&mut self, order: Order) {
        self.mind_clock();
        match order {
            Order::PluginsInitialized { done } => {
                self.session.plugins_initialized(self.now(), &mut self.effects);
                self.apply();
                self.logins.open = true;
                for (credentials, answer) in self.logins.begin_early() {
                    self.log_in(credentials, answer);
                }
                let _ = done.send(());
            }
            Order::Connect if self.link.is_some() => {}
            Order::Connect => self.connect_if_possible(),
            // The plugin that requested this has ended. The connection stays as the other plugins need it.
            Order::Disconnect(answer) | Order::LogOut(answer) | Order::LogIn(_, answer) if answer.is_abandoned() => {}
            Order::Disconnect(answer) => {
                self.close(CloseReason::Disconnect).await;
                self.apply();
                answer.give(Ok(()));
            }
            Order::LogOut(answer) => {
                self.close(CloseReason::LogOut).await;
                self.apply();
                answer.give(Ok(()));
            }
            Order::LogIn(credentials, answer) if !self.logins.open => self.logins.wait_for_plugins(credentials, answer),
            Order::LogIn(credentials, answer) => self.log_in(credentials, answer),
            Order::Forget { instance, done } => {
                // First: requests that still wait must not register anything for an instance that is gone.
                self.asked.forget(&Asker::Plugin(instance));
                self.session.instance_gone(instance, &mut self.effects);
                self.announce_answered();
                self.apply();
                let _ = done.send(());
            }
            Order::Park { instance, done } => {
                self.session.instance_parked(instance);
                let _ = done.send(());
            }
            Order::Wake { instance, done } => {
                let woken = self.session.instance_woken(instance, &mut self.effects);
                self.apply();
                let _ = done.send(woken);
            }
            Order::Successor { new, of, done } => {
                self.session.instance_successor(new, of);
                let _ = done.send(());
            }
            Order::Swap { old, new, done } => {
                swap(self, old.as_ref(), &new);
                let _ = done.send(());
            }
            Order::TellMissed(missed) => missed.tell(&self.shared),
            Order::Drain { done } => {
                self.drain().await;
                let _ = done.send(());
            }
            Order::Reply { to, id, reply } => self.put_out(Outgoing::Reply { to, id, reply }, None),
            Order::Answered { done } => {
                self.announce_answered();
                self.apply();
                let _ = done.send(());
            }
            Order::OtrKey(key) => otr_key_made(&mut self.session, key, self.shared.clock.now(), &mut self.effects),
            Order::AskAgain { question, draft, done } => questions::judged(self, question, draft, done),
            Order::FormHandled { form, is_well } => forms::handled(self, &form, is_well),
            Order::Alert(alert) => self.alerts.add(alert, &self.shared.name, &self.shared.settings(), Instant::now()),
            Order::Rewrite { config, done } => {
                self.rewrite(*config).await;
                self.apply();
                let _ = done.send(());
            }
            Order::RoomPasswords { .. } | Order::Rest { .. } | Order::Stop { .. } => unreachable!("handled by `run`"),
        }
    }

    /// Stops acknowledging, and passes on all stanzas received before.
    async fn drain(&mut self) {
        self.is_draining = true;
        if let Some(link) = &mut self.link {
            link.acknowledge_no_more();
        }
        on_disk::settle(self).await;
        screened::settle(self).await;
        self.apply();
    }

    /// Connects, unless the account has nothing to log in with.
    fn connect_if_possible(&mut self) {
        match self.cannot_log_in(None) {
            None => self.connect(None),
            Some(why) => {
                tracing::error!(account = %self.shared.name, reason = why, "account failed");
                self.session.lost(why, self.now(), &mut self.effects);
                self.published.connection(Connection::Failed(why.to_owned()));
            }
        }
    }

    /// Answers the calls that wait for a log-in. Readers can see its outcome by then.
    pub(super) fn answer_logins(&mut self, who: fn(&mut Logins) -> Vec<Answer<()>>, result: &Result<(), CallError>) {
        let answers = who(&mut self.logins).into_iter();
        self.effects.extend(answers.map(|answer| Effect::answer(answer, result.clone())));
    }

    /// Handles an event of the link.
    pub(super) fn on_link(&mut self, event: LinkEvent) {
        let now = self.mind_clock();
        let account = &self.shared.name;
        if let LinkEvent::Bound { .. } | LinkEvent::Resumed { .. } = event {
            self.keepers.pins.keep();
        }
        match event {
            LinkEvent::Stanza(incoming) if self.is_draining && incoming.speaks() && self.is_kept_for_later() => {}
            LinkEvent::Stanza(incoming) => self.session.incoming(incoming, now, &mut self.effects),
            LinkEvent::Bound { jid, offers, taken_up, again, doubtful } => {
                self.bound(jid, offers, taken_up, (again, doubtful), now);
            }
            // Another node may have the account by now: a log-in here would end its session at the server.
            LinkEvent::Suspended { why } if !self.shared.may_act.now() => {
                tracing::info!(%account, reason = %why, "connection lost, and the cluster may have given the account to another node");
                leave_link(self, now);
            }
            LinkEvent::Suspended { why } if !why.is_own_choice() && !self.shared.settings.load().auto_reconnect => {
                tracing::error!(%account, reason = %why, "connection lost, and auto_reconnect is off");
                self.link = None;
                self.session.lost(&why.to_string(), now, &mut self.effects);
                // If the host were restarted now, it would disconnect the other client in turn.
                self.published.connection(if why.is_conflict() {
                    Connection::Failed(why.to_string())
                } else {
                    Connection::Left(format!("{why}, and auto_reconnect is off"))
                });
            }
            LinkEvent::Trying => self.session.reconnecting(now, &mut self.effects),
            LinkEvent::Suspended { why } => {
                tracing::warn!(%account, reason = %why, "connection lost, reconnecting");
                self.published.connection(Connection::Retrying(why.to_string()));
                self.session.suspended(now, &mut self.effects);
            }
            LinkEvent::Resumed { doubtful } => {
                tracing::info!(%account, may_have_gaps = doubtful, "connection resumed");
                self.published.connection(Connection::Connected(self.shared.snapshot().jid.clone()));
                self.session.resumed(now, &mut self.effects);
                if doubtful {
                    self.session.doubt_stream();
                }
                self.ask_archive_again();
            }
            LinkEvent::Retrying { after, why } => {
                tracing::warn!(%account, reason = %why, after_ms = after.as_millis(), "cannot connect, trying again");
                self.published.connection(Connection::Retrying(why.to_string()));
                self.session.retrying(after, &why.to_string(), now, &mut self.effects);
                self.answer_logins(Logins::failed, &Err(logins::failure(&why)));
            }
            LinkEvent::Failed(error) if self.logins.of_a_plugin => {
                tracing::warn!(%account, reason = %error, "a log-in that a plugin asked for failed");
                self.fail(&error, Connection::Offline);
            }
            LinkEvent::Failed(error) => {
                // A component says it once, for all of its accounts.
                if self.settings.component().is_some() {
                    tracing::debug!(%account, reason = %error, "account failed with its component");
                } else {
                    tracing::error!(%account, reason = %error, "account failed");
                }
                self.fail(&error, Connection::Failed(error.to_string()));
            }
            LinkEvent::Closed => {
                tracing::info!(%account, "connection closed");
                leave_link(self, now);
            }
        }
    }

    fn fail(&mut self, error: &ConnectError, stands: Connection) {
        self.link = None;
        self.session.lost(&error.to_string(), self.now(), &mut self.effects);
        self.answer_logins(Logins::failed, &Err(logins::failure(error)));
        self.published.connection(stands);
    }
}

/// Has no connection from now on.
fn leave_link(worker: &mut Worker, now: Timestamp) {
    worker.link = None;
    worker.published.connection(Connection::Offline);
    worker.session.closed(now, &mut worker.effects);
}

/// Has one instance get the events of another one from now on, also the commands that wait for hooks or for keys on the disk: these are
/// for one instance from the start.
fn swap(worker: &mut Worker, old: Option<&Arc<Mailbox>>, new: &Arc<Mailbox>) {
    let router = &worker.shared.router;
    if let Some(old) = old {
        router.shadow(old, Shadow::On);
        worker.screening.inherit(new.instance(), old.instance());
        worker.held_back.inherit(new.instance(), old.instance());
    }
    router.shadow(new, Shadow::Off);
    worker.session.instance_inherits(new.instance());
}

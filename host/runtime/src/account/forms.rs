//! Commands that people give by forms (XEP-0050), on their way from the session to the plugin, and back.

use parlor_base::id::InstanceId;
use parlor_session::event::Event;
use parlor_session::router::Handled;

use super::order::Order;
use super::worker::Worker;

impl Worker {
    /// Tells an instance of a command that came by this form, and the session how its handler ended: the person waits for
    /// an answer.
    pub(super) fn tell_of_form(&self, instance: InstanceId, event: Event, form: String) {
        let handled = self.shared.route_with_receipt(instance, event);
        // Not the account itself, which an unanswered form must not keep.
        let orders = self.shared.orders.clone();
        self.shared.place.runtime.spawn(async move {
            // Without a receipt, nobody heard of it.
            let is_well = match handled {
                Some(handled) => handled.await == Ok(Handled::Well),
                None => false,
            };
            // An account that has stopped answers nobody.
            let _ = orders.send(Order::FormHandled { form, is_well }).await;
        });
    }

    /// Notes that the handler of a command that came by this form has ended.
    pub(super) fn form_handled(&mut self, form: &str, is_well: bool) {
        let now = self.now();
        self.session.form_handled(form, is_well, now, &mut self.effects);
        self.apply();
    }

    /// Ends a form whose command a hook refused, in these words.
    pub(super) fn form_refused(&mut self, form: &str, words: Option<&str>) {
        let now = self.now();
        self.session.form_refused(form, words, now, &mut self.effects);
    }
}

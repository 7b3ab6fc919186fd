//! Commands that people give by forms (XEP-0050), on their way from the session to the plugin, and back.

use parlor_base::id::InstanceId;
use parlor_session::event::Event;
use parlor_session::router::Handled;

use super::order::Order;
use super::worker::Worker;

/// Delivers a command from this form to an instance, and reports to the session how its handler ended: the person waits
/// for an answer.
pub(super) fn tell(worker: &Worker, instance: InstanceId, event: Event, form: String) {
    let shared = &worker.shared;
    let snapshot = shared.snapshot.load();
    let handled = shared.router.route_with_receipt(instance, event, &|jid| snapshot.is_contact(jid));
    // Not the account itself, which an unanswered form must not keep.
    let orders = shared.orders.clone();
    shared.place.runtime.spawn(async move {
        // Without a receipt, the command was not delivered.
        let is_well = match handled {
            Some(handled) => handled.await == Ok(Handled::Well),
            None => false,
        };
        // An account that has stopped sends no answers.
        let _ = orders.send(Box::new(Order::FormHandled { form, is_well })).await;
    });
}

/// Notes that the handler of a command from this form has ended.
pub(super) fn handled(worker: &mut Worker, form: &str, is_well: bool) {
    let now = worker.now();
    worker.session.form_handled(form, is_well, now, &mut worker.effects);
    worker.apply();
}

/// Ends a form whose command a hook refused, in these words.
pub(super) fn refused(worker: &mut Worker, form: &str, words: Option<&str>) {
    let now = worker.now();
    worker.session.form_refused(form, words, now, &mut worker.effects);
}

//! The answer about servers of the web by their names.

use parlor_base::permission::Permission;

use super::{Answer, Outcome};
use crate::permissions::grants::GrantChange;
use crate::permissions::scope::{Scope, ServerPlace};

/// Returns the answer about servers that are granted by name. The address that a name leads to decides, too. `held`: the
/// granted entries, for people.
pub(super) fn by_name(permission: Permission, wanted: &Scope, granted: &Scope, held: &str) -> Answer {
    let held = format!("{permission} is granted for {held}");
    let decides = "the address that a name leads to decides at each request: outside of the public network, it has to be granted, too";
    let with = |outcome, reason, lacks| Answer { outcome, permission: Some(permission), reason, lacks };
    if let Some((scheme, [four, six])) = wanted.loopbacks() {
        if [four, six].iter().any(|address| granted.lists(*address, true)) {
            return with(Outcome::Yes, held, None);
        }
        let lacks = GrantChange::Entries(vec![format!("{scheme}://{four}")]);
        let reason = format!(
            "{held}, and that name leads to this machine, of which no address is granted for all methods and paths"
        );
        return with(Outcome::No, reason, Some((permission, lacks)));
    }
    let is_own = wanted.servers().iter().any(|(_, place)| *place == ServerPlace::Own);
    let outcome = if is_own { Outcome::Unknown } else { Outcome::Yes };
    with(outcome, format!("{held}; {decides}"), None)
}

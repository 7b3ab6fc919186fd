//! Reading the bookmarks of the account.

use std::sync::Arc;

use parlor_base::permission::Permission;
use parlor_session::permissions::Target;
use parlor_stanza::error::CallError;
use parlor_stanza::types::Bookmark;

use crate::bindings::parlor::plugin::rooms::Bookmark as WitBookmark;
use crate::instance::Instance;

/// Returns the bookmarks that the plugin may see.
pub(super) fn read(instance: &Instance) -> Result<Vec<WitBookmark>, CallError> {
    let grants = instance.mailbox.grants();
    if !grants.has(Permission::RoomsRead) {
        return Err(instance.deny(Permission::RoomsRead, None));
    }
    let covers = |permission, mark: &Bookmark| grants.may_do(permission, Target::Room(&mark.room), &|_| false);
    let snapshot = instance.account.snapshot();
    let bookmarks = snapshot.bookmarks.as_ref().map_err(|why| CallError::from(*why))?;
    let shown = |mark: &Arc<Bookmark>| {
        let shown: WitBookmark = (&**mark).into();
        // The password lets anyone enter, so only plugins that may enter get it.
        let password = shown.password.filter(|_| covers(Permission::RoomsJoin, mark));
        WitBookmark { password, ..shown }
    };
    Ok(bookmarks.values().filter(|mark| covers(Permission::RoomsRead, mark)).map(shown).collect())
}

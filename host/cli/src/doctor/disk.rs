//! Whether there is room where the host writes.

use std::path::Path;

use parlor_base::escape::EscapedPath as _;
use rustix::fs::statvfs;

use super::findings::Findings;
use crate::show::size;

/// Below this free space there is a warning, in bytes.
pub(super) const LITTLE_ROOM: u64 = 1 << 30;
/// Below this free space nothing works, in bytes.
pub(super) const NO_ROOM: u64 = 16 << 20;

/// Checks the free space where the host writes.
pub(super) fn check(data: &Path, findings: &mut Findings) {
    let there = existing(data);
    match room(there) {
        Err(error) => findings.warn("disk", format!("{}: {error}", there.escaped()), "look by hand: df"),
        Ok(room) => free(room, there, findings),
    }
}

/// Returns a folder, or the nearest one around it that exists.
pub(crate) fn existing(folder: &Path) -> &Path {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    if there.as_os_str().is_empty() { Path::new(".") } else { there }
}

/// Judges an amount of free space.
pub(super) fn free(room: u64, there: &Path, findings: &mut Findings) {
    let says = format!("{} free at {}", size(room), there.escaped());
    match room {
        0..NO_ROOM => findings.broken("disk", says, "make room: nothing can be stored or installed"),
        NO_ROOM..LITTLE_ROOM => findings.warn("disk", says, "make room"),
        _ => findings.fine("disk", says),
    }
}

/// Returns the free space there for this user, in bytes.
fn room(folder: &Path) -> std::io::Result<u64> {
    let found = statvfs(folder)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

//! Querying archives.

use parlor_base::id::InstanceId;
use parlor_stanza::types::ArchiveQuery;

use super::Command;
use crate::answer::Answer;
use crate::archive::{ArchivePage, Pending};
use crate::features::Features;
use crate::turn::Turn;

/// Query one page of an archive. Answered with the page.
#[derive(Debug)]
pub struct QueryArchive {
    /// The calling instance. None: the host itself.
    pub by: Option<InstanceId>,
    /// The query for the page.
    pub query: ArchiveQuery,
}

impl Command for QueryArchive {
    type Answer = ArchivePage;

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let (archives, mut sources) = features.archives_and_sources();
        archives.query(Pending { by: self.by, query: self.query, answer }, &mut sources, turn);
    }
}

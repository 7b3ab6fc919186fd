//! The decision whether this node's file or the cluster's version counts.

use parlor_base::id::Digest;
use parlor_nats::Version;
use serde::{Deserialize, Serialize};

/// A version of the cluster, as a node remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Base {
    /// The name of the cluster.
    pub(super) cluster: String,
    /// The place of its record.
    pub(super) revision: u64,
    /// Its number.
    pub(super) number: u64,
    /// The digest of its text.
    pub(super) digest: Digest,
}

impl Base {
    pub(super) fn of(cluster: &str, version: &Version) -> Self {
        let Version { revision, number, digest, .. } = *version;
        Self { cluster: cluster.to_owned(), revision, number, digest }
    }
}

/// The occasion on which the file and the version are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// The host starts.
    Start,
    /// The owner had the host read its files, also by a command.
    Reloaded,
    /// Time has passed, or the file or the version has changed.
    Looked,
}

/// The file of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum File {
    /// There is none, or it is empty without the owner having said that this counts.
    Absent(Option<Digest>),
    /// The host does not go by it: it has a mistake, or was not read yet.
    Unread(Digest),
    /// The host goes by it.
    InForce(Digest),
}

impl File {
    pub(super) fn of(text: Option<&str>, in_force: Option<Digest>, when: When) -> Self {
        let Some(text) = text else { return Self::Absent(None) };
        let digest = Digest::of(text.as_bytes());
        let counts = in_force == Some(digest);
        // A full disk leaves an empty file, too.
        if text.trim().is_empty() && !(counts && when == When::Reloaded) {
            return Self::Absent(Some(digest));
        }
        if counts { Self::InForce(digest) } else { Self::Unread(digest) }
    }

    fn digest(self) -> Option<Digest> {
        match self {
            Self::Absent(digest) => digest,
            Self::Unread(digest) | Self::InForce(digest) => Some(digest),
        }
    }
}

/// The next step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing: both are the same.
    InSync,
    /// Nothing: the owner is about to change the file, or nobody has one.
    Wait,
    /// Make the file the next version.
    Publish,
    /// Write the version into the file.
    Take {
        /// Whether the file has changes of this node, which must not be lost.
        is_changed: bool,
    },
    /// Nothing: the version is older than the one that this node had.
    Refuse {
        /// The number of that one.
        known: u64,
    },
}

/// Compares the version of the cluster, the version that this node had, and its file.
pub(super) fn decide(version: Option<&Base>, base: Option<&Base>, file: File, when: When) -> Step {
    let Some(version) = version else {
        return if matches!(file, File::InForce(_)) { Step::Publish } else { Step::Wait };
    };
    // A program that can write to NATS can put back a version that a node has sealed, such as one from before a revocation.
    if let Some(base) = base.filter(|base| version.number < base.number) {
        let is_wanted = when == When::Reloaded && matches!(file, File::InForce(_));
        return if is_wanted { Step::Publish } else { Step::Refuse { known: base.number } };
    }
    if file.digest() == Some(version.digest) {
        return Step::InSync;
    }
    // A version of the same number with another text is that of a cluster that has lost its state. The place of a record is
    // another one after it was sealed with another key.
    let is_version_known = base.is_some_and(|base| base.number == version.number && base.digest == version.digest);
    match file {
        File::Absent(_) if is_version_known && when != When::Start => Step::Wait,
        File::Absent(_) => Step::Take { is_changed: false },
        File::InForce(_) if is_version_known => Step::Publish,
        File::Unread(_) if is_version_known => Step::Wait,
        File::InForce(digest) | File::Unread(digest) => {
            Step::Take { is_changed: base.is_none_or(|base| base.digest != digest) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(revision: u64, text: &str) -> Base {
        Base { cluster: "c".to_owned(), revision, number: revision, digest: Digest::of(text.as_bytes()) }
    }

    fn in_force(text: &str) -> File {
        File::InForce(Digest::of(text.as_bytes()))
    }

    fn unread(text: &str) -> File {
        File::Unread(Digest::of(text.as_bytes()))
    }

    #[test]
    fn the_first_file_that_counts_begins() {
        assert_eq!(decide(None, None, in_force("a"), When::Start), Step::Publish);
        assert_eq!(decide(None, None, File::Absent(None), When::Start), Step::Wait);
        assert_eq!(decide(None, Some(&base(3, "a")), unread("b"), When::Looked), Step::Wait);
    }

    #[test]
    fn a_change_goes_to_the_cluster_or_comes_from_it() {
        let (one, two) = (base(1, "a"), base(2, "b"));
        let of = |version: &Base, base: &Base, file, when| decide(Some(version), Some(base), file, when);
        assert_eq!(of(&one, &one, in_force("a"), When::Looked), Step::InSync);
        assert_eq!(of(&one, &one, in_force("mine"), When::Looked), Step::Publish);
        assert_eq!(of(&one, &one, unread("mine"), When::Looked), Step::Wait, "it may be half written");
        assert_eq!(of(&two, &one, in_force("a"), When::Looked), Step::Take { is_changed: false });
        assert_eq!(of(&two, &one, in_force("b"), When::Looked), Step::InSync, "the answer to a write was lost");
    }

    #[test]
    fn what_two_nodes_changed_at_once_is_not_lost() {
        let (one, two) = (base(1, "a"), base(2, "b"));
        for file in [in_force("mine"), unread("mine")] {
            assert_eq!(decide(Some(&two), Some(&one), file, When::Looked), Step::Take { is_changed: true });
            assert_eq!(decide(Some(&two), None, file, When::Start), Step::Take { is_changed: true }, "it joins");
        }
        // The cluster has lost its state, and somebody has begun again in the same place.
        let other = base(1, "c");
        assert_eq!(decide(Some(&other), Some(&one), in_force("a"), When::Looked), Step::Take { is_changed: false });
        assert_eq!(decide(Some(&other), Some(&one), in_force("b"), When::Looked), Step::Take { is_changed: true });
    }

    #[test]
    fn a_version_that_is_older_than_what_the_node_had_is_refused_until_its_owner_decides() {
        let known = base(7, "b");
        // It was put back: its record is the last one in NATS.
        let older = Base { revision: 9, ..base(3, "a") };
        for file in [in_force("b"), in_force("a"), unread("b"), File::Absent(None)] {
            for when in [When::Start, When::Looked] {
                assert_eq!(decide(Some(&older), Some(&known), file, when), Step::Refuse { known: 7 }, "{file:?}");
            }
        }
        assert_eq!(decide(Some(&older), Some(&known), in_force("b"), When::Reloaded), Step::Publish);
        assert_eq!(decide(Some(&older), Some(&known), unread("b"), When::Reloaded), Step::Refuse { known: 7 });
        assert_eq!(decide(Some(&older), None, File::Absent(None), When::Start), Step::Take { is_changed: false });
        // The same version was sealed with another key.
        let sealed_again = Base { revision: 9, ..known.clone() };
        assert_eq!(decide(Some(&sealed_again), Some(&known), in_force("mine"), When::Looked), Step::Publish);
    }

    #[test]
    fn an_empty_file_counts_only_if_the_owner_says_so() {
        let empty = Some(Digest::of(b"\n"));
        for when in [When::Start, When::Looked] {
            assert_eq!(File::of(Some("\n"), empty, when), File::Absent(empty));
        }
        assert_eq!(File::of(Some("\n"), None, When::Reloaded), File::Absent(empty));
        assert_eq!(File::of(Some("\n"), empty, When::Reloaded), in_force("\n"));
        assert_eq!(File::of(Some("a"), None, When::Start), unread("a"));
        assert_eq!(File::of(Some("a"), Some(Digest::of(b"a")), When::Looked), in_force("a"));
        let one = base(1, "a");
        assert_eq!(decide(Some(&one), Some(&one), File::Absent(empty), When::Looked), Step::Wait);
        assert_eq!(decide(Some(&one), Some(&one), File::Absent(empty), When::Start), Step::Take { is_changed: false });
        let none = base(2, "\n");
        assert_eq!(decide(Some(&none), Some(&one), File::Absent(empty), When::Start), Step::InSync);
    }
}

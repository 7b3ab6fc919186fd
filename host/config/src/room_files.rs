//! The files with passwords of rooms: whether they are there, and who else can read them.

use std::collections::BTreeSet;
use std::path::Path;

use parlor_base::escape::EscapedPath as _;

use super::error::{ConfigError, FilePosition};
use super::link::{file_warning, present};
use super::sections::Section;
use super::settings::{ROOMS, RoomPasswordPlace, RoomPasswordPlaces, Settings};

/// Checks that the files are there after a setting of this section was read from this place.
pub(crate) fn are_present(
    settings: &Settings,
    key: &str,
    section: Option<&Section<'_>>,
    at: &FilePosition,
) -> Result<(), ConfigError> {
    // If a file is missing on one node of a cluster, the other rooms and accounts go on there nevertheless.
    let is_of_nodes = section.is_some_and(|section| section.layers().into_iter().any(Section::is_of_nodes));
    if key != ROOMS || is_of_nodes {
        return Ok(());
    }
    files(settings.room_passwords()).try_for_each(|file| present(file.to_owned(), at.clone()).map(drop))
}

/// Returns problems that are not errors, but should be fixed: each once, also if many accounts have it.
pub(crate) fn warnings<'s>(all: impl Iterator<Item = &'s Settings>) -> Vec<String> {
    let named: BTreeSet<&Path> = all.flat_map(|settings| files(settings.room_passwords())).collect();
    let lacks = |file: &Path| {
        format!(
            "there is no file {} on this node with the password of a room; copy it from another node, and run `parlor reload`",
            file.escaped()
        )
    };
    named.into_iter().filter_map(|file| if file.exists() { file_warning(file) } else { Some(lacks(file)) }).collect()
}

fn files(places: &RoomPasswordPlaces) -> impl Iterator<Item = &Path> {
    places.values().filter_map(|place| match place {
        RoomPasswordPlace::File(file) => Some(file.as_path()),
        RoomPasswordPlace::Environment(_) => None,
    })
}

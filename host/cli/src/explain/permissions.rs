//! The permissions that a plugin asks for and was granted, as people read them.

use parlor_base::id::PluginId;
use parlor_runtime::rights::Right;

use crate::show::{Mark, Put as _, marked};

/// Appends the permissions of a plugin: those that it holds, and those that it only asks for or was only granted.
pub(super) fn put(text: &mut String, id: &PluginId, permissions: &[Right]) {
    let (may, may_not): (Vec<_>, Vec<_>) = permissions.iter().partition(|right| right.is_in_force());
    section(text, &format!("{id} may"), &may, right_lines);
    section(text, &format!("{id} may not, although it asks or was granted"), &may_not, installed_lines);
    if permissions.is_empty() {
        text.put(format_args!("{id} asks for nothing and may do nothing but what every plugin may\n"));
    }
}

/// Appends the grants of a plugin whose file is not known. Whether it asks for them is not known, either.
pub(super) fn put_granted(text: &mut String, id: &PluginId, permissions: &[Right]) {
    let granted: Vec<_> = permissions.iter().collect();
    section(text, &format!("{id} was granted, as far as it asks for it"), &granted, granted_lines);
}

fn section(text: &mut String, title: &str, rights: &[&Right], lines: fn(&Right) -> String) {
    if rights.is_empty() {
        return;
    }
    text.put(format_args!("{}\n", marked(&format!("{title}:"), Mark::Bold)));
    for right in rights {
        text.push_str(&lines(right));
    }
}

/// Describes a permission: its name and risk, its scope, its meaning, the reason for the request, and how to grant it.
pub(crate) fn right_lines(right: &Right) -> String {
    lines(right, &right.line)
}

/// Does the same for an installed plugin, to which a command grants it.
fn installed_lines(right: &Right) -> String {
    lines(right, &right.command)
}

fn lines(right: &Right, remedy: &str) -> String {
    let mut text = name_line(right);
    match (&right.granted, &right.asked) {
        (Some(entries), None) => {
            text.put(format_args!(
                "      granted{}, but it does not ask for it, so it does not get it\n",
                scope(entries)
            ));
        }
        (Some(entries), Some(_)) => text.put(format_args!("      granted{}\n", scope(entries))),
        (None, _) => {}
    }
    if let Some(asked) = &right.asked {
        let needs = if asked.optional { "can use" } else { "requires" };
        text.put(format_args!("      {needs} this{}: “{}”\n", scope(&asked.scope), asked.reason));
    }
    if right.granted.is_none() {
        text.put(format_args!("      to allow it: {remedy}\n"));
    }
    text
}

/// Describes a granted permission without the request for it, which is not known.
fn granted_lines(right: &Right) -> String {
    let granted = right.granted.as_deref().unwrap_or_default();
    format!("{}      granted{}\n", name_line(right), scope(granted))
}

/// Returns the name of a permission, its risk and its meaning.
fn name_line(right: &Right) -> String {
    let risk = marked(&format!("{:6}", right.risk), Mark::of(right.permission.risk()));
    format!("  {:17} {risk}  {}\n", right.permission, right.what)
}

fn scope(entries: &[String]) -> String {
    if entries.is_empty() { String::new() } else { format!(" for {}", entries.join(", ")) }
}

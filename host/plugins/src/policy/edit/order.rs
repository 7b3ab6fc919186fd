//! Changes an order of hooks in the text of `plugins.toml`.

use parlor_base::id::PluginId;
use toml::{Table, Value};
use toml_edit::DocumentMut;

use super::{Unchangeable, remove, set, spelled_like};
use crate::policy::hooks::OrderName;

/// The table of the orders.
const HOOKS: &str = "hooks";

/// Returns the text with these plugins in an order, instead of those in it.
pub fn edit_order(text: &str, order: OrderName, ids: &[PluginId]) -> Result<String, Unchangeable> {
    let list = Value::Array(ids.iter().map(|id| Value::from(id.as_str())).collect());
    let by_hand = || Unchangeable(format!("under [{HOOKS}], write {} = {list}", order.key()));
    let wanted = wanted(text, order, &list).ok_or_else(by_hand)?;
    let new = apply(text, order, &list).ok_or_else(by_hand)?;
    let means: Table = new.parse().map_err(|_| by_hand())?;
    if means == wanted { Ok(new) } else { Err(by_hand()) }
}

/// Returns the meaning that the text must have afterwards. An empty order means the same as none.
fn wanted(text: &str, order: OrderName, list: &Value) -> Option<Table> {
    let mut root: Table = text.parse().ok()?;
    if is_empty(list) {
        if let Some(hooks) = root.get_mut(HOOKS) {
            hooks.as_table_mut()?.remove(order.key());
        }
        return Some(root);
    }
    let hooks = root.entry(HOOKS).or_insert_with(|| Table::new().into());
    hooks.as_table_mut()?.insert(order.key().to_owned(), list.clone());
    Some(root)
}

fn apply(text: &str, order: OrderName, list: &Value) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let path = [HOOKS.to_owned(), order.key().to_owned()];
    if is_empty(list) {
        remove(&mut document, &path)?;
    } else {
        set(&mut document, &path, list)?;
    }
    Some(spelled_like(text, &document))
}

fn is_empty(list: &Value) -> bool {
    list.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &str, order: OrderName, ids: &[&str]) -> String {
        let ids: Vec<PluginId> = ids.iter().map(|id| id.parse().unwrap()).collect();
        edit_order(text, order, &ids).unwrap()
    }

    #[test]
    fn an_order_is_changed_where_it_stands_and_added_where_there_is_none() {
        let text = "# mine\n[hooks] # who sees what\noutgoing = [\"a\", \"b\"] # first a\ndeadline = \"80 ms\"\n\n[plugin.a]\nsource = \"a\"\n";
        let turned = edited(text, OrderName::Outgoing, &["b", "a"]);
        assert_eq!(turned, text.replacen("[\"a\", \"b\"]", "[\"b\", \"a\"]", 1));
        let more = edited(text, OrderName::Commands, &["a"]);
        assert_eq!(more, text.replacen("\"80 ms\"\n", "\"80 ms\"\ncommands = [\"a\"]\n", 1));
        let without = edited(text, OrderName::Outgoing, &[]);
        assert_eq!(without, text.replacen("outgoing = [\"a\", \"b\"] # first a\n", "", 1));
        assert_eq!(edited(&without, OrderName::Incoming, &[]), without, "there is none to remove");
        let plugin = "[plugin.a]\nsource = \"a\"\n";
        assert_eq!(edited(plugin, OrderName::Incoming, &["a"]), format!("{plugin}\n[hooks]\nincoming = [\"a\"]\n"));
        assert_eq!(edited(plugin, OrderName::Incoming, &[]), plugin);
    }

    #[test]
    fn an_order_in_another_place_is_understood_or_refused_with_what_to_write() {
        let inline = "hooks = { outgoing = [\"a\"] }\n[plugin.a]\nsource = \"a\"\n";
        assert_eq!(edited(inline, OrderName::Outgoing, &["b"]), inline.replacen("[\"a\"]", "[\"b\"]", 1));
        let dotted = "hooks.outgoing = [\"a\"]\r\n[plugin.a]\r\nsource = \"a\"\r\n";
        let new = edited(dotted, OrderName::Outgoing, &["a", "b"]);
        assert_eq!(new, dotted.replacen("[\"a\"]", "[\"a\", \"b\"]", 1));
        let error = edit_order("hooks = 1\n", OrderName::Outgoing, &["a".parse().unwrap()]).unwrap_err();
        assert!(error.to_string().ends_with("under [hooks], write outgoing = [\"a\"]"), "{error}");
    }
}

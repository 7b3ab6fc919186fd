//! The names that `use` items bring, and the items that are there for tests only.

use std::collections::BTreeMap;

use syn::ext::IdentExt as _;
use syn::punctuated::Punctuated;
use syn::{Attribute, Item, ItemUse, Meta, Token, UseTree};

/// The segments of a path, such as `crate`, `rooms`, `Room`.
pub(super) type Segments = Vec<String>;

/// The names that `use` items bring into a module or a block.
#[derive(Default)]
pub(super) struct Names {
    /// Each name with the paths that bring it: one for each namespace, and for each `cfg`.
    pub named: BTreeMap<String, Vec<Segments>>,
    /// The modules whose names are all brought.
    pub globs: Vec<Segments>,
}

impl Names {
    /// Reads the `use` items among these.
    pub(super) fn of<'a>(items: impl IntoIterator<Item = &'a Item>) -> Self {
        let mut names = Self::default();
        for item in items {
            if let Item::Use(item) = item {
                names.add(item);
            }
        }
        names
    }

    /// Imports of tests are ignored, and a path that begins with `::` belongs to another package.
    fn add(&mut self, item: &ItemUse) {
        if !is_for_tests(&item.attrs) && item.leading_colon.is_none() {
            self.read(&mut Segments::new(), &item.tree);
        }
    }

    fn read(&mut self, before: &mut Segments, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.unraw().to_string());
                self.read(before, &path.tree);
                before.pop();
            }
            UseTree::Name(name) => self.name(before, &name.ident, None),
            UseTree::Rename(rename) => self.name(before, &rename.ident, Some(&rename.rename)),
            UseTree::Glob(_) => self.globs.push(before.clone()),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.read(before, tree);
                }
            }
        }
    }

    fn name(&mut self, before: &[String], name: &syn::Ident, renamed: Option<&syn::Ident>) {
        // `{self}` brings the module in front.
        let own = (name != "self" || before.is_empty()).then(|| name.unraw().to_string());
        let path: Segments = before.iter().cloned().chain(own).collect();
        let last = renamed.map(|name| name.unraw().to_string()).or_else(|| path.last().cloned());
        self.named.entry(last.unwrap()).or_default().push(path);
    }
}

/// Returns the paths that a `use` item names. That of a glob ends with `*`.
pub(super) fn paths(item: &ItemUse) -> Vec<Segments> {
    let mut names = Names::default();
    names.add(item);
    let globs = names.globs.into_iter().map(|path| [path, vec!["*".to_owned()]].concat());
    names.named.into_values().flatten().chain(globs).collect()
}

/// Returns whether an item with these attributes is compiled for unit tests only.
pub(super) fn is_for_tests(attributes: &[Attribute]) -> bool {
    let mut conditions = attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    conditions.any(|attribute| attribute.parse_args::<Meta>().is_ok_and(|condition| demands_tests(&condition)))
}

fn demands_tests(condition: &Meta) -> bool {
    let Meta::List(list) = condition else { return condition.path().is_ident("test") };
    let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).unwrap_or_default();
    match condition.path().require_ident().unwrap().to_string().as_str() {
        "all" => parts.iter().any(demands_tests),
        "any" => !parts.is_empty() && parts.iter().all(demands_tests),
        _ => false,
    }
}

/// Returns the attributes of an item.
pub(super) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(syn::ItemConst { attrs, .. })
        | Item::Enum(syn::ItemEnum { attrs, .. })
        | Item::ExternCrate(syn::ItemExternCrate { attrs, .. })
        | Item::Fn(syn::ItemFn { attrs, .. })
        | Item::ForeignMod(syn::ItemForeignMod { attrs, .. })
        | Item::Impl(syn::ItemImpl { attrs, .. })
        | Item::Macro(syn::ItemMacro { attrs, .. })
        | Item::Mod(syn::ItemMod { attrs, .. })
        | Item::Static(syn::ItemStatic { attrs, .. })
        | Item::Struct(syn::ItemStruct { attrs, .. })
        | Item::Trait(syn::ItemTrait { attrs, .. })
        | Item::TraitAlias(syn::ItemTraitAlias { attrs, .. })
        | Item::Type(syn::ItemType { attrs, .. })
        | Item::Union(syn::ItemUnion { attrs, .. })
        | Item::Use(ItemUse { attrs, .. }) => attrs,
        _ => &[],
    }
}

/// Returns the name that an item defines. A module's is not among them.
pub(super) fn defined(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(syn::ItemConst { ident, .. })
        | Item::Enum(syn::ItemEnum { ident, .. })
        | Item::Static(syn::ItemStatic { ident, .. })
        | Item::Struct(syn::ItemStruct { ident, .. })
        | Item::Trait(syn::ItemTrait { ident, .. })
        | Item::TraitAlias(syn::ItemTraitAlias { ident, .. })
        | Item::Type(syn::ItemType { ident, .. })
        | Item::Union(syn::ItemUnion { ident, .. })
        | Item::Macro(syn::ItemMacro { ident: Some(ident), .. }) => ident,
        Item::Fn(function) => &function.sig.ident,
        _ => return None,
    };
    Some(name.unraw().to_string())
}

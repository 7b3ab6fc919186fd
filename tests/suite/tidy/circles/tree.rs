//! The modules of a package, as its `mod` items make them, and the items that paths in them lead to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::ext::IdentExt as _;
use syn::{Expr, ExprLit, Item, ItemMod, Lit, Meta};

use super::names::{Names, Segments, attributes, defined, is_for_tests};

/// More re-exports of one name than this are a loop.
const MOST_STEPS: usize = 16;

/// The modules that begin at one file, such as `lib.rs`, without those of tests.
pub(super) struct Tree {
    pub modules: Vec<Module>,
}

pub(super) struct Module {
    /// Its name, for the root `crate`.
    pub name: String,
    /// The file that it stands in. A module within braces shares it with its parent.
    pub file: String,
    pub parent: Option<usize>,
    /// Its items, without those of tests.
    pub items: Vec<Item>,
    children: BTreeMap<String, usize>,
    names: Names,
    defines: BTreeSet<String>,
}

/// The module or item that a path resolves to.
#[derive(Clone)]
pub(super) enum Target {
    Module(usize),
    /// An item of this name, and the module that defines it.
    Item(usize, String),
}

impl Tree {
    /// Reads the modules from `root` on. `files` are the texts by their paths.
    pub(super) fn read(files: &BTreeMap<&str, &str>, root: &str) -> Self {
        let mut tree = Self { modules: Vec::new() };
        let folder = Path::new(root).parent().unwrap();
        tree.read_file(files, root, "crate", None, folder);
        tree
    }

    /// Adds the module of a file, with those below it. The files of its children are in `folder`.
    fn read_file(
        &mut self,
        files: &BTreeMap<&str, &str>,
        file: &str,
        name: &str,
        parent: Option<usize>,
        folder: &Path,
    ) -> usize {
        let items = syn::parse_file(files[file]).unwrap_or_else(|error| panic!("{file}: {error}")).items;
        self.add(files, Module::new(name, file, parent, items), folder)
    }

    fn add(&mut self, files: &BTreeMap<&str, &str>, mut module: Module, folder: &Path) -> usize {
        let own = self.modules.len();
        let file = module.file.clone();
        let (mods, items) =
            std::mem::take(&mut module.items).into_iter().partition(|item| matches!(item, Item::Mod(_)));
        module.items = items;
        self.modules.push(module);
        for item in mods {
            let Item::Mod(ItemMod { attrs, ident, content, .. }) = item else { continue };
            let name = ident.unraw().to_string();
            let below = folder.join(&name);
            let child = if let Some((_, items)) = content {
                self.add(files, Module::new(&name, &file, Some(own), items), &below)
            } else {
                let named = attrs.iter().find_map(named_file).map(|named| Path::new(&file).with_file_name(named));
                let places: [PathBuf; 2] = [below.with_extension("rs"), below.join("mod.rs")];
                let places = named.into_iter().chain(places);
                let mut places = places.map(|place| place.display().to_string());
                let place = places.find(|place| files.contains_key(place.as_str()));
                let place = place.unwrap_or_else(|| panic!("{file}: mod {name} has no file"));
                self.read_file(files, &place, &name, Some(own), &below)
            };
            // Of two with conditions, the first one.
            self.modules[own].children.entry(name).or_insert(child);
        }
        own
    }

    /// Returns the file of the item that a path in this module resolves to, and its name there. A path to another
    /// package resolves to nothing.
    pub(super) fn resolve(&self, module: usize, path: &[String]) -> Option<(&str, String)> {
        Some(match self.find(module, path, 0)? {
            Target::Module(found) => (&self.modules[found].file, self.modules[found].name.clone()),
            Target::Item(found, name) => (&self.modules[found].file, name),
        })
    }

    /// Returns whether a file is that of the module or of one of its ancestors.
    pub(super) fn is_around(&self, module: usize, file: &str) -> bool {
        let around = std::iter::successors(Some(module), |module| self.modules[*module].parent);
        around.into_iter().any(|module| self.modules[module].file == file)
    }

    fn find(&self, module: usize, path: &[String], steps: usize) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(self.inside(0, rest, steps)),
            "self" => Some(self.inside(module, rest, steps)),
            "super" => {
                let mut module = self.modules[module].parent?;
                let mut rest = rest;
                while let Some(("super", after)) = rest.split_first().map(|(first, rest)| (first.as_str(), rest)) {
                    (module, rest) = (self.modules[module].parent?, after);
                }
                Some(self.inside(module, rest, steps))
            }
            _ => self.known(module, first, rest, steps),
        }
    }

    /// Resolves a path from within a module. An unknown name counts as the module's own: a macro made it.
    fn inside(&self, module: usize, path: &[String], steps: usize) -> Target {
        let Some((first, rest)) = path.split_first() else { return Target::Module(module) };
        self.known(module, first, rest, steps).unwrap_or_else(|| Target::Item(module, first.clone()))
    }

    /// Resolves a name that the module knows. At the end of a path it is rather an item, before that rather a module.
    fn known(&self, module: usize, first: &String, rest: &[String], steps: usize) -> Option<Target> {
        let own = &self.modules[module];
        let child = own.children.get(first).map(|child| self.inside(*child, rest, steps));
        if steps > MOST_STEPS || child.is_some() && !rest.is_empty() {
            return child;
        }
        let brought = own.names.named.get(first).into_iter().flatten();
        let brought = brought.map(|path| [path, rest].concat());
        let mut brought = brought.filter_map(|path| self.find(module, &path, steps + 1));
        let item = || own.defines.contains(first).then(|| Target::Item(module, first.clone()));
        let of_globs = || own.names.globs.iter().find_map(|glob| self.of_glob(module, glob, first, rest, steps + 1));
        brought.next().or_else(item).or(child).or_else(of_globs)
    }

    fn of_glob(&self, module: usize, glob: &Segments, first: &String, rest: &[String], steps: usize) -> Option<Target> {
        match self.find(module, glob, steps)? {
            Target::Module(found) if found != module => self.known(found, first, rest, steps),
            _ => None,
        }
    }
}

impl Module {
    fn new(name: &str, file: &str, parent: Option<usize>, mut items: Vec<Item>) -> Self {
        items.retain(|item| !is_for_tests(attributes(item)));
        Self {
            name: name.to_owned(),
            file: file.to_owned(),
            parent,
            children: BTreeMap::new(),
            names: Names::of(&items),
            defines: items.iter().filter_map(defined).collect(),
            items,
        }
    }
}

/// Returns the file that an attribute `path` names.
fn named_file(attribute: &syn::Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

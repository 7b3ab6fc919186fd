//! Groups of files that lead to each other, found as by Tarjan: "Depth-first search and linear graph algorithms" (1972).

use std::collections::BTreeMap;

use super::arrows::Arrows;

/// Returns the groups of several files, each of which can reach every other one.
pub(super) fn groups(arrows: &Arrows) -> Vec<Vec<&str>> {
    let mut search = Search { arrows, places: BTreeMap::new(), open: Vec::new(), found: Vec::new() };
    for file in arrows.keys() {
        if !search.places.contains_key(file.as_str()) {
            search.visit(file);
        }
    }
    search.found
}

struct Search<'a> {
    arrows: &'a Arrows,
    /// The visited files with their places in the order of visits.
    places: BTreeMap<&'a str, usize>,
    /// The visited files whose group is not complete yet, in that order.
    open: Vec<&'a str>,
    found: Vec<Vec<&'a str>>,
}

impl<'a> Search<'a> {
    /// Visits the files that a file points to. Returns the lowest place of an open file that it reaches.
    fn visit(&mut self, file: &'a str) -> usize {
        let place = self.places.len();
        self.places.insert(file, place);
        self.open.push(file);
        let mut lowest = place;
        for next in self.arrows.get(file).into_iter().flat_map(BTreeMap::keys) {
            let led_back = match self.places.get(next.as_str()) {
                None => self.visit(next),
                Some(visited) if self.open.contains(&next.as_str()) => *visited,
                Some(_) => place,
            };
            lowest = lowest.min(led_back);
        }
        if lowest == place {
            let first = self.open.iter().position(|open| *open == file).unwrap();
            let mut group = self.open.split_off(first);
            group.sort_unstable();
            self.found.extend((group.len() > 1).then_some(group));
        }
        lowest
    }
}

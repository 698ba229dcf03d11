//! What an engine was told, kept beside it: a machine that starts again by itself is told it anew, as a leader would who
//! still believes in it.

use ensemble_model::wanted::{CellKey, Coverage, Wanted, WantedCell};
use std::collections::BTreeMap;

/// Wishes since the last complete one that are kept one by one.
const KEPT: usize = 32;

#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Vec<Wanted>);

impl Told {
    pub(crate) fn take(&mut self, wanted: Wanted) {
        if wanted.coverage == Coverage::Complete {
            self.0.clear();
        }
        self.0.push(wanted);
        if self.0.len() > KEPT {
            self.merge();
        }
    }

    /// In the order in which it was told.
    pub(crate) fn again(&self) -> Vec<Wanted> {
        self.0.clone()
    }

    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }

    fn merge(&mut self) {
        let mut cells: BTreeMap<CellKey, WantedCell> = BTreeMap::new();
        let coverage = self.0.first().map_or(Coverage::Listed, |first| first.coverage);
        let last = self.0.last().cloned();
        for wanted in self.0.drain(..) {
            cells.extend(wanted.cells.into_iter().map(|cell| (cell.key.clone(), cell)));
        }
        self.0.extend(last.map(|last| Wanted { coverage, cells: cells.into_values().collect(), ..last }));
    }
}

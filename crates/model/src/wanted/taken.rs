//! What an engine has taken of the wishes it was told, so that one that comes late, twice or out of turn changes
//! nothing: cell by cell, the newest counts. Holds no wish itself; every engine keeps its own way of doing so.

use super::{CellKey, Coverage, Epoch, Standing, Wanted, WantedCell};
use std::collections::{BTreeMap, BTreeSet};

/// Empty cells that are remembered. What comes later than that many others were emptied is taken for old.
const EMPTY_AT_MOST: usize = 4_096;

/// How new the wish is that was taken of each cell.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    epoch: Epoch,
    /// Of the newest complete list: a cell that it leaves out is empty.
    complete: Standing,
    cells: BTreeMap<CellKey, Standing>,
    /// Those among them that hold nothing, the oldest first.
    empty: BTreeSet<(Standing, CellKey)>,
    /// Of the newest empty cell that is not remembered any more.
    forgotten: Standing,
}

impl Taken {
    /// Takes note of `wanted` and returns what of it is new: cells of which nothing newer was taken. It is still
    /// complete when no newer complete list was taken; then each cell goes of which [`is_known`](Self::is_known) says
    /// no.
    pub fn take(&mut self, wanted: Wanted) -> Wanted {
        let standing = wanted.standing();
        let is_complete = wanted.coverage == Coverage::Complete;
        if standing.epoch < self.epoch || (is_complete && standing < self.complete) {
            return Wanted { coverage: Coverage::Listed, cells: Vec::new(), ..wanted };
        }
        self.epoch = standing.epoch;
        let cells: Vec<WantedCell> =
            wanted.cells.into_iter().filter(|cell| self.newest_of(&cell.key) <= standing).collect();
        if is_complete {
            self.complete = standing;
            self.cells.retain(|_, taken| *taken > standing);
            self.empty.retain(|(taken, _)| *taken > standing);
        }
        for cell in &cells {
            self.note(standing, cell);
        }
        Wanted { cells, ..wanted }
    }

    /// Whether a wish counts that names the cell.
    pub fn is_known(&self, cell: &CellKey) -> bool {
        self.cells.contains_key(cell)
    }

    fn newest_of(&self, cell: &CellKey) -> Standing {
        let unnamed = || self.complete.max(self.forgotten);
        self.cells.get(cell).copied().unwrap_or_else(unnamed)
    }

    fn note(&mut self, standing: Standing, cell: &WantedCell) {
        if let Some(older) = self.cells.insert(cell.key.clone(), standing) {
            self.empty.remove(&(older, cell.key.clone()));
        }
        if !cell.run.is_empty() || !cell.release.is_empty() {
            return;
        }
        self.empty.insert((standing, cell.key.clone()));
        if self.empty.len() > EMPTY_AT_MOST
            && let Some((oldest, key)) = self.empty.pop_first()
        {
            self.cells.remove(&key);
            self.forgotten = self.forgotten.max(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{AppId, EdgeNodeId, InstanceId, Isp, VersionName};
    use crate::spec::Resources;
    use crate::wanted::{CellTemplate, WantedInstance};
    use Coverage::{Complete, Listed};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn key(app: &str) -> CellKey {
        let (version, node, isp) = (VersionName::new("v1"), EdgeNodeId::new("node"), Isp::new("cmcc"));
        CellKey { app: AppId::new(app), version, node, isp }
    }

    /// `count` of an application's instances are wanted in its one cell.
    fn wanted(coverage: Coverage, epoch: u64, sequence: u64, cells: &[(&str, usize)]) -> Wanted {
        let (limits, workloads, pins) = (Resources::default(), Vec::new(), BTreeMap::new());
        let template = Arc::new(CellTemplate { app_name: String::new(), limits, workloads, pins });
        let instance = |index| {
            let (id, deployment) = (InstanceId::new(format!("i-{index}")), "abcdefgh".to_owned());
            WantedInstance { id, deployment, host: None }
        };
        let cell = |(app, count): &(&str, usize)| WantedCell {
            key: key(app),
            template: Arc::clone(&template),
            run: (0..*count).map(instance).collect(),
            release: Vec::new(),
        };
        Wanted { epoch: Epoch(epoch), sequence, coverage, cells: cells.iter().map(cell).collect() }
    }

    /// An engine that only remembers.
    #[derive(Default)]
    struct Engine {
        taken: Taken,
        is_complete: bool,
        cells: BTreeMap<CellKey, usize>,
    }

    impl Engine {
        fn told(wishes: &[Wanted]) -> (bool, Vec<(String, usize)>) {
            let mut engine = Self::default();
            for wanted in wishes {
                let fresh = engine.taken.take(wanted.clone());
                if fresh.coverage == Complete {
                    engine.is_complete = true;
                    engine.cells.retain(|key, _| engine.taken.is_known(key));
                }
                engine.cells.extend(fresh.cells.into_iter().map(|cell| (cell.key, cell.run.len())));
            }
            let held = engine.cells.into_iter().filter(|(_, count)| *count > 0);
            (engine.is_complete, held.map(|(key, count)| (key.app.to_string(), count)).collect())
        }
    }

    #[test]
    fn what_is_older_than_what_was_taken_changes_nothing() {
        let cases = [
            (
                "twice",
                vec![wanted(Listed, 1, 5, &[("a", 1)]), wanted(Listed, 1, 5, &[("a", 1)])],
                false,
                vec![("a", 1)],
            ),
            (
                "late",
                vec![wanted(Listed, 1, 6, &[("a", 2)]), wanted(Listed, 1, 5, &[("a", 1)])],
                false,
                vec![("a", 2)],
            ),
            (
                "late about one cell",
                vec![wanted(Listed, 1, 6, &[("a", 2)]), wanted(Listed, 1, 5, &[("a", 1), ("b", 1)])],
                false,
                vec![("a", 2), ("b", 1)],
            ),
            (
                "late about a cell that was emptied",
                vec![wanted(Listed, 1, 6, &[("a", 0)]), wanted(Listed, 1, 5, &[("a", 1)])],
                false,
                vec![],
            ),
            (
                "late, after a complete list that leaves the cell out",
                vec![wanted(Complete, 1, 6, &[("b", 1)]), wanted(Listed, 1, 5, &[("a", 1)])],
                true,
                vec![("b", 1)],
            ),
            (
                "a late complete list completes and undoes nothing newer",
                vec![
                    wanted(Listed, 1, 6, &[("a", 2), ("c", 3)]),
                    wanted(Listed, 1, 3, &[("d", 1)]),
                    wanted(Complete, 1, 5, &[("a", 1), ("b", 1)]),
                ],
                true,
                vec![("a", 2), ("b", 1), ("c", 3)],
            ),
            (
                "a complete list older than another",
                vec![wanted(Complete, 1, 6, &[("a", 1)]), wanted(Complete, 1, 5, &[("b", 1)])],
                true,
                vec![("a", 1)],
            ),
            (
                "an older leader's, of a cell that the newer one has not named",
                vec![wanted(Listed, 2, 5, &[("a", 1)]), wanted(Complete, 1, 9, &[("b", 1)])],
                false,
                vec![("a", 1)],
            ),
            (
                "a newer leader's, though it stands on less of a log",
                vec![wanted(Listed, 1, 9, &[("a", 1)]), wanted(Listed, 2, 5, &[("a", 2)])],
                false,
                vec![("a", 2)],
            ),
        ];
        for (name, wishes, complete, held) in cases {
            let held: Vec<(String, usize)> =
                held.into_iter().map(|(app, count)| (app.into(), count)).collect();
            assert_eq!(Engine::told(&wishes), (complete, held), "{name}");
        }
    }

    #[test]
    fn memory_of_empty_cells_is_bounded_and_what_is_older_stays_empty() {
        let mut taken = Taken::default();
        let names: Vec<String> = (0..=EMPTY_AT_MOST).map(|number| format!("app-{number}")).collect();
        for (name, sequence) in names.iter().zip(10..) {
            taken.take(wanted(Listed, 1, sequence, &[(name, 0)]));
        }

        let late = taken.take(wanted(Listed, 1, 9, &[("app-0", 1)]));
        let new = taken.take(wanted(Listed, 1, 9_999, &[("app-0", 1)]));

        assert_eq!((late.cells.len(), new.cells.len()), (0, 1));
        assert_eq!((taken.cells.len(), taken.empty.len()), (EMPTY_AT_MOST + 1, EMPTY_AT_MOST));
    }

    const APPS: [&str; 4] = ["a", "b", "c", "d"];

    proptest! {
        /// Each wish tells the truth about its cells as of its sequence; the first is complete.
        #[test]
        fn in_whatever_order_wishes_come_the_same_is_held(
            changes in prop::collection::vec((0..4_usize, 0..3_usize, 0..4_u8), 1..12),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..24),
        ) {
            let mut truth = [1; APPS.len()];
            let whole = |truth: &[usize]| {
                let cells: Vec<(&str, usize)> = APPS.into_iter().zip(truth.iter().copied()).collect();
                cells.into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>()
            };
            let mut wishes = vec![wanted(Complete, 1, 1, &whole(&truth))];
            for ((app, count, kind), sequence) in changes.into_iter().zip(2..) {
                truth[app] = count;
                wishes.push(match kind {
                    0 => wanted(Complete, 1, sequence, &whole(&truth)),
                    _ => wanted(Listed, 1, sequence, &[(APPS[app], count)]),
                });
            }
            let mut shuffled: Vec<Wanted> = order.iter().map(|index| index.get(&wishes).clone()).collect();
            shuffled.extend(wishes.iter().rev().cloned());

            prop_assert_eq!(Engine::told(&shuffled), Engine::told(&wishes));
        }
    }
}

//! What an engine still has to be told: wishes merged by cell, so that a slow engine gets the newest one of each
//! cell and the queue never holds more than there are cells.
//! Must not drop a cell: a wish that was taken and not delivered is put back under whatever came since.

use ensemble_model::wanted::{CellKey, Coverage, Standing, Wanted, WantedCell};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

#[derive(Default)]
pub(crate) struct Mailbox {
    pending: Mutex<Option<Pending>>,
    filled: Notify,
    /// What was taken is not delivered yet.
    on_its_way: AtomicBool,
}

struct Pending {
    standing: Standing,
    coverage: Coverage,
    cells: BTreeMap<CellKey, WantedCell>,
}

impl Mailbox {
    /// Adds a newer wish.
    pub(crate) fn put(&self, wanted: Wanted) {
        let mut pending = self.lock();
        let newer = Pending::from(wanted);
        *pending = Some(match pending.take() {
            Some(older) => older.under(newer),
            None => newer,
        });
        self.filled.notify_one();
    }

    /// Gives back a wish that could not be delivered; what came since is newer.
    pub(crate) fn put_back(&self, wanted: Wanted) {
        let mut pending = self.lock();
        let older = Pending::from(wanted);
        *pending = Some(match pending.take() {
            Some(newer) => older.under(newer),
            None => older,
        });
        self.filled.notify_one();
    }

    /// Waits for a wish and takes all of it.
    pub(crate) async fn take(&self) -> Wanted {
        loop {
            // `notify_one` leaves a permit when nobody waits, so a wish put between the two lines wakes this.
            if let Some(pending) = self.take_now() {
                return pending.into();
            }
            self.filled.notified().await;
        }
    }

    /// What was taken last was delivered.
    pub(crate) fn delivered(&self) {
        self.on_its_way.store(false, Ordering::Release);
    }

    /// Everything that was put was delivered.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.lock().is_none() && !self.on_its_way.load(Ordering::Acquire)
    }

    fn take_now(&self) -> Option<Pending> {
        let mut pending = self.lock();
        // Under the lock, so that it is seen in one of the two places at any time.
        self.on_its_way.store(pending.is_some(), Ordering::Release);
        pending.take()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Pending>> {
        // Nothing inside can panic half way.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    fn under(mut self, newer: Self) -> Self {
        match newer.coverage {
            Coverage::Complete => newer,
            Coverage::Listed => {
                self.cells.extend(newer.cells);
                Self { standing: newer.standing.max(self.standing), ..self }
            }
        }
    }
}

impl From<Wanted> for Pending {
    fn from(wanted: Wanted) -> Self {
        let standing = wanted.standing();
        let cells = wanted.cells.into_iter().map(|cell| (cell.key.clone(), cell)).collect();
        Self { standing, coverage: wanted.coverage, cells }
    }
}

impl From<Pending> for Wanted {
    fn from(pending: Pending) -> Self {
        let Standing { epoch, sequence } = pending.standing;
        let cells = pending.cells.into_values().collect();
        Self { epoch, sequence, coverage: pending.coverage, cells }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ensemble_model::id::{AppId, EdgeNodeId, InstanceId, Isp, VersionName};
    use ensemble_model::spec::Resources;
    use ensemble_model::wanted::{CellTemplate, Epoch, WantedInstance};
    use std::sync::Arc;

    fn wanted(coverage: Coverage, sequence: u64, cells: &[(&str, usize)]) -> Wanted {
        let cells = cells.iter().map(|(app, count)| WantedCell {
            key: CellKey {
                app: AppId::new(*app),
                version: VersionName::new("v1"),
                node: EdgeNodeId::new("node"),
                isp: Isp::new("cmcc"),
            },
            template: Arc::new(CellTemplate {
                app_name: (*app).to_owned(),
                limits: Resources::default(),
                workloads: Vec::new(),
                pins: BTreeMap::new(),
            }),
            run: (0..*count)
                .map(|index| WantedInstance {
                    id: InstanceId::new(format!("i-{index}")),
                    deployment: "abcdefgh".into(),
                    host: None,
                })
                .collect(),
            release: Vec::new(),
        });
        Wanted { epoch: Epoch(1), sequence, coverage, cells: cells.collect() }
    }

    fn counts(wanted: &Wanted) -> Vec<(&str, usize)> {
        wanted.cells.iter().map(|cell| (cell.key.app.as_str(), cell.run.len())).collect()
    }

    #[tokio::test]
    async fn the_newest_wish_of_each_cell_is_delivered() {
        let mailbox = Mailbox::default();
        mailbox.put(wanted(Coverage::Complete, 1, &[("a", 1), ("b", 2)]));

        mailbox.put(wanted(Coverage::Listed, 2, &[("b", 5), ("c", 3)]));

        let taken = mailbox.take().await;
        assert_eq!(counts(&taken), [("a", 1), ("b", 5), ("c", 3)]);
        assert_eq!((taken.coverage, taken.sequence), (Coverage::Complete, 2));
    }

    #[tokio::test]
    async fn it_is_at_rest_when_what_was_taken_is_delivered_and_not_put_back() {
        let mailbox = Mailbox::default();
        assert!(mailbox.is_at_rest());
        mailbox.put(wanted(Coverage::Listed, 1, &[("a", 1)]));
        assert!(!mailbox.is_at_rest());

        let taken = mailbox.take().await;
        assert!(!mailbox.is_at_rest());
        mailbox.put_back(taken);
        assert!(!mailbox.is_at_rest());
        mailbox.take().await;
        mailbox.delivered();

        assert!(mailbox.is_at_rest());
    }

    #[tokio::test]
    async fn a_complete_wish_replaces_all_before_it() {
        let mailbox = Mailbox::default();
        mailbox.put(wanted(Coverage::Listed, 1, &[("a", 1)]));

        mailbox.put(wanted(Coverage::Complete, 1, &[("b", 1)]));

        assert_eq!(counts(&mailbox.take().await), [("b", 1)]);
    }

    #[tokio::test]
    async fn a_wish_put_back_yields_to_what_came_since() {
        let mailbox = Mailbox::default();
        mailbox.put(wanted(Coverage::Complete, 1, &[("a", 1), ("b", 1)]));
        let undelivered = mailbox.take().await;
        mailbox.put(wanted(Coverage::Listed, 2, &[("b", 7)]));

        mailbox.put_back(undelivered);

        let taken = mailbox.take().await;
        assert_eq!(counts(&taken), [("a", 1), ("b", 7)]);
        assert_eq!((taken.coverage, taken.sequence), (Coverage::Complete, 2));
    }
}

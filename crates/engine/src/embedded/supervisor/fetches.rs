//! What is under way for images. A slow registry must hold up neither starts nor stops, so these have a bound of their own,
//! and one that nobody waits for any more is cut short.

use ensemble_supervision::reconcile::state::Subject;
use std::collections::{BTreeMap, BTreeSet};
use tokio::task::AbortHandle;

/// Images resolved or fetched at once.
const AT_ONCE: usize = 16;

#[derive(Default)]
pub(crate) struct Fetches(BTreeMap<Subject, AbortHandle>);

impl Fetches {
    pub(super) fn add(&mut self, subject: Subject, task: AbortHandle) {
        self.0.insert(subject, task);
    }

    pub(super) fn remove(&mut self, subject: &Subject) {
        self.0.remove(subject);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= AT_ONCE
    }

    /// Ends those that are not among these, and says which.
    pub(super) fn cut_but(&mut self, waited_for: &BTreeSet<Subject>) -> Vec<Subject> {
        let cut: Vec<Subject> =
            self.0.keys().filter(|subject| !waited_for.contains(subject)).cloned().collect();
        for subject in &cut {
            if let Some(task) = self.0.remove(subject) {
                task.abort();
            }
        }
        cut
    }

    pub(super) fn end(&mut self) {
        self.0.values().for_each(AbortHandle::abort);
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ensemble_model::id::Digest;

    fn image(name: &str) -> Subject {
        Subject::Image(Digest::new(name))
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_cut_and_its_place_is_free() {
        let mut fetches = Fetches::default();
        let tasks: Vec<_> = (0..AT_ONCE).map(|_| tokio::spawn(std::future::pending::<()>())).collect();
        for (number, task) in tasks.iter().enumerate() {
            fetches.add(image(&number.to_string()), task.abort_handle());
        }
        assert!(fetches.is_full());

        let cut = fetches.cut_but(&(1..AT_ONCE).map(|number| image(&number.to_string())).collect());

        assert_eq!(cut, [image("0")]);
        assert!(!fetches.is_full());
        let mut tasks = tasks.into_iter();
        assert!(tasks.next().unwrap().await.unwrap_err().is_cancelled());
        assert!(tasks.all(|task| !task.is_finished()));
        fetches.end();
        assert_eq!(fetches.len(), 0);
    }
}

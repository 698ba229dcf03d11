//! The actions that are under way, each a task. One about an image can be cut short; one that panics is told as broken.

use super::machine::Done;
use ensemble_supervision::reconcile::state::{Action, Subject};
use ensemble_supervision::supervisor::steps::Error;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::time::Duration;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

type Outcome = Result<Done, Error>;

#[derive(Default)]
pub(super) struct UnderWay {
    tasks: JoinSet<Outcome>,
    actions: HashMap<Id, Action>,
    /// The ways to cut short what is under way for images.
    images: BTreeMap<Subject, AbortHandle>,
}

/// How a task ended.
pub(super) enum End {
    Finished {
        action: Action,
        outcome: Outcome,
    },
    /// Actions answer errors; one that panicked is a fault of ours.
    Broke(Action),
    /// Nobody waits for it.
    Cut,
}

impl UnderWay {
    pub(super) fn begin(&mut self, action: Action, task: impl Future<Output = Outcome> + Send + 'static) {
        let handle = self.tasks.spawn(task);
        let subject = action.subject();
        self.actions.insert(handle.id(), action);
        if subject.is_image() {
            self.images.insert(subject, handle);
        }
    }

    pub(super) fn cut(&mut self, subject: &Subject) {
        if let Some(task) = self.images.remove(subject) {
            task.abort();
        }
    }

    /// The next one that ends; never comes while none is under way.
    pub(super) async fn next(&mut self) -> End {
        match self.tasks.join_next_with_id().await {
            Some(ended) => self.account(ended),
            None => std::future::pending().await,
        }
    }

    /// One that has ended already.
    pub(super) fn try_next(&mut self) -> Option<End> {
        let ended = self.tasks.try_join_next_with_id()?;
        Some(self.account(ended))
    }

    /// Cuts what is under way for images, of which what has come is kept and gone on with; the rest may end by itself
    /// within `patience`.
    pub(super) async fn end(mut self, patience: Duration) {
        self.images.values().for_each(AbortHandle::abort);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        // Dropping the set aborts what is left.
        let _ = tokio::time::timeout(patience, all).await;
    }

    fn account(&mut self, ended: Result<(Id, Outcome), JoinError>) -> End {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let action = self.actions.remove(&id).expect("every task has an action");
        let subject = action.subject();
        if self.images.get(&subject).is_some_and(|task| task.id() == id) {
            self.images.remove(&subject);
        }
        match ended {
            Ok((_, outcome)) => End::Finished { action, outcome },
            Err(error) if error.is_cancelled() => End::Cut,
            Err(error) => {
                tracing::error!(%error, "a step of the engine broke: {error}");
                End::Broke(action)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ensemble_model::id::Digest;

    fn fetch(pin: &str) -> Action {
        Action::Fetch { image: "oci:/x".to_owned(), pin: Digest::new(pin) }
    }

    #[tokio::test]
    async fn only_what_is_cut_ends_early_and_what_breaks_is_told() {
        let mut under_way = UnderWay::default();
        under_way.begin(fetch("a"), std::future::pending());
        under_way.begin(fetch("b"), async { panic!("a fault of ours") });
        under_way.begin(fetch("c"), async { Err(Error::Cut) });
        under_way.begin(fetch("d"), std::future::pending());

        under_way.cut(&Subject::Image(Digest::new("a")));
        let mut ends = Vec::new();
        for _ in 0..3 {
            ends.push(match under_way.next().await {
                End::Finished { action, .. } => format!("finished {:?}", action.subject()),
                End::Broke(action) => format!("broke {:?}", action.subject()),
                End::Cut => "cut".to_owned(),
            });
        }
        ends.sort();

        assert_eq!(ends, [r#"broke Image(Digest("b"))"#, "cut", r#"finished Image(Digest("c"))"#]);
        assert!(under_way.try_next().is_none());
        under_way.end(Duration::ZERO).await;
    }
}

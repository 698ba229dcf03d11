//! Follows an application or operation over any number of connections: what breaks is taken up behind the last entry of
//! the log that came whole. An entry is told whole or not at all, so that nothing is told twice and nothing is lost.
//! Prints no event.

use crate::client::{Client, Parameters, parameter};
use crate::context::Context;
use crate::events::{Event, Events};
use crate::failure::{Exit, Failure};
use std::collections::VecDeque;
use std::time::Duration;

/// The first pause behind a broken link; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// In a row, without a word from the server between them: a little more than a minute of pauses.
const ATTEMPTS_AT_MOST: u32 = 20;
/// Events of one entry of the log, or of what is there at first.
const ENTRY_EVENTS_AT_MOST: usize = 2_000_000;

/// Pauses between attempts that get longer, until it is enough.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Nothing failed since it last went well.
    pub(crate) fn is_fresh(&self) -> bool {
        self.failures == 0
    }

    /// How long to wait for the next attempt; nothing when there is to be none.
    pub(crate) fn failed(&mut self) -> Option<Duration> {
        if self.failures == ATTEMPTS_AT_MOST {
            return None;
        }
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures += 1;
        Some(pause.min(LONGEST_PAUSE))
    }
}

pub(crate) struct Following<'a> {
    context: &'a Context,
    client: &'a Client,
    subject: (String, String),
    since: Option<String>,
    /// The open stream.
    events: Option<Events>,
    /// Of an entry that has not come whole.
    entry: Vec<Event>,
    whole: VecDeque<Event>,
    /// Whether the server was ever reached: one that is not there at first is not waited for.
    was_reached: bool,
    backoff: Backoff,
    ended: bool,
}

impl<'a> Following<'a> {
    /// `subject` is the parameter of Watch that names it; nothing is sent before the first [`Self::next`].
    pub(crate) fn new(
        context: &'a Context,
        client: &'a Client,
        subject: (String, String),
        since: Option<u64>,
    ) -> Self {
        Self {
            context,
            client,
            subject,
            since: since.map(|sequence| sequence.to_string()),
            events: None,
            entry: Vec::new(),
            whole: VecDeque::new(),
            was_reached: false,
            backoff: Backoff::default(),
            ended: false,
        }
    }

    pub(crate) fn is_of_operation(&self) -> bool {
        self.subject.0 == "OperationId"
    }

    /// The last sequence of the log of which everything was told.
    pub(crate) fn since(&self) -> Option<&str> {
        self.since.as_deref()
    }

    /// The next event, or nothing once the subject has come to its end.
    ///
    /// # Errors
    /// A refusal; or that the server could not be reached again for more than a minute.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            if let Some(event) = self.whole.pop_front() {
                // Its entry counts as told with its last event.
                if let Some(id) = &event.id {
                    self.since = Some(id.clone());
                }
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            match self.receive().await {
                Ok(()) => {}
                Err(failure) if failure.exit == Exit::Unreachable && self.was_reached => {
                    self.pause(failure).await?;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Takes one event from the stream, opening it where there is none.
    async fn receive(&mut self) -> Result<(), Failure> {
        let events = match &mut self.events {
            Some(events) => events,
            none => {
                let mut parameters: Parameters = vec![self.subject.clone()];
                if let Some(since) = &self.since {
                    parameters.push(parameter("Since", since));
                }
                none.insert(Events::new(self.client.stream("Watch", &parameters).await?))
            }
        };
        self.was_reached = true;
        match events.next().await? {
            Some(event) if event.kind == "closing" => {
                let reason = event.data["Reason"].as_str().unwrap_or("the server closed the stream");
                Err(Failure::new(Exit::Unreachable, reason))
            }
            Some(event) => {
                self.backoff.succeeded();
                self.take(event)
            }
            None if !self.entry.is_empty() => {
                Err(Failure::new(Exit::Unreachable, "the stream ended within an entry"))
            }
            None => {
                self.ended = true;
                Ok(())
            }
        }
    }

    fn take(&mut self, event: Event) -> Result<(), Failure> {
        if event.is_progress {
            self.whole.push_back(event);
        } else if event.id.is_some() {
            self.whole.extend(self.entry.drain(..));
            self.whole.push_back(event);
        } else if self.entry.len() < ENTRY_EVENTS_AT_MOST {
            self.entry.push(event);
        } else {
            return Err(Failure::new(Exit::Failed, "the server sent an entry without an end"));
        }
        Ok(())
    }

    async fn pause(&mut self, failure: Failure) -> Result<(), Failure> {
        self.events = None;
        self.entry.clear();
        if self.backoff.is_fresh() {
            let from = self.since.as_ref().map_or_else(String::new, |since| format!(" behind {since}"));
            self.context.say(&format!("note: {}; watching on{from}", failure.message));
        }
        let pause = self.backoff.failed().ok_or(failure)?;
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_get_longer_up_to_a_bound_and_end() {
        let mut backoff = Backoff::default();

        let pauses: Vec<Duration> = std::iter::from_fn(|| backoff.failed()).collect();

        assert_eq!(pauses[..3], [100, 200, 400].map(Duration::from_millis));
        assert_eq!(pauses.last(), Some(&LONGEST_PAUSE));
        assert_eq!(pauses.len(), ATTEMPTS_AT_MOST as usize);
        backoff.succeeded();
        assert_eq!(backoff.failed(), Some(FIRST_PAUSE));
    }
}

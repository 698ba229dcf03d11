//! DescribeInstanceLogs: what a container printed, and with `Follow` what it prints from here on
//! (`decisions.md` §5). The engine keeps the lines; which container is meant is found out here.

use super::container::Container;
use super::{Answer, Context, EventStream, Services, unknown_instance};
use crate::gateway::listen::{Phase, reached};
use bytes::Bytes;
use ensemble_engine::{Error as EngineError, LogLine, LogQuery, LogStream};
use ensemble_model::id::{EngineName, InstanceId};
use ensemble_model::permit::Permit;
use ensemble_model::state::Gone;
use ensemble_model::time::WallTime;
use ensemble_wire::action::describe_instance_logs::{Request, Response};
use ensemble_wire::error::{Error, Reason, sentence};
use ensemble_wire::parameters::Flag;
use ensemble_wire::payload::event::{Closing, HEARTBEAT, INSTANCE_GONE, frame};
use ensemble_wire::payload::{log::Line, to_text};
use ensemble_wire::time::{iso, parse_iso};
use std::sync::Arc;
use std::time::Duration;
use tokio::time;

/// Between two looks at the lines of a followed container.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Looks without a new line after which the stream says that it is still there: 15 s.
const QUIET_LOOKS: u32 = 30;

/// Most lines that one look fetches.
const LINES_AT_ONCE: usize = 10_000;

pub(super) async fn handle(context: &Context, permit: Permit, request: Request) -> Result<Answer, Error> {
    let state = context.state();
    let account = state.account(&permit);
    let id = InstanceId::new(request.instance_id.clone());
    let gone = account.gone(&id);
    let instance = account
        .instance(&id)
        .map(|instance| &**instance)
        .or_else(|| gone.map(|gone| &gone.instance))
        .ok_or_else(|| unknown_instance(id.as_str()))?;
    let (pod, name) = (request.pod_name.as_deref(), request.container_name.as_deref());
    let container = Container::find(&account, instance, pod, name)?;
    let query = query_of(&container, request.since_ms.map(WallTime), request.tail);
    match request.follow {
        Flag::Yes => {
            let subject = Followed { services: Arc::clone(&context.services), permit, container, query };
            Ok(Answer::Events(follow(subject)))
        }
        Flag::No => {
            let mut lines: Vec<Line> =
                lines(&context.services, &container.engine, query).await?.into_iter().map(line).collect();
            lines.extend(gone.map(|gone| epitaph(gone)));
            Ok(Answer::of(&Response { lines, request_id: context.request_id.clone() }))
        }
    }
}

fn query_of(container: &Container, since: Option<WallTime>, tail: usize) -> LogQuery {
    LogQuery {
        instance: container.instance.clone(),
        workload: container.workload.clone(),
        index: container.index,
        container: container.name.clone(),
        since,
        tail,
    }
}

/// # Errors
/// `CallInterface` when the engine cannot say; no lines at all where none are kept.
async fn lines(services: &Services, engine: &EngineName, query: LogQuery) -> Result<Vec<LogLine>, Error> {
    match services.engines.logs(engine, query).await {
        Ok(lines) => Ok(lines),
        Err(EngineError::NoLogs { .. }) => Ok(Vec::new()),
        Err(error @ EngineError::Unreachable { .. }) => {
            Err(Error::call_interface(sentence(&error.to_string())).with_reason(Reason::EngineUnavailable))
        }
        Err(error) => {
            tracing::warn!("logs could not be read: {error}");
            Err(Error::call_interface(sentence(&error.to_string())))
        }
    }
}

fn line(line: LogLine) -> Line {
    let stream = match line.stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
    };
    Line { at: line.at, stream: stream.to_owned(), text: line.text }
}

/// Why an instance went and how its pods were, for a day after it did (`decisions.md` §2.4).
fn epitaph(gone: &Gone) -> Line {
    let pods = gone.instance.pods.iter().filter(|pod| !pod.message.is_empty());
    let mut text = gone.instance.cause.clone().unwrap_or_else(|| "gone".to_owned());
    for pod in pods {
        text.push_str(&format!("; {}-{}: {}", pod.workload, pod.index, pod.message));
    }
    Line { at: iso(gone.at.0), stream: "ensemble".to_owned(), text }
}

struct Followed {
    services: Arc<Services>,
    permit: Permit,
    container: Container,
    query: LogQuery,
}

/// Lines as events until the instance is gone, the server drains or the client goes.
fn follow(followed: Followed) -> EventStream {
    Box::pin(async_stream::stream! {
        let Followed { services, permit, container, mut query } = followed;
        let mut phase = services.phase.clone();
        let mut seen = Seen::default();
        let mut quiet = 0;
        loop {
            // Asked before the lines, so that those written last are fetched once more.
            let is_here = services.control.state().account(&permit).instance(&container.instance).is_some();
            match lines(&services, &container.engine, query).await {
                Ok(lines) => {
                    let fresh = seen.fresh(lines);
                    quiet = if fresh.is_empty() { quiet + 1 } else { 0 };
                    for fresh in fresh {
                        yield Ok(Bytes::from(frame("line", &to_text(&line(fresh)), None)));
                    }
                }
                Err(error) => {
                    yield Ok(closing(error.detail.as_deref().unwrap_or(&error.message)));
                    return;
                }
            }
            if !is_here {
                yield Ok(closing(INSTANCE_GONE));
                return;
            }
            if quiet >= QUIET_LOOKS {
                quiet = 0;
                yield Ok(Bytes::from_static(HEARTBEAT.as_bytes()));
            }
            query = query_of(&container, seen.since(), LINES_AT_ONCE);
            tokio::select! {
                () = reached(&mut phase, Phase::Draining) => {
                    yield Ok(closing("the server is stopping"));
                    return;
                }
                () = time::sleep(LOOK_EVERY) => {}
            }
        }
    })
}

fn closing(reason: &str) -> Bytes {
    frame("closing", &to_text(&Closing { reason: reason.to_owned() }), None).into()
}

/// The last line told: its time, and how many lines of that very time have been told.
#[derive(Default)]
struct Seen {
    at: String,
    count: usize,
}

impl Seen {
    /// What has not been told. Times are of one width, so that they compare as text.
    fn fresh(&mut self, lines: Vec<LogLine>) -> Vec<LogLine> {
        let mut same = 0;
        let mut fresh = Vec::new();
        for line in lines {
            if line.at < self.at {
                continue;
            }
            if line.at == self.at {
                same += 1;
                if same <= self.count {
                    continue;
                }
                self.count += 1;
            } else {
                self.at.clone_from(&line.at);
                (self.count, same) = (1, 1);
            }
            fresh.push(line);
        }
        fresh
    }

    fn since(&self) -> Option<WallTime> {
        parse_iso(&self.at).map(WallTime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[(&str, &str)]) -> Vec<LogLine> {
        let line = |(at, text): &(&str, &str)| LogLine {
            at: (*at).to_owned(),
            stream: LogStream::Stdout,
            text: (*text).to_owned(),
        };
        lines.iter().map(line).collect()
    }

    fn texts(lines: Vec<LogLine>) -> Vec<String> {
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn a_followed_line_is_told_once_even_where_several_have_one_time() {
        let mut seen = Seen::default();

        let first = seen.fresh(of(&[("1", "a"), ("2", "b"), ("2", "c")]));
        let second = seen.fresh(of(&[("2", "b"), ("2", "c"), ("2", "d"), ("3", "e")]));
        let third = seen.fresh(of(&[("3", "e")]));

        assert_eq!(texts(first), ["a", "b", "c"]);
        assert_eq!(texts(second), ["d", "e"]);
        assert!(third.is_empty());
    }
}

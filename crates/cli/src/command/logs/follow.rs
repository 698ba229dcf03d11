//! Follows the lines of any number of pods over any number of connections, with those of instances that come meanwhile.
//! What breaks is taken up behind the last line that was shown.

use super::source::{Place, Printer, Source};
use super::{Others, PODS_AT_MOST, Selection};
use crate::client::Client;
use crate::command::app;
use crate::context::{Context, Outcome};
use crate::events::Events;
use crate::failure::{Exit, Failure};
use crate::following::{Backoff, Following};
use ensemble_wire::payload::event::INSTANCE_GONE;
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use futures_util::stream::FuturesUnordered;
use std::collections::BTreeSet;
use std::pin::pin;
use tokio::sync::mpsc;

/// Pods that were seen are remembered so that none is followed twice: this many, in an application's life.
const SEEN_AT_MOST: usize = 100_000;

/// Until everything that was named has come to its end.
pub(super) async fn all(
    context: &Context,
    client: &Client,
    what: &[String],
    others: Others,
    selection: &Selection,
    printer: &Printer,
) -> Outcome {
    let (found, mut pods) = mpsc::channel::<Source>(PODS_AT_MOST);
    let watching: Vec<_> =
        what.iter().map(|what| discover(context, client, what, others, selection, found.clone())).collect();
    drop(found);
    let mut watching = pin!(try_join_all(watching));
    let (mut is_watching, mut is_full) = (true, false);
    let mut followed = FuturesUnordered::new();
    loop {
        tokio::select! {
            ended = &mut watching, if is_watching => {
                ended?;
                is_watching = false;
            }
            Some(source) = pods.recv() => {
                if followed.len() < PODS_AT_MOST {
                    followed.push(follow(context, client, source, printer));
                } else if !is_full {
                    is_full = true;
                    context.say(&format!("note: there are more than {PODS_AT_MOST} pods; those that came last are left out"));
                }
            }
            Some(ended) = followed.next(), if !followed.is_empty() => ended?,
            else => return Ok(Exit::Done),
        }
    }
}

/// The pods of what was named: those there are, and of an application those that come, until it is gone.
async fn discover(
    context: &Context,
    client: &Client,
    what: &str,
    others: Others,
    selection: &Selection,
    found: mpsc::Sender<Source>,
) -> Result<(), Failure> {
    // Whoever takes them goes on for as long as this does.
    if what.starts_with("i-") {
        let _ = found.send(selection.instance(what, others)).await;
        return Ok(());
    }
    let id = app::find(client, what).await?.id;
    let mut following = Following::new(context, client, ("AppId".to_owned(), id), None);
    // By their place in the instance: in an upgrade a pod gets another name, and its lines go on.
    let mut seen = BTreeSet::new();
    let mut is_first = true;
    while let Some(event) = following.next().await? {
        let id = event.data["InstanceId"].as_str().unwrap_or_default();
        let pods = event.data["Pods"].as_array().filter(|_| event.kind == "instance");
        for (place, pod) in pods.into_iter().flatten().enumerate() {
            let Some(name) = pod["Name"].as_str().filter(|name| selection.takes(name)) else { continue };
            if seen.len() < SEEN_AT_MOST && seen.insert((id.to_owned(), place)) {
                let source = selection.pod(id, name);
                let source = if is_first { source } else { source.whole() };
                let _ = found.send(source).await;
            }
        }
        is_first &= event.id.is_none();
    }
    Ok(())
}

/// One container's lines as far as they have come.
#[derive(Default)]
struct Progress {
    place: Place,
    backoff: Backoff,
    was_reached: bool,
}

/// One container's lines until its instance is gone.
async fn follow(
    context: &Context,
    client: &Client,
    source: Source,
    printer: &Printer,
) -> Result<(), Failure> {
    let mut progress = Progress::default();
    loop {
        let Err(failure) = connection(client, &source, &mut progress, printer).await else { return Ok(()) };
        // A pod of an application was there when it was found, and the server was reached for that.
        let was_there = progress.was_reached || source.prefix.is_some();
        match failure.exit {
            Exit::Refused if was_there && failure.reason() == Some("UnknownInstance") => return Ok(()),
            Exit::Unreachable if was_there => {}
            _ => return Err(failure),
        }
        if progress.backoff.is_fresh() {
            let name = source.prefix.as_deref().unwrap_or(&source.instance);
            context.say(&format!("note: {}; {name} is followed on", failure.message));
        }
        let pause = progress.backoff.failed().ok_or(failure)?;
        tokio::time::sleep(pause).await;
    }
}

/// The lines of one connection; an error where there may be more.
async fn connection(
    client: &Client,
    source: &Source,
    progress: &mut Progress,
    printer: &Printer,
) -> Result<(), Failure> {
    let Progress { place, backoff, was_reached } = progress;
    let mut events = Events::new(client.stream("DescribeInstanceLogs", &source.following(place)).await?);
    *was_reached = true;
    place.resume();
    while let Some(event) = events.next().await? {
        match event.kind.as_str() {
            "line" => {
                backoff.succeeded();
                if place.is_new(&event.data) {
                    printer.print(source, event.data);
                }
            }
            "closing" => {
                return match event.data["Reason"].as_str() {
                    Some(INSTANCE_GONE) => Ok(()),
                    reason => Err(Failure::new(Exit::Unreachable, reason.unwrap_or("the stream was closed"))),
                };
            }
            _ => {}
        }
    }
    Err(Failure::new(Exit::Unreachable, "the stream ended"))
}

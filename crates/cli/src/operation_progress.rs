//! Follows an operation to its end: a live bar per edge node on a terminal, plain lines elsewhere.
//! Asks the server; never changes anything. Ending it leaves the operation running.

mod bars;
mod lines;

use crate::client::{Client, Parameters, parameter};
use crate::context::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::following::Backoff;
use crate::output;
use crate::words::{minutes, pulled_percent, seconds_until};
use bars::Bars;
use clap::Args;
use jiff::Timestamp;
use lines::Lines;
use serde_json::Value;
use std::time::{Duration, Instant};

/// How often the server is asked while an operation runs.
const PACE: Duration = Duration::from_millis(200);
/// How often a write is sent whose answer does not come.
const SENT_AT_MOST: u32 = 3;
/// Instances a failure names, with their causes.
const CAUSES_AT_MOST: usize = 3;

#[derive(Clone, Debug, Args)]
pub(crate) struct Waiting {
    /// Stop waiting after this many seconds; the operation goes on (exit 6)
    #[arg(long, value_name = "SECONDS", conflicts_with = "no_wait")]
    pub(crate) wait_timeout: Option<u64>,
    /// Return once it is accepted
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// How an operation is shown while it runs.
trait Display {
    fn show(&mut self, operation: &Value);
    fn close(&mut self);
}

struct Silence;

impl Display for Silence {
    fn show(&mut self, _: &Value) {}
    fn close(&mut self) {}
}

/// Sends a write whose parameters have a `ClientToken`: where the link breaks before the answer came it is sent again, and
/// is still done once.
///
/// # Errors
/// The refusal, or that no answer came: then it is not known whether it was accepted.
pub(crate) async fn submit(client: &Client, action: &str, parameters: &Parameters) -> Result<Value, Failure> {
    let sending = async {
        let mut backoff = Backoff::default();
        for _ in 1..SENT_AT_MOST {
            match client.call(action, parameters).await {
                Err(failure) if failure.exit == Exit::Unreachable => {
                    tokio::time::sleep(backoff.failed().unwrap_or_default()).await;
                }
                answered => return answered,
            }
        }
        client.call(action, parameters).await
    };
    tokio::select! {
        answered = sending => answered,
        _ = tokio::signal::ctrl_c() => {
            let said = "interrupted before an answer came; whether it was accepted is not known";
            Err(Failure::new(Exit::Interrupted, said).hint("ensemble operation list"))
        }
    }
}

/// What every write ends with: waits unless told not to, and prints what a program wants to read.
pub(crate) async fn finish(context: &Context, client: &Client, answer: &Value, waiting: &Waiting) -> Outcome {
    let request = answer["RequestId"].as_str().unwrap_or_default();
    if waiting.no_wait {
        match context.form() {
            output::Form::Json | output::Form::Ndjson => output::print_document(context.form(), answer),
            output::Form::Name => output::line(request),
            output::Form::Table | output::Form::Wide => {
                context.say(&format!("accepted; next: ensemble watch {request}"));
            }
        }
        return Ok(Exit::Done);
    }
    let exit = follow(context, client, request, waiting).await?;
    match context.form() {
        output::Form::Json | output::Form::Ndjson => {
            output::print_document(context.form(), &describe(client, request).await?);
        }
        output::Form::Name => output::line(request),
        output::Form::Table | output::Form::Wide => {}
    }
    Ok(exit)
}

/// Waits for the end of operation `id`, showing it as it goes.
pub(crate) async fn follow(context: &Context, client: &Client, id: &str, waiting: &Waiting) -> Outcome {
    if waiting.no_wait {
        return Ok(Exit::Done);
    }
    let mut display: Box<dyn Display> = if context.is_quiet() {
        Box::new(Silence)
    } else if context.draws() {
        Box::new(Bars::new())
    } else {
        Box::new(Lines::new(Instant::now()))
    };
    let started = Instant::now();
    let limit = waiting.wait_timeout.map(Duration::from_secs);
    let left = |exit, said| {
        let mut failure = Failure::new(exit, said).hint(format!("ensemble watch {id}"));
        failure.request_id = Some(id.into());
        Err(failure)
    };
    let outcome = tokio::select! {
        outcome = ask_until_ended(context, client, id, display.as_mut()) => outcome,
        // Also while the server does not answer.
        () = elapsed(limit) => left(Exit::StillRunning, "still running when --wait-timeout ended; it goes on"),
        _ = tokio::signal::ctrl_c() => left(Exit::Interrupted, "interrupted; the operation goes on"),
    };
    display.close();
    let operation = outcome?;
    conclude(context, &operation, started.elapsed())
}

pub(crate) async fn describe(client: &Client, id: &str) -> Result<Value, Failure> {
    let mut answer = client.call("DescribeOperation", &vec![parameter("OperationId", id)]).await?;
    Ok(answer["Operation"].take())
}

async fn elapsed(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

async fn ask_until_ended(
    context: &Context,
    client: &Client,
    id: &str,
    display: &mut dyn Display,
) -> Result<Value, Failure> {
    let mut backoff = Backoff::default();
    loop {
        match describe(client, id).await {
            Ok(operation) => {
                backoff.succeeded();
                display.show(&operation);
                if operation["Status"] != "Running" {
                    return Ok(operation);
                }
            }
            // A server that restarts is waited for.
            Err(failure) if failure.exit == Exit::Unreachable => {
                if backoff.is_fresh() {
                    context.say(&format!("note: {}; asking again", failure.message));
                }
                let pause = backoff.failed();
                let pause = pause.ok_or_else(|| failure.hint(format!("ensemble watch {id}")))?;
                tokio::time::sleep(pause).await;
            }
            Err(failure) => return Err(failure.hint(format!("ensemble operation show {id}"))),
        }
        tokio::time::sleep(PACE).await;
    }
}

/// The last word: done, or what failed, where, why and what to do next.
fn conclude(context: &Context, operation: &Value, took: Duration) -> Outcome {
    let (wanted, ready) = (&operation["Wanted"], &operation["Ready"]);
    let done = done_word(operation);
    let outcome = operation["Outcome"].as_str().unwrap_or_default();
    for text in skipped(operation) {
        context.say(&text);
    }
    if operation["Status"] == "Succeeded" {
        context.say(&format!("Done in {:.1} s: {ready} of {wanted} {done}. {outcome}", took.as_secs_f64()));
        return Ok(Exit::Done);
    }
    let status = operation["Status"].as_str().unwrap_or_default().to_lowercase();
    let mut failure =
        Failure::new(Exit::Failed, format!("the operation {status}: {ready} of {wanted} {done}"))
            .cause(outcome);
    for node in unfinished(operation) {
        failure = failure.cause(node);
    }
    let given_up = given_up(operation);
    for (_, text) in given_up.iter().take(CAUSES_AT_MOST) {
        failure = failure.cause(text);
    }
    let id = operation["OperationId"].as_str().unwrap_or_default();
    let steps = format!("ensemble operation show {id} tells each step");
    Err(failure.hint(match given_up.first() {
        Some((instance, _)) => format!("ensemble logs {instance} shows what it wrote, {steps}"),
        None => steps,
    }))
}

/// What `--partial` left out: a success that did less than was asked for says so.
fn skipped(operation: &Value) -> Vec<String> {
    let items = operation["Skipped"].as_array().map(Vec::as_slice).unwrap_or_default();
    let told = |item: &Value| {
        let reason = item["Reason"].as_str().unwrap_or_default();
        format!("  skipped item {} ({} asked for): {reason}", item["Index"], item["Wanted"])
    };
    items.iter().map(told).collect()
}

/// The edge nodes where something is missing.
fn unfinished(operation: &Value) -> Vec<String> {
    let nodes = operation["Nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let short = |node: &&Value| node["Ready"].as_u64() < node["Wanted"].as_u64();
    let told = |node: &Value| {
        format!(
            "{}: {} of {}",
            node["EnsRegionId"].as_str().unwrap_or_default(),
            node["Ready"],
            node["Wanted"]
        )
    };
    nodes.iter().filter(short).take(8).map(told).collect()
}

/// The instances that the history gives up, each with what it says about it.
fn given_up(operation: &Value) -> Vec<(&str, &str)> {
    let steps = operation["Steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let texts = steps.iter().filter_map(|step| step["Text"].as_str());
    // A step about an instance begins with its id.
    let named = texts.filter_map(|text| Some((text.strip_prefix('`')?.split('`').next()?, text)));
    named.filter(|(_, text)| text.contains("is given up")).collect()
}

/// What an instance is once its operation is done with it.
fn done_word(operation: &Value) -> &'static str {
    if releases(operation) { "released" } else { "ready" }
}

fn releases(operation: &Value) -> bool {
    operation["Action"] == "DeleteApplication" || operation["RescaleType"] == "Del"
}

/// `3/4`, and the states of those that are not there yet.
fn node_line(node: &Value) -> (u64, u64, String) {
    let states = node["States"].as_object().into_iter().flatten();
    let waiting: Vec<String> = states
        .filter(|(state, count)| {
            **count != 0 && !matches!(state.as_str(), "Running" | "Ready" | "Gone" | "Done")
        })
        .map(|(state, count)| match pulled_percent(&node["Pulled"]).filter(|_| state == "Pulling") {
            Some(percent) => format!("{count} pulling {percent} %"),
            None => format!("{count} {}", state.to_lowercase()),
        })
        .collect();
    (
        node["Ready"].as_u64().unwrap_or_default(),
        node["Wanted"].as_u64().unwrap_or_default(),
        waiting.join(", "),
    )
}

fn summary(operation: &Value, took: Duration) -> String {
    let deadline = operation["Deadline"].as_str().and_then(|text| seconds_until(text, Timestamp::now()));
    let deadline =
        deadline.map_or_else(String::new, |seconds| format!(" · deadline in {}", minutes(seconds)));
    format!(
        "{} of {} {} · {:.1} s{deadline} · Ctrl-C leaves it running",
        operation["Ready"],
        operation["Wanted"],
        done_word(operation),
        took.as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn skipped_items_are_told() {
        let operation = json!({"Skipped": [{"Index": 0, "Wanted": 50, "Reason": "room for 8 of 50"}]});

        assert_eq!(skipped(&operation), ["  skipped item 0 (50 asked for): room for 8 of 50"]);
        assert!(skipped(&json!({"Skipped": []})).is_empty());
    }

    #[test]
    fn a_node_that_pulls_says_how_far() {
        let node = json!({"Wanted": 2, "Ready": 1, "States": {"Pulling": 1, "Running": 1},
            "Pulled": {"Bytes": 62, "TotalBytes": 100}});

        assert_eq!(node_line(&node), (1, 2, "1 pulling 62 %".to_owned()));
        assert_eq!(node_line(&json!({"Wanted": 1, "Ready": 0, "States": {"Pulling": 1}})).2, "1 pulling");
    }

    #[test]
    fn a_failure_names_the_instances_that_were_given_up() {
        let text = "`i-1` on `cn-x` is given up: not ready when the time was up (exited 3)";
        let operation =
            json!({"Steps": [{"Text": "accepted: add 1 instance"}, {"Text": text}, {"Text": "timeout"}]});

        assert_eq!(given_up(&operation), [("i-1", text)]);
    }
}

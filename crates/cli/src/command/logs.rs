//! `ensemble logs`: what the containers of an instance, or of a whole application, wrote.

use crate::client::{Client, Parameters, parameter};
use crate::command::{app, instances};
use crate::context::{Context, Outcome};
use crate::events::Events;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::words::duration;
use clap::Args;
use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// More pods than this are not followed at once.
const PODS_AT_MOST: usize = 32;

/// Show what containers wrote
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble logs i-5s9boobrmh5000kv4jmi0oeai --follow
  ensemble logs hello --since 5m")]
pub(crate) struct Arguments {
    /// An instance id, or an application (id, prefix or name)
    what: String,
    /// Go on as lines are written
    #[arg(long, short)]
    follow: bool,
    /// Only lines not older than this: 30s, 5m, 2h
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    since: Option<SignedDuration>,
    /// At most this many lines of each container
    #[arg(long, default_value_t = 200)]
    tail: u32,
    /// The pod, where an instance has several
    #[arg(long)]
    pod: Option<String>,
    /// The container, where a pod has several
    #[arg(long)]
    container: Option<String>,
}

/// One pod to read, and what its lines begin with.
struct Source {
    prefix: String,
    parameters: Parameters,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Outcome {
    let client = context.client()?;
    let sources = sources(&client, &arguments).await?;
    let json = context.form().is_json();
    if arguments.follow {
        let all = try_join_all(sources.iter().map(|source| follow(&client, source, json)));
        return tokio::select! {
            ended = all => ended.map(|_| Exit::Done),
            _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
        };
    }
    for source in &sources {
        let answer = client.call("DescribeInstanceLogs", &source.parameters).await?;
        for line in answer["Lines"].as_array().into_iter().flatten() {
            print(source, line, json);
        }
    }
    Ok(Exit::Done)
}

async fn follow(client: &Client, source: &Source, json: bool) -> Result<(), Failure> {
    let mut parameters = source.parameters.clone();
    parameters.push(parameter("Follow", "true"));
    let mut events = Events::new(client.stream("DescribeInstanceLogs", &parameters).await?);
    while let Some(event) = events.next().await? {
        print(source, &event.data, json);
    }
    Ok(())
}

async fn sources(client: &Client, arguments: &Arguments) -> Result<Vec<Source>, Failure> {
    let mut common = vec![parameter("Tail", arguments.tail)];
    if let Some(since) = arguments.since {
        let from = Timestamp::now().checked_sub(since).unwrap_or(Timestamp::UNIX_EPOCH);
        common.push(parameter("Since", from.strftime("%Y-%m-%dT%H:%M:%SZ")));
    }
    if let Some(container) = &arguments.container {
        common.push(parameter("ContainerName", container));
    }
    let source = |instance: &str, pod: Option<&str>, prefix: String| {
        let mut parameters = vec![parameter("InstanceId", instance)];
        if let Some(pod) = pod {
            parameters.push(parameter("PodName", pod));
        }
        parameters.extend(common.clone());
        Source { prefix, parameters }
    };
    if arguments.what.starts_with("i-") {
        return Ok(vec![source(&arguments.what, arguments.pod.as_deref(), String::new())]);
    }
    let found = app::find(client, &arguments.what).await?;
    let mut sources = Vec::new();
    for instance in instances::instances(client, &found.id).await? {
        let id = instance["InstanceId"].as_str().unwrap_or_default().to_owned();
        for pod in instance["Pods"].as_array().into_iter().flatten() {
            let name = pod["Name"].as_str().unwrap_or_default();
            if arguments.pod.as_deref().is_none_or(|wanted| wanted == name) {
                sources.push(source(&id, Some(name), format!("{name} ")));
            }
        }
    }
    if sources.len() > PODS_AT_MOST {
        return Err(Failure::usage(format!(
            "{} has {} pods; at most {PODS_AT_MOST} are shown at once",
            found.name,
            sources.len()
        ))
        .hint("name an instance: `ensemble instances` lists them"));
    }
    Ok(sources)
}

fn print(source: &Source, line: &Value, json: bool) {
    if json {
        output::line(&line.to_string());
    } else {
        output::line(&format!("{}{}", source.prefix, line["Text"].as_str().unwrap_or_default()));
    }
}

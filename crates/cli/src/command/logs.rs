//! `ensemble logs`: what the containers of instances and of whole applications wrote, each line under the name of its pod.

mod follow;
mod source;

use crate::client::{Client, Parameters, parameter};
use crate::command::{app, instances};
use crate::context::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::words::duration;
use clap::Args;
use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use source::{Printer, Source};
use std::cell::Cell;

/// More pods than this are not shown at once.
const PODS_AT_MOST: usize = 64;

/// Asked at the same time, where lines are not followed.
const CALLS_AT_ONCE: usize = 8;

/// Show what containers wrote
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble logs i-5s9boobrmh5000kv4jmi0oeai --follow
  ensemble logs hello --since 5m
  ensemble logs hello world --follow --tail 0

Lines of several pods are in the order of their times, each under the name of its pod.
With --follow, instances that come later are followed too, and a server that restarts
is waited for.")]
pub(crate) struct Arguments {
    /// Instance ids and applications (ids, prefixes or names)
    #[arg(required = true)]
    what: Vec<String>,
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

/// What is asked of each container, and which pods are meant.
struct Selection {
    pod: Option<String>,
    container: Option<String>,
    /// As the API has it.
    since: Option<String>,
    tail: u32,
    /// Sources there have been: the colour of the next one.
    colour: Cell<usize>,
}

impl Selection {
    fn of(arguments: &Arguments) -> Self {
        let since = arguments.since.map(|since| {
            let from = Timestamp::now().checked_sub(since).unwrap_or(Timestamp::UNIX_EPOCH);
            from.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
        });
        let (pod, container) = (arguments.pod.clone(), arguments.container.clone());
        Self { pod, container, since, tail: arguments.tail, colour: Cell::new(0) }
    }

    fn takes(&self, pod: &str) -> bool {
        self.pod.as_deref().is_none_or(|wanted| wanted == pod)
    }

    /// One pod of an application; its lines begin with its name.
    fn pod(&self, instance: &str, pod: &str) -> Source {
        self.source(instance, Some(pod), Some(pod))
    }

    /// An instance that was named; its lines begin with its id where it is not the only one.
    fn instance(&self, instance: &str, others: Others) -> Source {
        let prefix = self.pod.as_deref().unwrap_or(instance);
        self.source(instance, self.pod.as_deref(), (others == Others::Some).then_some(prefix))
    }

    fn source(&self, instance: &str, pod: Option<&str>, prefix: Option<&str>) -> Source {
        let mut parameters: Parameters = vec![parameter("InstanceId", instance)];
        let named = [("PodName", pod), ("ContainerName", self.container.as_deref())];
        parameters.extend(named.into_iter().filter_map(|(name, value)| Some(parameter(name, value?))));
        Source {
            instance: instance.to_owned(),
            pod: pod.map(str::to_owned),
            prefix: prefix.map(str::to_owned),
            colour: self.colour.replace(self.colour.get() + 1),
            parameters,
            since: self.since.clone(),
            tail: self.tail,
        }
    }
}

/// Whether an instance was named beside others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    None,
    Some,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Outcome {
    let client = context.client()?;
    let printer = Printer::new(context);
    let selection = Selection::of(&arguments);
    let others = if arguments.what.len() == 1 { Others::None } else { Others::Some };
    if !arguments.follow {
        return show(&client, &arguments.what, others, &selection, &printer).await;
    }
    tokio::select! {
        ended = follow::all(context, &client, &arguments.what, others, &selection, &printer) => ended,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    }
}

async fn show(
    client: &Client,
    what: &[String],
    others: Others,
    selection: &Selection,
    printer: &Printer,
) -> Outcome {
    let mut sources = Vec::new();
    for what in what {
        sources.extend(sources_of(client, what, others, selection).await?);
    }
    if sources.len() > PODS_AT_MOST {
        let count = sources.len();
        return Err(Failure::usage(format!(
            "these are {count} pods; at most {PODS_AT_MOST} are shown at once"
        ))
        .hint("name instances: `ensemble instances` lists them"));
    }
    let mut lines = Vec::new();
    for some in sources.chunks(CALLS_AT_ONCE) {
        let answers = try_join_all(some.iter().map(|source| read(client, source))).await?;
        for (source, answer) in some.iter().zip(answers) {
            lines.extend(answer.into_iter().map(|line| (source, line)));
        }
    }
    if sources.len() > 1 {
        // Times are of one width. Those of one container are in their order already, and stay so.
        lines.sort_by(|(_, one), (_, other)| one["At"].as_str().cmp(&other["At"].as_str()));
    }
    for (source, line) in lines {
        printer.print(source, line);
    }
    Ok(Exit::Done)
}

async fn read(client: &Client, source: &Source) -> Result<Vec<Value>, Failure> {
    let mut answer = client.call("DescribeInstanceLogs", &source.once()).await?;
    Ok(answer["Lines"].as_array_mut().map(std::mem::take).unwrap_or_default())
}

async fn sources_of(
    client: &Client,
    what: &str,
    others: Others,
    selection: &Selection,
) -> Result<Vec<Source>, Failure> {
    if what.starts_with("i-") {
        return Ok(vec![selection.instance(what, others)]);
    }
    let found = app::find(client, what).await?;
    let mut sources = Vec::new();
    for instance in instances::instances(client, &found.id).await? {
        let id = instance["InstanceId"].as_str().unwrap_or_default();
        let pods = instance["Pods"].as_array().into_iter().flatten();
        let names = pods.filter_map(|pod| pod["Name"].as_str()).filter(|name| selection.takes(name));
        sources.extend(names.map(|name| selection.pod(id, name)));
    }
    Ok(sources)
}

//! `ensemble instances`: what runs, where, and how it is.

use crate::client::{Client, parameter};
use crate::command::app;
use crate::context::{Context, Outcome};
use crate::events::Events;
use crate::failure::{Exit, Failure};
use crate::output::{self, Form, Listing, Row};
use crate::words::{age, pulled_percent, seconds_since, shortened};
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;

/// List the instances of an application
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble instances hello
  ensemble instances hello -o wide")]
pub(crate) struct Arguments {
    /// An id, a unique prefix of one, or a name
    app: String,
}

/// How long the objects as they are may take to arrive.
const FIRST_OBJECTS: Duration = Duration::from_secs(20);

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Outcome {
    of(context, &arguments.app).await
}

/// Lists those of `app`, as it was typed.
pub(super) async fn of(context: &Context, app: &str) -> Outcome {
    let client = context.client()?;
    let found = app::find(&client, app).await?;
    let mut instances = instances(&client, &found.id).await?;
    instances.sort_by_key(|instance| {
        let text = |key: &str| instance[key].as_str().unwrap_or_default().to_owned();
        (text("EnsRegionId"), text("IspCode"), text("CreateTime"), text("InstanceId"))
    });
    if instances.is_empty() && !context.form().is_json() {
        context.say(&format!("no instances; next: ensemble rescale {} --add cn-shanghai-cmcc=2", found.name));
    }
    let wide = context.form() != Form::Table;
    let now = Timestamp::now();
    let rows = instances.into_iter().map(|instance| row(instance, wide, now)).collect();
    let columns = &[
        "INSTANCE",
        "EDGE NODE",
        "ISP",
        "VERSION",
        "STATE",
        "PODS",
        "ADDRESS",
        "AGE",
        "RESTARTS",
        "MESSAGE",
        "PORTS",
    ];
    output::print_listing(context.form(), Listing { columns, narrow: 9, rows });
    Ok(Exit::Done)
}

/// The instances as they are: what Watch begins with, up to the first event that carries a sequence.
pub(super) async fn instances(client: &Client, app: &str) -> Result<Vec<Value>, Failure> {
    let read = async {
        let mut events = Events::new(client.stream("Watch", &vec![parameter("AppId", app)]).await?);
        let mut instances = Vec::new();
        while let Some(event) = events.next().await? {
            if event.kind == "instance" {
                instances.push(event.data);
            }
            if event.id.is_some() {
                break;
            }
        }
        Ok(instances)
    };
    tokio::time::timeout(FIRST_OBJECTS, read)
        .await
        .map_err(|_| Failure::new(Exit::Unreachable, "the server did not list the instances within 20 s"))?
}

fn row(instance: Value, wide: bool, now: Timestamp) -> Row {
    let text = |key: &str| instance[key].as_str().unwrap_or_default().to_owned();
    let pods = instance["Pods"].as_array().map(Vec::as_slice).unwrap_or_default();
    let running = pods.iter().filter(|pod| pod["Status"] == "Running").count();
    let restarts: u64 = pods.iter().filter_map(|pod| pod["Restarts"].as_u64()).sum();
    let addresses: Vec<&str> = pods.iter().filter_map(|pod| pod["Address"].as_str()).collect();
    let message = pods.iter().filter_map(|pod| pod["Message"].as_str()).find(|text| !text.is_empty());
    let address = match addresses.as_slice() {
        [] => "–".to_owned(),
        [one] => (*one).to_owned(),
        [first, rest @ ..] => format!("{first} +{}", rest.len()),
    };
    let fit = |name: String, width| if wide { name } else { shortened(&name, width) };
    let cells = vec![
        fit(text("InstanceId"), 18),
        fit(text("EnsRegionId"), 24),
        text("IspCode"),
        text("AppVersion"),
        state(&instance, pods),
        format!("{running}/{}", pods.len()),
        address,
        seconds_since(&text("CreateTime"), now).map_or_else(|| "–".to_owned(), age),
        restarts.to_string(),
        message.unwrap_or_default().to_owned(),
        pods.iter()
            .filter_map(|pod| pod["Ports"].as_array())
            .flatten()
            .map(open_ports)
            .collect::<Vec<_>>()
            .join(" "),
    ];
    Row { name: text("InstanceId"), cells, json: instance }
}

/// `10.80.0.9:31000-31009/tcp→4440-4449`.
fn open_ports(ports: &Value) -> String {
    let text = |key: &str| ports[key].as_str().unwrap_or_default();
    let of_range = |range: &str| match range.split_once('-') {
        Some((first, last)) if first == last => first.to_owned(),
        Some(_) | None => range.to_owned(),
    };
    let (node, inside) = (of_range(text("HostPorts")), of_range(text("ContainerPorts")));
    let protocol = text("Protocol").to_ascii_lowercase();
    format!("{}:{node}/{protocol}→{inside}", text("ExternalIp"))
}

/// The least advanced device, unless the instance itself is being released or not known.
fn state(instance: &Value, pods: &[Value]) -> String {
    let own = instance["InstanceStatus"].as_str().unwrap_or_default();
    if matches!(own, "Releasing" | "Unknown") {
        return own.to_owned();
    }
    let order = ["Unknown", "Failed", "Stopped", "Pending", "Pulling", "Starting", "Running"];
    let rank = |status: &str| order.iter().position(|known| *known == status).unwrap_or(0);
    let least = pods.iter().filter_map(|pod| pod["Status"].as_str()).min_by_key(|status| rank(status));
    let least = least.unwrap_or(own);
    let pulled =
        pods.iter().filter(|pod| pod["Status"] == least).find_map(|pod| pulled_percent(&pod["Pulled"]));
    pulled.map_or_else(|| least.to_owned(), |percent| format!("{least} {percent} %"))
}

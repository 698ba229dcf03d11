//! `ensemble fleet …`: the edge nodes there are, and whether a fleet file is right.

use crate::client::{Client, parameter};
use crate::command::edge_node;
use crate::context::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::output::{self, Listing, Row};
use crate::words::counted;
use clap::Subcommand;
use ensemble_model::document::Mistake;
use ensemble_model::fleet::file;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the edge nodes with their free room
    #[command(after_help = "Examples:
  ensemble fleet list
  ensemble fleet list --district 310100
  ensemble fleet list --isp cmcc -o wide")]
    List {
        /// Only those in this district
        #[arg(long, value_name = "CODE")]
        district: Option<String>,
        /// Only those with this carrier
        #[arg(long)]
        isp: Option<String>,
    },
    /// Show one edge node
    #[command(after_help = "Examples:
  ensemble fleet show cn-shanghai-cmcc")]
    Show {
        /// Its id, exactly: cn-shanghai-cmcc
        node: String,
    },
    /// Empty an edge node: nothing new comes, and what is there moves elsewhere
    ///
    /// A standing wish: it goes on until `ensemble fleet resume`, whenever an application is idle. `ensemble fleet show NODE`
    /// lists what stays, and why.
    #[command(after_help = "Examples:
  ensemble fleet drain cn-shanghai-cmcc")]
    Drain {
        /// Its id, exactly
        node: String,
    },
    /// End the drain of an edge node
    #[command(after_help = "Examples:
  ensemble fleet resume cn-shanghai-cmcc")]
    Resume {
        /// Its id, exactly
        node: String,
    },
    /// Declare an edge node that cannot be reached lost, with everything on it
    ///
    /// Its instances are released at once; should it come back, what runs there is stopped.
    #[command(after_help = "Examples:
  ensemble fleet lose cn-shanghai-cmcc
  ensemble fleet lose cn-shanghai-cmcc --replace")]
    Lose {
        /// Its id, exactly
        node: String,
        /// Place as many instances elsewhere, within the areas that placed them
        #[arg(long)]
        replace: bool,
        /// Seconds until a replacement that is not ready is given up [default: 300]
        #[arg(long, value_name = "SECONDS", requires = "replace")]
        timeout: Option<u32>,
    },
    /// Check a fleet file; every mistake is told with line and column
    #[command(after_help = "Examples:
  ensemble fleet check fleet.toml")]
    Check {
        /// The TOML file
        file: PathBuf,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::List { district, isp } => list(context, district.as_deref(), isp.as_deref()).await,
        Command::Show { node } => show(context, &node).await,
        Command::Drain { node } => edge_node::drain(context, &node).await,
        Command::Resume { node } => edge_node::resume(context, &node).await,
        Command::Lose { node, replace, timeout } => edge_node::lose(context, &node, replace, timeout).await,
        Command::Check { file } => check(context, &file),
    }
}

async fn nodes(client: &Client, id: Option<&str>) -> Result<Vec<Value>, Failure> {
    let parameters = id.map(|id| parameter("EnsRegionId", id)).into_iter().collect();
    let mut answer = client.call("DescribeEnsRegions", &parameters).await?;
    match answer["EnsRegions"]["EnsRegions"].take() {
        Value::Array(nodes) => Ok(nodes),
        _ => Ok(Vec::new()),
    }
}

async fn list(context: &Context, district: Option<&str>, isp: Option<&str>) -> Outcome {
    let lies_in = |node: &Value| {
        let codes = node["Districts"].as_array().into_iter().flatten();
        district.is_none_or(|wanted| codes.into_iter().any(|code| code == wanted))
    };
    let has = |node: &Value| {
        let isps = node["Isps"].as_array().into_iter().flatten();
        isp.is_none_or(|wanted| isps.into_iter().any(|isp| isp == wanted))
    };
    let nodes = nodes(&context.client()?, None).await?;
    let rows = nodes.into_iter().filter(|node| lies_in(node) && has(node)).map(row).collect();
    let columns = &[
        "EDGE NODE",
        "CARRIERS",
        "DISTRICT",
        "FREE VCPU",
        "FREE MEMORY",
        "INSTANCES",
        "ENGINE",
        "NAME",
        "PROVINCE",
    ];
    output::print_listing(context.form(), Listing { columns, narrow: 7, rows });
    Ok(Exit::Done)
}

fn row(node: Value) -> Row {
    let text = |key: &str| node[key].as_str().unwrap_or_default().to_owned();
    let isps: Vec<&str> = node["Isps"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let (capacity, used) = (&node["Capacity"], &node["Used"]);
    let free = |key: &str| {
        let all = capacity[key].as_u64().unwrap_or_default();
        (all.saturating_sub(used[key].as_u64().unwrap_or_default()), all)
    };
    let (vcpu, all_vcpu) = free("Vcpu");
    let (memory, all_memory) = free("MemoryMib");
    let cells = vec![
        text("EnsRegionId"),
        isps.join(","),
        node["Districts"][0].as_str().unwrap_or("–").to_owned(),
        format!("{vcpu}/{all_vcpu}"),
        format!("{}/{} GiB", memory / 1024, all_memory / 1024),
        node["Instances"].to_string(),
        text("Engine"),
        text("Name"),
        text("Province"),
    ];
    Row { name: text("EnsRegionId"), cells, json: node }
}

async fn show(context: &Context, id: &str) -> Outcome {
    let client = context.client()?;
    let found = nodes(&client, Some(id)).await?;
    let Some(node) = found.into_iter().find(|node| node["EnsRegionId"] == id) else {
        return Err(Failure::new(Exit::Refused, format!("unknown edge node `{id}`"))
            .hint("`ensemble fleet list` lists them"));
    };
    if context.form().is_json() {
        output::print_document(context.form(), &node);
        return Ok(Exit::Done);
    }
    for (key, value) in node.as_object().into_iter().flatten() {
        let shown = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        output::line(&format!("{key:<12} {shown}"));
    }
    edge_node::print_standing(&client, id).await?;
    Ok(Exit::Done)
}

fn check(context: &Context, path: &Path) -> Outcome {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::from_error(format!("could not read `{}`", path.display()), &error))?;
    match file::parse(&text) {
        Ok(fleet) => {
            if context.form().is_json() {
                output::print_document(
                    context.form(),
                    &json!({"valid": true, "edgeNodes": fleet.nodes.len()}),
                );
            } else {
                let nodes = counted(fleet.nodes.len() as u64, "edge node");
                output::line(&format!(
                    "{}: {nodes}, {}",
                    path.display(),
                    counted(fleet.engines.len() as u64, "engine")
                ));
            }
            Ok(Exit::Done)
        }
        Err(mistakes) => {
            let many = counted(mistakes.len() as u64, "mistake");
            if context.form().is_json() {
                output::print_document(
                    context.form(),
                    &json!({"valid": false, "mistakes": mistakes.iter().map(mistake_json).collect::<Vec<_>>()}),
                );
                return Ok(Exit::Failed);
            }
            for mistake in &mistakes {
                output::line(&mistake_line(path, mistake));
            }
            Err(Failure::new(Exit::Failed, format!("`{}` has {many}", path.display())))
        }
    }
}

fn mistake_json(mistake: &Mistake) -> Value {
    json!({"line": mistake.line, "column": mistake.column, "message": mistake.message, "hint": mistake.hint})
}

fn mistake_line(path: &Path, mistake: &Mistake) -> String {
    let hint = mistake.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{}:{}:{}: {}{hint}", path.display(), mistake.line, mistake.column, mistake.message)
}

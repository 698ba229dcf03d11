//! `ensemble image …`: the images on the server's machine, asked of the server, so that it works from elsewhere too.

use crate::client::parameter;
use crate::context::{Context, Outcome};
use crate::failure::Exit;
use crate::output::{self, Listing, Row};
use crate::words::{age, counted, seconds_since, shortened, size};
use clap::Subcommand;
use jiff::Timestamp;
use serde_json::Value;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the images on the server's machine, the latest used first
    #[command(after_help = "Examples:
  ensemble image list
  ensemble image list -o json")]
    List,
    /// Remove images that no version pins and no container runs
    ///
    /// Without --all, only what exceeds `[images] cache_size` goes, the least recently used first, and what no image
    /// needs any more. The server does the same by itself about once a minute.
    #[command(after_help = "Examples:
  ensemble image prune
  ensemble image prune --all -y")]
    Prune {
        /// Whatever the bound of the cache
        #[arg(long)]
        all: bool,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::List => list(context).await,
        Command::Prune { all } => prune(context, all).await,
    }
}

async fn list(context: &Context) -> Outcome {
    let answer = context.client()?.call("DescribeImages", &vec![]).await?;
    let now = Timestamp::now();
    let images = answer["Images"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<Row> = images.iter().map(|image| row(image, now)).collect();
    let many = counted(rows.len() as u64, "image");
    let columns = &["REFERENCE", "DIGEST", "SIZE", "PINNED BY", "LAST USED", "IN USE", "ENGINE"];
    output::print_listing(context.form(), Listing { columns, narrow: 5, rows });
    if !context.form().is_json() {
        let bytes = |key: &str| size(answer[key].as_u64().unwrap_or_default());
        context.say(&format!("{many}, {} of {}", bytes("TotalBytes"), bytes("CacheBytes")));
    }
    Ok(Exit::Done)
}

async fn prune(context: &Context, all: bool) -> Outcome {
    let client = context.client()?;
    if all {
        context.confirm("remove every image that no version pins and no container runs?")?;
    }
    let answer = client.call("PruneImages", &vec![parameter("All", all)]).await?;
    if context.form().is_json() {
        output::print_document(context.form(), &answer);
        return Ok(Exit::Done);
    }
    let images = answer["Images"].as_array().map(Vec::as_slice).unwrap_or_default();
    for image in images {
        output::line(&reference(image));
    }
    let bytes = |key: &str| size(answer[key].as_u64().unwrap_or_default());
    let many = counted(images.len() as u64, "image");
    context.say(&format!("{many} removed, {} freed, {} left", bytes("FreedBytes"), bytes("TotalBytes")));
    Ok(Exit::Done)
}

fn row(image: &Value, now: Timestamp) -> Row {
    let text = |key: &str| image[key].as_str().unwrap_or_default().to_owned();
    let digest = text("Digest");
    let pins = image["PinnedBy"].as_array().into_iter().flatten();
    let pins: Vec<String> = pins
        .map(|pin| {
            let text = |key: &str| pin[key].as_str().unwrap_or_default();
            format!("{} {}", text("AppName"), text("AppVersion"))
        })
        .collect();
    let pinned = match pins.as_slice() {
        [] => "–".to_owned(),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} +{}", rest.len()),
    };
    let used = seconds_since(&text("LastUsedTime"), now).map_or_else(|| "–".to_owned(), age);
    let cells = vec![
        reference(image),
        shortened(&digest, 20),
        size(image["Bytes"].as_u64().unwrap_or_default()),
        pinned,
        used,
        if image["InUse"] == true { "yes" } else { "no" }.to_owned(),
        text("Engine"),
    ];
    Row { name: digest, cells, json: image.clone() }
}

/// The latest of its references; its digest where none was kept.
fn reference(image: &Value) -> String {
    let latest = image["References"].as_array().and_then(|references| references.last()?.as_str());
    latest.or(image["Digest"].as_str()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_image_is_told_by_its_latest_reference_and_its_pins() {
        let now: Timestamp = "2026-03-27T08:02:00Z".parse().unwrap();
        let pin = |name: &str| json!({"AppId": "1", "AppName": name, "AppVersion": "v1"});
        let image = json!({
            "Digest": "sha256:9f86d081884c7d659a2feaa0c55ad015", "References": ["web:v1", "web:v2"], "Engine": "embedded",
            "Bytes": 10_485_760, "LastUsedTime": "2026-03-27T08:00:00Z", "PinnedBy": [pin("a"), pin("b")], "InUse": false,
        });

        let row = row(&image, now);

        assert_eq!(row.cells[0], "web:v2");
        assert_eq!(row.cells[2..], ["10.0 MiB", "a v1 +1", "2m", "no", "embedded"]);
        assert_eq!(reference(&json!({"Digest": "sha256:9f", "References": []})), "sha256:9f");
    }
}

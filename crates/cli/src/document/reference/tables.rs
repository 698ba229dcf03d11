//! The short pages: one table each.

use super::super::{Side, environment, files};
use super::markdown::{anchor, code, codes, fenced, paragraph, table};
use crate::failure::Exit;
use ensemble_server::configuration::keys;
use ensemble_server::metrics::families::{self, Kind};

pub(super) fn exit_codes() -> String {
    let mut text = String::from("# Exit codes\n\n");
    text.push_str(&paragraph(
        "With `-o json` an error is also one JSON object on stdout: `error.code`, `.message`, `.detail`, `.hint`, \
         `.requestId`, `.exit`. `ensemble plan --detailed-exitcode` ends with 2 where something would change.",
    ));
    let rows = Exit::ALL.iter().map(|exit| vec![exit.number().to_string(), exit.meaning().to_owned()]);
    text + &table(&["Code", "Meaning"], rows)
}

pub(super) fn configuration() -> String {
    let mut text = String::from("# Configuration\n\n");
    text.push_str(&paragraph(
        "One TOML file: the one that `--config` or `ENSEMBLE_CONFIG` names, else `/etc/ensemble/ensemble.toml` if it is \
         there. A flag wins over a variable, a variable over the file, the file over the default. A key that is not \
         known is an error, with a suggestion. A key with a dot stands in a table: `log.level` is `level` in `[log]`.",
    ));
    text.push_str(&fenced("toml", EXAMPLE));
    let rows = keys::KEYS.iter().map(|key| {
        vec![code(key.name), key.form.describe(), code(key.default), effect(key.takes_effect).to_owned()]
    });
    text.push_str(&table(&["Key", "Value", "Default", "Takes effect"], rows));
    for key in keys::KEYS {
        text.push_str(&format!("## {}\n\n", key.name.replace('"', "")));
        text.push_str(&paragraph(key.meaning));
        let ways = [("flag of `ensemble serve`", key.flag), ("variable", key.environment)];
        let ways = ways.iter().filter_map(|(what, name)| Some(format!("{what} {}", code(name.as_ref()?))));
        let ways = ways.collect::<Vec<_>>().join(", ");
        if !ways.is_empty() {
            text.push_str(&paragraph(&format!("Also: {ways}.")));
        }
    }
    text
}

fn effect(effect: keys::TakesEffect) -> &'static str {
    match effect {
        keys::TakesEffect::AtReload => "at a reload (SIGHUP)",
        keys::TakesEffect::AtStart => "at the start",
    }
}

/// A file that sets a little of everything.
const EXAMPLE: &str = r#"data_dir = "/var/lib/ensemble"
listen = "127.0.0.1:8420"
fleet = "builtin"

[log]
level = "info"

[images]
cache_size = "10GiB"

[registries."registry.example:5000"]
credentials = "/etc/ensemble/registry.toml""#;

pub(super) fn metrics() -> String {
    let mut text = String::from("# Metrics\n\n");
    text.push_str(&paragraph(
        "`GET /metrics` answers in the OpenMetrics text format, without a signature, to whom `metrics.serve_to` names. A \
         counter has `_total` behind its name, a histogram `_bucket`, `_sum` and `_count`, an info `_info`. No label ever \
         names an application, an instance or a request.",
    ));
    let rows = families::FAMILIES.iter().map(|family| {
        let name = match family.kind {
            Kind::Counter => format!("{}_total", family.name),
            Kind::Gauge | Kind::Histogram => family.name.to_owned(),
            Kind::Info => format!("{}_info", family.name),
        };
        let labels = codes(family.labels.iter().copied());
        vec![code(&name), family.kind.as_str().to_owned(), labels, family.help.to_owned()]
    });
    text + &table(&["Metric", "Kind", "Labels", "Counts"], rows)
}

pub(super) fn environment() -> String {
    let mut text = String::from("# Environment\n\n");
    text.push_str(&paragraph("A flag wins over a variable. An empty variable counts as none."));
    let rows = environment::VARIABLES
        .iter()
        .map(|variable| vec![code(variable.name), sides(variable.sides), variable.meaning.to_owned()]);
    text.push_str(&table(&["Variable", "Read by", "Meaning"], rows));
    text.push_str("## Keys of the configuration\n\n");
    let rows = environment::of_keys().map(|(name, key)| {
        let heading = anchor(key.name);
        vec![code(name), format!("[{}](configuration.md#{heading})", code(key.name)), key.form.describe()]
    });
    text + &table(&["Variable", "Key", "Value"], rows)
}

pub(super) fn files() -> String {
    let mut text = String::from("# Files\n\n");
    text.push_str(&paragraph("DIR is the data directory."));
    let rows =
        files::FILES.iter().map(|file| vec![code(file.path), sides(file.sides), file.meaning.to_owned()]);
    text + &table(&["File", "Used by", "Meaning"], rows)
}

fn sides(sides: &[Side]) -> String {
    if sides.is_empty() || sides.len() == 3 {
        return "every command".to_owned();
    }
    let names = sides.iter().map(|side| match side {
        Side::Server => "the server",
        Side::Client => "commands that call a server",
        Side::Machine => "commands that look at this machine",
    });
    names.collect::<Vec<_>>().join("; ")
}

//! `ensemble plan`: where instances would go or be taken from, and why; ends with the exact command.

use crate::command::app::Found;
use crate::command::rescale::placed;
use crate::command::scaling::{Call, Direction, Scaling};
use crate::context::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::output;
use crate::plan_file::PlanFile;
use crate::words::counted;
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Show where instances would go or be taken from, and why; nothing changes
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble plan hello --add 310100/cmcc=5
  ensemble plan hello --del cn-shanghai-cmcc=1 --detailed-exitcode
  ensemble plan hello --to all=20 --out plan.json && ensemble rescale --plan plan.json")]
pub(crate) struct Arguments {
    /// An id, a unique prefix of one, or a name
    app: String,
    #[command(flatten)]
    scaling: Scaling,
    /// Keep the plan in this file, for `ensemble rescale --plan FILE` within 24 hours
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Exit 0 when nothing would change, 2 when something would; 5 when it does not fit and 3 when it would be refused, as ever
    #[arg(long)]
    detailed_exitcode: bool,
    /// Also name the edge nodes that were not chosen
    #[arg(long)]
    reasons: bool,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Outcome {
    let Some((client, found, mut call)) = arguments.scaling.begin(context, &arguments.app).await? else {
        return Ok(Exit::Done);
    };
    if arguments.out.is_some() {
        call.fix_version();
    }
    let plan = client.call("PlanRescaleApplication", &call.parameters).await?["Plan"].take();
    let fits = plan["Fits"] == true;
    if let Some(path) = arguments.out.as_deref().filter(|_| fits) {
        PlanFile::new((&found.id, &found.name), &call, &plan, Timestamp::now()).write(path)?;
    }
    if context.form().is_json() {
        output::print_document(context.form(), &plan);
    } else if context.form() == output::Form::Name {
        output::line(plan["PlanId"].as_str().unwrap_or_default());
    } else {
        print(&plan, &call, &found, arguments.reasons || !fits);
        if fits {
            let command = match &arguments.out {
                Some(path) => format!("ensemble rescale --plan {}", path.display()),
                None => command(&arguments.app, &call, &plan),
            };
            output::line(&format!("Apply exactly this:  {command}"));
        }
    }
    if !fits {
        if let Some(path) = &arguments.out {
            context.say(&format!("`{}` was not written: nothing can be done by this plan", path.display()));
        }
        return Err(does_not_fit(&plan, call.direction));
    }
    Ok(if arguments.detailed_exitcode && placed(&plan) > 0 { Exit::Usage } else { Exit::Done })
}

fn does_not_fit(plan: &Value, direction: Direction) -> Failure {
    let reason = match &plan["Blocked"] {
        Value::String(text) => text.clone(),
        Value::Object(blocked) => {
            blocked.get("Detail").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        _ => String::new(),
    };
    let shortage = plan["Items"].as_array().into_iter().flatten().any(|item| item["Shortage"].is_object());
    // As RescaleApplication itself would end: too little room, or fewer instances than are to be released.
    let exit = if shortage && direction == Direction::Add { Exit::DoesNotFit } else { Exit::Refused };
    let failure = Failure::new(exit, "this would be refused").cause(reason);
    if shortage { with_partial_hint(plan, failure) } else { failure }
}

/// Names the way out that a call of several items has.
pub(super) fn with_partial_hint(plan: &Value, failure: Failure) -> Failure {
    match plan["Items"].as_array() {
        Some(items) if items.len() > 1 => failure.hint("--partial does the items that fit"),
        Some(_) | None => failure,
    }
}

/// `hello v1 · level AreaIspCode · strategy Disperse · revision 1842`.
fn header(plan: &Value, call: &Call, found: &Found) -> String {
    let name = &found.name;
    let how = match call.direction {
        Direction::Add => {
            let strategy = found.info["ResourceAttribute"]["SchedulingStrategy"].as_str().unwrap_or_default();
            format!("{name} {} · level {} · strategy {strategy}", call.version, call.level)
        }
        Direction::Del => format!("{name} · level {}", call.level),
    };
    format!("{how} · revision {}", plan["Revision"])
}

fn print(plan: &Value, call: &Call, found: &Found, reasons: bool) {
    output::line(&header(plan, call, found));
    let sign = match call.direction {
        Direction::Add => '+',
        Direction::Del => '-',
    };
    let mut nodes = BTreeSet::new();
    for item in plan["Items"].as_array().into_iter().flatten() {
        for placement in item["Placements"].as_array().into_iter().flatten() {
            nodes.insert(placement["EnsRegionId"].as_str().unwrap_or_default());
            output::line(&placement_line(placement, sign));
            for chosen in placement["Instances"].as_array().into_iter().flatten() {
                let text = |key: &str| chosen[key].as_str().unwrap_or_default().to_owned();
                output::line(&format!("      {}  {}", text("InstanceId"), text("Reason")));
            }
        }
        let shortage = &item["Shortage"];
        if shortage.is_object() {
            output::line(&format!(
                "  ! item {}: {} missing of {}",
                item["Index"], shortage["Missing"], item["Wanted"]
            ));
            for alternative in shortage["Alternatives"].as_array().into_iter().flatten() {
                let label = match call.direction {
                    Direction::Add => "would fit",
                    Direction::Del => "there are",
                };
                output::line(&format!("      {label}: {}", alternative_text(alternative, call.direction)));
            }
            for remedy in shortage["Remedies"].as_array().into_iter().flatten() {
                output::line(&format!("      or: {}", remedy_text(remedy)));
            }
        }
        if reasons {
            for node in item["NotChosen"].as_array().into_iter().flatten() {
                let name = node["EnsRegionId"].as_str().unwrap_or_default();
                output::line(&format!("  · {name:<32} {}", node["Reason"].as_str().unwrap_or_default()));
            }
        }
    }
    let count = placed(plan);
    let (add, release) = match call.direction {
        Direction::Add => (count, 0),
        Direction::Del => (0, count),
    };
    let verdict = if plan["Fits"] == true { "It fits." } else { "It does not fit." };
    let nodes = counted(nodes.len() as u64, "edge node");
    output::line(&format!("Plan: {add} to add, {release} to release, on {nodes}. {verdict}"));
}

/// Executes exactly this plan. `typed` is how the application was named, which is unambiguous where its name may not
/// be.
fn command(typed: &str, call: &Call, plan: &Value) -> String {
    let id = plan["PlanId"].as_str().unwrap_or_default();
    format!("ensemble rescale {typed} {} --if-plan {id}", call.written)
}

fn placement_line(placement: &Value, sign: char) -> String {
    let (before, after) =
        (placement["Before"].as_i64().unwrap_or(0), placement["After"].as_i64().unwrap_or(0));
    format!(
        "  {sign} {:<32} {:<8} {before} → {after}   {sign}{}   {}",
        placement["EnsRegionId"].as_str().unwrap_or_default(),
        placement["IspCode"].as_str().unwrap_or_default(),
        (after - before).abs(),
        placement["Reason"].as_str().unwrap_or_default()
    )
}

fn alternative_text(alternative: &Value, direction: Direction) -> String {
    match alternative {
        Value::String(text) => text.clone(),
        other => {
            let place = other["RegionCode"].as_str().unwrap_or_default();
            let isp = other["IspCode"].as_str().filter(|isp| !isp.is_empty()).map(|isp| format!("/{isp}"));
            let word = match direction {
                Direction::Add => "free",
                Direction::Del => "there",
            };
            format!("{place}{} ({} {word})", isp.unwrap_or_default(), other["Room"])
        }
    }
}

/// What would make it fit where it was asked for.
fn remedy_text(remedy: &Value) -> String {
    let names = |key: &str| {
        let names = remedy[key].as_array().into_iter().flatten().filter_map(Value::as_str);
        names.collect::<Vec<_>>().join(", ")
    };
    let room = &remedy["Room"];
    match remedy["Change"].as_str().unwrap_or_default() {
        "DrainEnds" => format!("ensemble fleet resume {} ({room} more)", names("EnsRegionIds")),
        "BackInReach" => format!("once {} can be reached ({room} more)", names("EnsRegionIds")),
        "SmallerSpec" => {
            format!("with spec {} ({room} fit)", remedy["InstanceType"].as_str().unwrap_or_default())
        }
        "Unprotect" => format!("unprotect or name {}", names("InstanceIds")),
        "LowerMinReady" => format!("a lower minReady, which keeps {room}"),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_command_names_the_application_as_it_was_typed() {
        let call = Call {
            direction: Direction::Add,
            parameters: Vec::new(),
            version: "v1".into(),
            level: "RegionId",
            written: "--add cn-x=1".into(),
        };

        let command = command("474bdef0", &call, &json!({"PlanId": "7c1f42ab"}));

        assert_eq!(command, "ensemble rescale 474bdef0 --add cn-x=1 --if-plan 7c1f42ab");
    }

    #[test]
    fn what_is_elsewhere_is_free_for_an_add_and_there_for_a_del() {
        let other = json!({"RegionCode": "cn-x", "IspCode": "cmcc", "Room": 2});

        assert_eq!(alternative_text(&other, Direction::Add), "cn-x/cmcc (2 free)");
        assert_eq!(alternative_text(&other, Direction::Del), "cn-x/cmcc (2 there)");
    }

    #[test]
    fn a_plan_that_does_not_fit_ends_as_the_call_would() {
        let short = json!({"Index": 0, "Shortage": {"Missing": 1}});
        let plan = |items: Value| json!({"Fits": false, "Blocked": "no", "Items": items});
        for (plan, direction, exit, hint) in [
            (plan(json!([short])), Direction::Add, Exit::DoesNotFit, false),
            (plan(json!([short, {"Shortage": null}])), Direction::Add, Exit::DoesNotFit, true),
            (plan(json!([short])), Direction::Del, Exit::Refused, false),
            (plan(json!([])), Direction::Add, Exit::Refused, false),
        ] {
            let failure = does_not_fit(&plan, direction);

            assert_eq!((failure.exit, failure.hint.is_some()), (exit, hint), "{plan}");
        }
    }
}

//! What `rescale` and `plan` share: their arguments, and the one RescaleApplication call those amount to.

use crate::client::{Client, Parameters, parameter};
use crate::command::app::{self, Found};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::selection::{self, Selection};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

/// Counts and revision of `--to` come from answers of one revision; another writer makes us read again.
const READS_AT_MOST: usize = 5;

#[derive(Clone, Debug, Args)]
pub(crate) struct Scaling {
    /// Add N instances: NODE|DISTRICT[/ISP]=N
    #[arg(long, value_name = "PLACE=N", num_args = 1)]
    add: Vec<Selection>,
    /// Release N instances
    #[arg(long, value_name = "PLACE=N", num_args = 1, conflicts_with = "add")]
    del: Vec<Selection>,
    /// Add or release until there are N
    #[arg(long, value_name = "PLACE=N", num_args = 1, conflicts_with_all = ["add", "del", "if_revision"])]
    to: Vec<Selection>,
    /// Host the application on this instance, which no application manages (`ensemble instance create`)
    #[arg(long, value_name = "ID", num_args = 1, conflicts_with_all = ["add", "del", "to", "level"])]
    add_instance: Vec<String>,
    /// Release exactly this instance, and lower the count with it
    #[arg(long, value_name = "ID", num_args = 1, conflicts_with_all = ["add", "del", "to", "level", "add_instance"])]
    del_instance: Vec<String>,
    /// How regionCode is read
    #[arg(long, value_enum)]
    level: Option<Level>,
    /// A ResourceSelector as the API takes it (JSON), instead of --add and --del
    #[arg(long, value_name = "JSON", conflicts_with_all = ["add", "del", "to", "add_instance", "del_instance"])]
    selector: Option<String>,
    /// What to do with --selector
    #[arg(long, value_enum, default_value = "add", requires = "selector", value_name = "TYPE")]
    r#type: Direction,
    /// The version to deploy [default: the stable one]
    #[arg(long = "version", value_name = "VERSION")]
    to_version: Option<String>,
    /// Seconds until what is not ready is given back [default: 300]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// What becomes of it when the time is up: keep what is ready, or undo it all [default: keep]
    #[arg(long, value_enum, value_name = "ENDING")]
    on_timeout: Option<Ending>,
    /// Skip whole items that do not fit instead of refusing all
    #[arg(long)]
    partial: bool,
    /// Refuse unless the application still has this revision
    #[arg(long, value_name = "N")]
    if_revision: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Level {
    #[value(name = "AreaIspCode", alias = "area")]
    AreaIspCode,
    #[value(name = "RegionId", alias = "region")]
    RegionId,
    #[value(name = "InstanceId", alias = "instance")]
    InstanceId,
}

/// What becomes of an operation that is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ending {
    Keep,
    Undo,
}

impl Ending {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Undo => "undo",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    Add,
    Del,
}

/// One RescaleApplication.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) direction: Direction,
    pub(crate) parameters: Parameters,
    /// The version that an Add deploys.
    pub(crate) version: String,
    /// `AreaIspCode` unless told otherwise.
    pub(crate) level: &'static str,
    /// The arguments that mean the same, for printing commands.
    pub(crate) written: String,
}

/// What the arguments amount to.
enum Resolved {
    Call(Call),
    /// `--to` equals what is there.
    Nothing,
}

impl Direction {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Add => "Add",
            Self::Del => "Del",
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Self::Add => "--add",
            Self::Del => "--del",
        }
    }
}

impl Call {
    /// Names the version that an Add deploys, so that another stable version does not change what it means.
    pub(crate) fn fix_version(&mut self) {
        let named = self.parameters.iter().any(|(name, _)| name == "ToAppVersion");
        if self.direction == Direction::Add && !named && !self.version.is_empty() {
            self.parameters.push(parameter("ToAppVersion", &self.version));
        }
    }
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::AreaIspCode => "AreaIspCode",
            Self::RegionId => "RegionId",
            Self::InstanceId => "InstanceId",
        }
    }
}

impl Scaling {
    /// What both commands begin with: whom to call, about which application, and what. Nothing, and a remark, where
    /// `--to` is reached already. `app` is as it was typed.
    pub(crate) async fn begin(
        &self,
        context: &Context,
        app: &str,
    ) -> Result<Option<(Client, Found, Call)>, Failure> {
        let client = context.client()?;
        let found = app::find(&client, app).await?;
        match self.resolve(&client, &found, app).await? {
            Resolved::Call(call) => Ok(Some((client, found, call))),
            Resolved::Nothing => {
                context.say(&format!("{} has just that already; nothing was sent", found.name));
                Ok(None)
            }
        }
    }

    /// The call for application `found`; `--to` reads what is there first.
    async fn resolve(&self, client: &Client, found: &Found, app: &str) -> Result<Resolved, Failure> {
        if let Some(text) = &self.selector {
            let written = format!("--type {} --selector '{text}'", self.r#type.as_str().to_lowercase());
            return Ok(Resolved::Call(self.call(found, self.r#type, text.clone(), written, None)));
        }
        if let Some(call) = self.by_name(found) {
            return Ok(Resolved::Call(call));
        }
        if !self.to.is_empty() {
            return self.difference(client, found, app).await;
        }
        let (direction, selections) = match (self.add.is_empty(), self.del.is_empty()) {
            (false, true) => (Direction::Add, &self.add),
            (true, false) => (Direction::Del, &self.del),
            _ => {
                return Err(Failure::usage(
                    "nothing to do: no --add, --del, --to, --add-instance, --del-instance or --selector",
                )
                .hint(format!("ensemble rescale {app} --add cn-shanghai-cmcc=1")));
            }
        };
        let selector = selection::selector(selections).to_string();
        Ok(Resolved::Call(self.call(found, direction, selector, written(direction, selections), None)))
    }

    /// One item for all instances that are named.
    fn by_name(&self, found: &Found) -> Option<Call> {
        let (direction, named, flag) = match (self.add_instance.is_empty(), self.del_instance.is_empty()) {
            (true, true) => return None,
            (false, _) => (Direction::Add, &self.add_instance, "--add-instance"),
            (true, false) => (Direction::Del, &self.del_instance, "--del-instance"),
        };
        let selector = json!([{ "instanceIds": named }]).to_string();
        let flags: Vec<String> = named.iter().map(|id| format!("{flag} {id}")).collect();
        let mut call = self.call(found, direction, selector, flags.join(" "), None);
        call.level = Level::InstanceId.as_str();
        for (name, value) in &mut call.parameters {
            if name == "RescaleLevel" {
                call.level.clone_into(value);
            }
        }
        Some(call)
    }

    fn call(
        &self,
        found: &Found,
        direction: Direction,
        selector: String,
        written: String,
        revision: Option<u64>,
    ) -> Call {
        let level = self.level.unwrap_or(Level::AreaIspCode).as_str();
        let mut parameters = vec![
            parameter("AppId", &found.id),
            parameter("RescaleType", direction.as_str()),
            parameter("RescaleLevel", level),
            parameter("ResourceSelector", selector),
        ];
        if let Some(version) = &self.to_version {
            parameters.push(parameter("ToAppVersion", version));
        }
        if let Some(timeout) = self.timeout {
            parameters.push(parameter("Timeout", timeout));
        }
        if let Some(ending) = self.on_timeout {
            parameters.push(parameter("OnTimeout", ending.as_str()));
        }
        if self.partial {
            parameters.push(parameter("AllowPartial", "true"));
        }
        if let Some(revision) = revision.or(self.if_revision) {
            parameters.push(parameter("IfRevision", revision));
        }
        let stable = || found.info["AppMetaData"]["AppStableVersion"].as_str().unwrap_or_default().to_owned();
        let version = self.to_version.clone().unwrap_or_else(stable);
        Call { direction, parameters, version, level, written: written + &self.written_options() }
    }

    /// The options that go with every way of saying what to add or release.
    fn written_options(&self) -> String {
        let mut written = String::new();
        if let Some(level) = self.level {
            written.push_str(&format!(" --level {}", level.as_str()));
        }
        if let Some(version) = &self.to_version {
            written.push_str(&format!(" --version {version}"));
        }
        if let Some(timeout) = self.timeout {
            written.push_str(&format!(" --timeout {timeout}"));
        }
        if let Some(ending) = self.on_timeout {
            written.push_str(&format!(" --on-timeout {}", ending.as_str()));
        }
        if self.partial {
            written.push_str(" --partial");
        }
        written
    }

    async fn difference(&self, client: &Client, found: &Found, app: &str) -> Result<Resolved, Failure> {
        if let Some(twice) = repeated(&self.to) {
            return Err(Failure::usage(format!("--to names {twice} twice")));
        }
        let (counts, revision) = counts(client, found, &self.to).await?;
        let (mut more, mut fewer) = (Vec::new(), Vec::new());
        for (selection, there) in self.to.iter().zip(counts) {
            let wanted = selection.count;
            if wanted > there {
                more.push(Selection { count: wanted - there, ..selection.clone() });
            } else if wanted < there {
                fewer.push(Selection { count: there - wanted, ..selection.clone() });
            }
        }
        let (direction, selections) = match (more.is_empty(), fewer.is_empty()) {
            (true, true) => return Ok(Resolved::Nothing),
            (false, true) => (Direction::Add, more),
            (true, false) => (Direction::Del, fewer),
            (false, false) => {
                let options = self.written_options();
                return Err(Failure::usage("this needs instances added and released; one call goes one way")
                    .cause(format!("ensemble rescale {app} {}{options}", written(Direction::Add, &more)))
                    .cause(format!("ensemble rescale {app} {}{options}", written(Direction::Del, &fewer)))
                    .hint("run these two, one after the other"));
            }
        };
        let selector = selection::selector(&selections).to_string();
        let written = written(direction, &selections);
        Ok(Resolved::Call(self.call(found, direction, selector, written, Some(revision))))
    }
}

/// A place that stands there twice: with totals, unlike with differences, that cannot be meant.
fn repeated(places: &[Selection]) -> Option<&str> {
    let same = |one: &Selection, other: &Selection| one.item(0) == other.item(0);
    let again =
        places.iter().enumerate().find(|(at, place)| places[..*at].iter().any(|one| same(one, place)));
    again.map(|(_, place)| place.region_code.as_str())
}

fn written(direction: Direction, selections: &[Selection]) -> String {
    let flags: Vec<String> = selections
        .iter()
        .map(|selection| format!("{} {}", direction.flag(), selection.written(selection.count)))
        .collect();
    flags.join(" ")
}

/// How many instances each place has, all at one revision.
async fn counts(client: &Client, found: &Found, places: &[Selection]) -> Result<(Vec<u32>, u64), Failure> {
    for _ in 0..READS_AT_MOST {
        let mut counts = Vec::with_capacity(places.len());
        let mut revisions = Vec::with_capacity(places.len());
        for place in places {
            let (count, revision) = count(client, found, place).await?;
            counts.push(count);
            revisions.push(revision);
        }
        if let Some(first) =
            revisions.first().copied().filter(|first| revisions.iter().all(|revision| revision == first))
        {
            return Ok((counts, first));
        }
    }
    Err(Failure::new(Exit::Failed, format!("{} changes faster than it can be read", found.name))
        .hint("try again"))
}

async fn count(client: &Client, found: &Found, place: &Selection) -> Result<(u32, u64), Failure> {
    let selector = json!([place.item(1)]);
    let parameters = vec![
        parameter("AppId", &found.id),
        parameter("AppVersions", "All"),
        parameter("Level", "RegionId"),
        parameter("ResourceSelector", selector),
    ];
    let answer = client.call("DescribeApplication", &parameters).await?;
    let application: Value =
        answer["Application"].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let revision = application["AppStatus"]["Revision"].as_u64().ok_or_else(|| {
        Failure::new(Exit::Failed, "the server tells no revision").hint("use --add or --del")
    })?;
    let versions = application["DetailStat"]["AppVersionStat"].as_array().into_iter().flatten();
    let districts = versions.flat_map(|version| version["DistrictStat"].as_array().into_iter().flatten());
    let instances: u64 = districts.filter_map(|district| district["InstanceTotalCount"].as_u64()).sum();
    Ok((u32::try_from(instances).unwrap_or(u32::MAX), revision))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_is_given_once_for_each_place() {
        for (places, expected) in [
            (["cn-x=1", "cn-x=2"], Some("cn-x")),
            (["cn-x=1", "cn-x/cmcc=2"], None),
            (["all=1", "100000=2"], Some("100000")),
        ] {
            let places = places.map(|text| text.parse().unwrap());

            assert_eq!(repeated(&places), expected);
        }
    }
}

//! `ensemble app …`: creates, lists, shows and deletes applications, and finds the one that is meant. What is about
//! versions is in `versions`.

mod versions;

use crate::client::{Client, parameter};
use crate::command::operation;
use crate::context::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::operation_progress::{self, Waiting};
use crate::output::{self, Listing, Row};
use crate::words::{age, counted, seconds_since};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// How much of a template is read.
const TEMPLATE_BYTES_AT_MOST: u64 = 1 << 20;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Create(Create),
    /// List applications
    #[command(after_help = "Examples:
  ensemble app list
  ensemble app list -o name")]
    List,
    /// Show one application: its versions, and how many instances run where
    #[command(after_help = "Examples:
  ensemble app show hello
  ensemble app show hello -o json")]
    Show {
        /// An id, a unique prefix of one, or a name
        app: String,
    },
    /// Change what an application keeps to
    #[command(after_help = "Examples:
  ensemble app modify hello --min-ready 2
  ensemble app modify hello --min-ready 0")]
    Modify {
        /// An id, a unique prefix of one, or a name
        app: String,
        /// How many instances on one edge node and carrier stay ready while others are released or moved; 0 for none
        #[arg(long, value_name = "N")]
        min_ready: u32,
    },
    Upgrade(versions::Upgrade),
    Rollback(versions::Rollback),
    Versions(versions::List),
    DeleteVersion(versions::Delete),
    Delete(Delete),
    /// List what was asked of an application, newest first; of a deleted one by its id
    #[command(after_help = "Examples:
  ensemble app history hello
  ensemble app history 474bdef0-d149-4695-abfb-52912d9143f0 -o json")]
    History {
        /// An id, a unique prefix of one, or a name
        app: String,
        /// At most this many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
}

/// Create an application from a template or an image
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble app create --image oci:target/hello-edge.oci --name hello
  ensemble app create template.json
  ensemble app create --image oci:/images/web.oci --name web --add 310100/cmcc=2 --wait-timeout 30")]
#[command(override_usage = "ensemble app create [OPTIONS] <TEMPLATE>
       ensemble app create [OPTIONS] --image <IMAGE> --name <NAME>")]
pub(crate) struct Create {
    /// A template as CreateApplication takes it (JSON); `-` reads it from stdin
    #[arg(required_unless_present = "image", conflicts_with = "image")]
    template: Option<PathBuf>,
    /// Create a template with one container of this image: oci:PATH[:TAG]
    #[arg(long, requires = "name")]
    image: Option<String>,
    /// The application's name
    #[arg(long)]
    name: Option<String>,
    /// The name of the first version
    #[arg(long, default_value = "v1")]
    version_name: String,
    /// What each instance takes of an edge node
    #[arg(long, default_value = "ens.sn1.tiny")]
    spec: String,
    /// Pods on each instance
    #[arg(long, default_value_t = 1)]
    pods: u32,
    /// Instances to begin with: NODE|DISTRICT[/ISP]=N
    #[arg(long, value_name = "PLACE=N")]
    add: Vec<crate::selection::Selection>,
    /// Seconds until creation is given up
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    #[command(flatten)]
    waiting: Waiting,
}

/// Release all instances of an application and delete it
///
/// Asks first on a terminal. What runs is stopped; the application vanishes with its last instance.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble app delete hello
  ensemble app delete hello --yes --timeout 60")]
pub(crate) struct Delete {
    /// An id, a unique prefix of one, or a name
    app: String,
    /// Seconds until the operation is reported as failed; releasing goes on
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    #[command(flatten)]
    waiting: Waiting,
}

/// One application, as far as every command needs it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) cluster: String,
    pub(crate) info: Value,
}

pub(crate) async fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Create(arguments) => create(context, arguments).await,
        Command::List => list(context).await,
        Command::Show { app } => show(context, &app).await,
        Command::Modify { app, min_ready } => modify(context, &app, min_ready).await,
        Command::Upgrade(arguments) => versions::upgrade(context, arguments).await,
        Command::Rollback(arguments) => versions::rollback(context, arguments).await,
        Command::Versions(arguments) => versions::list(context, arguments).await,
        Command::DeleteVersion(arguments) => versions::delete(context, arguments).await,
        Command::Delete(arguments) => delete(context, arguments).await,
        Command::History { app, limit } => operation::history(context, &app, limit).await,
    }
}

/// The application that `text` names: an id, a unique prefix of one, or a name.
pub(crate) async fn find(client: &Client, text: &str) -> Result<Found, Failure> {
    let all = all(client).await?;
    let by_name: Vec<&Found> = all.iter().filter(|found| found.name == text).collect();
    let matching: Vec<&Found> = match by_name.as_slice() {
        [] => all.iter().filter(|found| found.id.starts_with(text)).collect(),
        named => named.to_vec(),
    };
    match matching.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let names: Vec<&str> = all.iter().map(|found| found.name.as_str()).collect();
            let near = names
                .iter()
                .max_by(|a, b| strsim::jaro_winkler(text, a).total_cmp(&strsim::jaro_winkler(text, b)));
            let failure = Failure::new(Exit::Refused, format!("no application is called `{text}`"));
            Err(match near.filter(|near| strsim::jaro_winkler(text, near) > 0.8) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint("`ensemble app list` lists them"),
            })
        }
        several => {
            let failure = Failure::usage(format!("`{text}` is {} applications", several.len()));
            let ids = several.iter().map(|found| format!("{} (cluster {})", found.id, found.cluster));
            Err(ids.fold(failure, Failure::cause).hint("name it by its id"))
        }
    }
}

async fn all(client: &Client) -> Result<Vec<Found>, Failure> {
    let parameters = vec![
        parameter("AppVersions", "All"),
        parameter(
            "OutAppInfoParams",
            json!({"detailStat": true,
        "appVersionStat": false}),
        ),
    ];
    let answer = client.call("ListApplications", &parameters).await?;
    let clusters = answer["Applications"]["Application"].as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for cluster in clusters {
        for app in cluster["AppList"]["App"].as_array().into_iter().flatten() {
            let info: Value =
                app["AppInfo"].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            found.push(Found {
                id: app["AppId"].as_str().unwrap_or_default().to_owned(),
                name: info["AppMetaData"]["AppName"].as_str().unwrap_or_default().to_owned(),
                cluster: cluster["ClusterName"].as_str().unwrap_or_default().to_owned(),
                info,
            });
        }
    }
    Ok(found)
}

async fn create(context: &Context, arguments: Create) -> Outcome {
    let template = match (&arguments.template, &arguments.image, &arguments.name) {
        (Some(path), _, _) => read_template(path)?,
        (None, Some(image), Some(name)) => template(image, name, &arguments)?.to_string(),
        _ => return Err(Failure::usage("`app create` takes a template file, or --image with --name")),
    };
    let client = context.client()?;
    let mut parameters =
        vec![parameter("Template", template), parameter("ClientToken", uuid::Uuid::new_v4())];
    if let Some(timeout) = arguments.timeout {
        parameters.push(parameter("Timeout", timeout));
    }
    let answer = operation_progress::submit(&client, "CreateApplication", &parameters).await?;
    let app = answer["AppId"].as_str().unwrap_or_default();
    let request = answer["RequestId"].as_str().unwrap_or_default();
    if context.form().is_json() && arguments.waiting.no_wait {
        output::print_document(context.form(), &answer);
        return Ok(Exit::Done);
    }
    context.say(&format!("created {app}"));
    let exit = operation_progress::follow(context, &client, request, &arguments.waiting).await?;
    match context.form() {
        output::Form::Json | output::Form::Ndjson => output::print_document(context.form(), &answer),
        output::Form::Name => output::line(app),
        output::Form::Table | output::Form::Wide => {
            let name = arguments.name.as_deref().unwrap_or(app);
            context.say(&format!("next: ensemble rescale {name} --add cn-shanghai-cmcc=2"));
        }
    }
    Ok(exit)
}

fn read_template(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(TEMPLATE_BYTES_AT_MOST).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(TEMPLATE_BYTES_AT_MOST).read_to_string(&mut text))
    };
    read.map_err(|error| {
        Failure::from_error(format!("could not read the template `{}`", path.display()), &error)
    })?;
    Ok(text)
}

fn template(image: &str, name: &str, arguments: &Create) -> Result<Value, Failure> {
    Ok(json!({
        "appMetaData": {"appName": name, "appVersion": arguments.version_name},
        "resourceAttribute": {"instanceSpec": arguments.spec},
        "resourceSelector": crate::selection::selector(&arguments.add),
        "workload": [{"name": name, "podCount": arguments.pods,
            "podSpec": {"containers": [{"name": name, "image": absolute(image)?}]}}],
    }))
}

/// The server reads `oci:` paths from its own working directory's point of view: only absolute ones are sent.
fn absolute(image: &str) -> Result<String, Failure> {
    let Some(path) = image.strip_prefix("oci:") else { return Ok(image.to_owned()) };
    let path = std::path::absolute(path)
        .map_err(|error| Failure::from_error(format!("`{path}` cannot be made absolute"), &error))?;
    Ok(format!("oci:{}", path.display()))
}

async fn list(context: &Context) -> Outcome {
    let found = all(&context.client()?).await?;
    if found.is_empty() && !context.form().is_json() {
        context.say(
            "no applications yet; next: ensemble app create --image oci:target/hello-edge.oci --name hello",
        );
    }
    let now = Timestamp::now();
    let rows = found.into_iter().map(|found| row(found, now)).collect();
    let columns = &["NAME", "APP ID", "PHASE", "VERSION", "INSTANCES", "AGE", "CLUSTER", "SPEC", "REVISION"];
    output::print_listing(context.form(), Listing { columns, narrow: 6, rows });
    Ok(Exit::Done)
}

fn row(found: Found, now: Timestamp) -> Row {
    let info = &found.info;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let stat = &info["DetailStat"];
    let instances = format!("{}/{}", stat["InstanceRunningCount"], stat["InstanceTotalCount"]);
    let created = text(&info["AppMetaData"]["CreateTime"]);
    let age = seconds_since(&created, now).map_or_else(|| "–".to_owned(), age);
    let cells = vec![
        found.name.clone(),
        found.id.clone(),
        text(&info["AppStatus"]["Phase"]),
        text(&info["AppMetaData"]["AppStableVersion"]),
        instances,
        age,
        found.cluster.clone(),
        text(&info["ResourceAttribute"]["InstanceSpec"]),
        info["AppStatus"]["Revision"].to_string(),
    ];
    let json = json!({"AppId": found.id, "ClusterName": found.cluster, "AppInfo": found.info});
    Row { name: found.id, cells, json }
}

async fn show(context: &Context, app: &str) -> Outcome {
    let client = context.client()?;
    let found = find(&client, app).await?;
    let parameters =
        vec![parameter("AppId", &found.id), parameter("AppVersions", "All"), parameter("Level", "RegionId")];
    let answer = client.call("DescribeApplication", &parameters).await?;
    let application: Value = answer["Application"]
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(|| Failure::new(Exit::Failed, "the server's `Application` is not JSON in a string"))?;
    if context.form().is_json() {
        output::print_document(context.form(), &application);
    } else if context.form() == output::Form::Name {
        output::line(&found.id);
    } else {
        print_application(&application);
    }
    Ok(Exit::Done)
}

fn print_application(application: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (meta, status) = (&application["AppMetaData"], &application["AppStatus"]);
    let detail = &application["DetailStat"];
    let description: Value =
        status["StatusDescrip"].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    for (label, value) in [
        ("Name", text(&meta["AppName"])),
        ("App id", text(&meta["AppId"])),
        ("Cluster", text(&meta["ClusterName"])),
        ("Phase", format!("{}  {}", text(&status["Phase"]), text(&description["descrip"]))),
        ("Stable version", text(&meta["AppStableVersion"])),
        ("Revision", status["Revision"].to_string()),
        ("Spec", text(&application["ResourceAttribute"]["InstanceSpec"])),
        ("Strategy", text(&application["ResourceAttribute"]["SchedulingStrategy"])),
        (
            "Instances",
            format!("{} running of {}", detail["InstanceRunningCount"], detail["InstanceTotalCount"]),
        ),
        ("Created", text(&meta["CreateTime"])),
        ("Updated", text(&status["UpdateTime"])),
    ] {
        output::line(&format!("{label:<15} {value}"));
    }
    for version in detail["AppVersionStat"].as_array().into_iter().flatten() {
        for district in version["DistrictStat"].as_array().into_iter().flatten() {
            let instances = district["InstanceTotalCount"].as_u64().unwrap_or_default();
            output::line(&format!(
                "  {:<36} {:<8} {:<8} {}, {} running",
                text(&district["RegionCode"]),
                text(&district["IspCode"]),
                text(&version["AppVersion"]),
                counted(instances, "instance"),
                district["InstanceRunningCount"],
            ));
        }
    }
}

async fn modify(context: &Context, app: &str, min_ready: u32) -> Outcome {
    let client = context.client()?;
    let found = find(&client, app).await?;
    let parameters = vec![
        parameter("AppId", &found.id),
        parameter("MinReady", min_ready),
        parameter("ClientToken", uuid::Uuid::new_v4()),
    ];
    let answer = client.call("ModifyApplicationAttribute", &parameters).await?;
    context.say(&format!("{} keeps {min_ready} ready on each edge node and carrier", found.name));
    print_answer(context, &answer);
    Ok(Exit::Done)
}

/// What a write that is done at once answers, for programs.
pub(super) fn print_answer(context: &Context, answer: &Value) {
    match context.form() {
        output::Form::Json | output::Form::Ndjson => output::print_document(context.form(), answer),
        output::Form::Name => output::line(answer["RequestId"].as_str().unwrap_or_default()),
        output::Form::Table | output::Form::Wide => {}
    }
}

async fn delete(context: &Context, arguments: Delete) -> Outcome {
    let client = context.client()?;
    let found = find(&client, &arguments.app).await?;
    let instances = found.info["DetailStat"]["InstanceTotalCount"].as_u64().unwrap_or_default();
    context.confirm(&format!("delete {} and release {}?", found.name, counted(instances, "instance")))?;
    let mut parameters = vec![parameter("AppId", &found.id), parameter("ClientToken", uuid::Uuid::new_v4())];
    if let Some(timeout) = arguments.timeout {
        parameters.push(parameter("Timeout", timeout));
    }
    let answer = operation_progress::submit(&client, "DeleteApplication", &parameters).await?;
    let request = answer["RequestId"].as_str().unwrap_or_default();
    context.say(&format!("deleting {}, {}    request {request}", found.name, counted(instances, "instance")));
    operation_progress::finish(context, &client, &answer, &arguments.waiting).await
}

//! A plan in a file: what `ensemble plan --out` writes and `ensemble rescale --plan` reads, readable JSON with a
//! format version. Holds one RescaleApplication and the plan it was shown with, and neither endpoint nor key. Calls
//! nothing; whether the plan still holds is the server's to say.

use crate::client::Parameters;
use crate::command::scaling::{Call, Direction};
use crate::failure::{Exit, Failure};
use ensemble_wire::payload::plan::Plan;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

const FORMAT: &str = "ensemble-plan";
const FORMAT_VERSION: u64 = 1;

/// How much of a file is read, and how much is written.
const FILE_BYTES_AT_MOST: usize = 16 << 20;

/// So long a server remembers a `ClientToken` (`decisions.md` §2.11), and so long a plan is done at most once.
const GOOD_FOR: SignedDuration = SignedDuration::from_hours(24);

/// One plan, and the call that does exactly it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PlanFile {
    format: String,
    format_version: u64,
    /// The program that wrote it.
    written_by: String,
    pub(crate) planned_at: Timestamp,
    pub(crate) app_id: String,
    pub(crate) app_name: String,
    /// The version that an Add deploys.
    pub(crate) version: String,
    pub(crate) revision: u64,
    pub(crate) plan_id: String,
    /// Arguments of `ensemble plan` that mean the same call.
    pub(crate) arguments: String,
    /// Of RescaleApplication, beside `IfPlan`. The `ClientToken` among them makes a second use find the first one's
    /// operation instead of doing everything twice.
    pub(crate) parameters: BTreeMap<String, String>,
    /// As it was answered.
    pub(crate) plan: Value,
}

impl PlanFile {
    /// The file for a plan that fits.
    pub(crate) fn new((app_id, app_name): (&str, &str), call: &Call, plan: &Value, now: Timestamp) -> Self {
        let mut parameters: BTreeMap<String, String> = call.parameters.iter().cloned().collect();
        parameters.insert("ClientToken".into(), uuid::Uuid::new_v4().to_string());
        Self {
            format: FORMAT.into(),
            format_version: FORMAT_VERSION,
            written_by: format!("ensemble {}", env!("CARGO_PKG_VERSION")),
            planned_at: now,
            app_id: app_id.into(),
            app_name: app_name.into(),
            version: call.version.clone(),
            revision: plan["Revision"].as_u64().unwrap_or_default(),
            plan_id: plan["PlanId"].as_str().unwrap_or_default().into(),
            arguments: call.written.clone(),
            parameters,
            plan: plan.clone(),
        }
    }

    /// Writes the file whole or not at all; one that is there is replaced.
    ///
    /// # Errors
    /// When it cannot be written, or stands where something else than a file is.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let text =
            serde_json::to_string_pretty(self).expect("a plan of strings and numbers always prints") + "\n";
        if text.len() > FILE_BYTES_AT_MOST {
            return Err(
                Failure::new(Exit::Failed, "the plan is longer than 16 MiB").hint("plan fewer items at once")
            );
        }
        if fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
            return Err(Failure::usage(format!("`{}` is no regular file", path.display()))
                .hint("-o json prints the plan"));
        }
        let failed = |error: &io::Error| {
            Failure::from_error(format!("could not write the plan to `{}`", path.display()), error)
        };
        let unfinished = beside(path);
        let written = fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, path));
        written.map_err(|error| {
            // Perhaps it was never made.
            let _ = fs::remove_file(&unfinished);
            failed(&error)
        })
    }

    /// Reads a file that [`Self::write`] wrote, now.
    ///
    /// # Errors
    /// A usage error that says what is wrong with it.
    pub(crate) fn read(path: &Path, now: Timestamp) -> Result<Self, Failure> {
        let wrong = |failure: Failure| {
            let mut failure = failure.hint("`ensemble plan APP … --out FILE` writes one that can be used");
            failure.message = format!("`{}` {}", path.display(), failure.message);
            failure
        };
        let bytes = contents(path).map_err(|error| {
            let mut failure = Failure::from_error("cannot be read", &error);
            failure.exit = Exit::Usage;
            wrong(failure)
        })?;
        parse(&bytes, now).map_err(wrong)
    }

    pub(crate) fn direction(&self) -> Direction {
        match self.parameters.get("RescaleType").map(String::as_str) {
            Some("Del") => Direction::Del,
            // Anything else was refused when it was read.
            Some(_) | None => Direction::Add,
        }
    }

    /// Whether `text` names the application that was planned for, as an id, the beginning of one, or a name.
    pub(crate) fn is_about(&self, text: &str) -> bool {
        self.app_name == text || (!text.is_empty() && self.app_id.starts_with(text))
    }

    /// The call, and what makes it do exactly this plan.
    pub(crate) fn call(&self) -> Parameters {
        let mut parameters: Parameters = self.parameters.clone().into_iter().collect();
        parameters.push(("IfPlan".into(), self.plan_id.clone()));
        parameters
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.unfinished", std::process::id()));
    path.with_file_name(name)
}

fn contents(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than is allowed tells a longer file from one that just fits.
    fs::File::open(path)?.take(FILE_BYTES_AT_MOST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What the bytes of a file say; the messages go on behind the name of the file.
fn parse(bytes: &[u8], now: Timestamp) -> Result<PlanFile, Failure> {
    if bytes.len() > FILE_BYTES_AT_MOST {
        return Err(Failure::usage("is longer than any plan (16 MiB)"));
    }
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        let said = if error.is_eof() { "ends in the middle of its JSON" } else { "is no JSON" };
        Failure::usage(said).cause(error)
    })?;
    if value["Format"] != FORMAT {
        return Err(Failure::usage("is no plan"));
    }
    if value["FormatVersion"] != FORMAT_VERSION {
        return Err(Failure::usage(format!(
            "has format version {}, and this program reads {FORMAT_VERSION}",
            value["FormatVersion"]
        )));
    }
    let damaged = |cause: &dyn std::fmt::Display| Failure::usage("is a damaged plan").cause(cause);
    let file: PlanFile = serde_json::from_value(value).map_err(|error| damaged(&error))?;
    let plan = Plan::deserialize(&file.plan).map_err(|error| damaged(&error))?;
    let parameter = |name: &str| file.parameters.get(name).map(String::as_str);
    if plan.plan_id != file.plan_id || plan.revision != file.revision {
        return Err(damaged(&"`PlanId` and `Revision` are not those of `Plan`"));
    }
    if parameter("AppId") != Some(&file.app_id) {
        return Err(damaged(&"`AppId` of `Parameters` is not that of the plan"));
    }
    if !matches!(parameter("RescaleType"), Some("Add" | "Del")) {
        return Err(damaged(&"`RescaleType` of `Parameters` is neither Add nor Del"));
    }
    if parameter("ClientToken").is_none_or(str::is_empty) {
        return Err(damaged(&"`Parameters` lacks `ClientToken`"));
    }
    if now.duration_since(file.planned_at) > GOOD_FOR {
        return Err(Failure::usage(format!(
            "was planned at {}; a plan is good for 24 hours",
            file.planned_at
        )));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: &str = "2026-11-24T20:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn file() -> PlanFile {
        let call = Call {
            direction: Direction::Del,
            parameters: vec![
                ("AppId".into(), "474bdef0-d149".into()),
                ("RescaleType".into(), "Del".into()),
                ("ResourceSelector".into(), r#"[{"regionCode":"cn-x","count":1}]"#.into()),
            ],
            version: "v1".into(),
            level: "AreaIspCode",
            written: "--del cn-x=1".into(),
        };
        let plan = json!({"PlanId": "7c1f42ab", "Revision": 3, "Fits": true, "Blocked": null, "Before": 2,
            "After": 1, "Items": []});
        PlanFile::new(("474bdef0-d149", "hello"), &call, &plan, now())
    }

    fn changed(pointer: &str, value: Value) -> Vec<u8> {
        let mut document = serde_json::to_value(file()).unwrap();
        *document.pointer_mut(pointer).unwrap() = value;
        document.to_string().into_bytes()
    }

    #[test]
    fn what_was_written_is_read_and_called_exactly() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan.json");
        let written = file();

        written.write(&path).unwrap();
        written.write(&path).unwrap();
        let read = PlanFile::read(&path, now()).unwrap();

        assert_eq!(read, written);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing unfinished is left");
        assert_eq!(read.direction(), Direction::Del);
        assert!(read.call().contains(&("IfPlan".into(), "7c1f42ab".into())));
        for (text, expected) in
            [("hello", true), ("474b", true), ("", false), ("hell", false), ("d149", false)]
        {
            assert_eq!(read.is_about(text), expected, "{text}");
        }
    }

    #[test]
    fn a_file_that_is_no_plan_is_a_usage_error_that_says_what_is_wrong() {
        let whole = serde_json::to_vec_pretty(&file()).unwrap();
        let late = now() + SignedDuration::from_hours(25);
        for (bytes, at, expected) in [
            (Vec::new(), now(), "ends in the middle"),
            (whole[..whole.len() / 2].to_vec(), now(), "ends in the middle"),
            (b"\xff\xfe".to_vec(), now(), "is no JSON"),
            ([&whole[..], b"{}"].concat(), now(), "is no JSON"),
            ("[".repeat(100_000).into_bytes(), now(), "is no JSON"),
            (b"[1]".to_vec(), now(), "is no plan"),
            (b"{\"Format\":\"tofu\"}".to_vec(), now(), "is no plan"),
            (changed("/FormatVersion", json!(2)), now(), "format version 2"),
            (changed("/FormatVersion", json!("1")), now(), "format version \"1\""),
            (changed("/Plan", json!(null)), now(), "damaged"),
            (changed("/PlanId", json!("other")), now(), "damaged"),
            (changed("/AppId", json!("other")), now(), "damaged"),
            (changed("/PlannedAt", json!("soon")), now(), "damaged"),
            (changed("/Parameters/RescaleType", json!("Twist")), now(), "damaged"),
            (changed("/Parameters/ClientToken", json!("")), now(), "damaged"),
            (changed("/Parameters/AppId", json!(7)), now(), "damaged"),
            (vec![b' '; FILE_BYTES_AT_MOST + 1], now(), "longer than any plan"),
            (whole, late, "good for 24 hours"),
        ] {
            let failure = parse(&bytes, at).unwrap_err();

            assert_eq!(failure.exit, Exit::Usage, "{}", failure.message);
            assert!(failure.message.contains(expected), "{expected}: {}", failure.message);
        }
    }

    #[test]
    fn a_plan_never_replaces_what_is_no_file() {
        let dir = tempfile::tempdir().unwrap();

        let failure = file().write(dir.path()).unwrap_err();

        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(PlanFile::read(&dir.path().join("none"), now()).unwrap_err().exit, Exit::Usage);
    }
}

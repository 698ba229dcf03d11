//! RollbackApplication: all instances of one version go back to an earlier one (ens-api.md §2.4).

use super::draft::Draft;
use super::planning::check_idle;
use super::upgrade_application::{Begin, begin, planned};
use super::{check_revision, owned};
use crate::application::Application;
use crate::command::{Accepted, Command, RollbackApplication};
use crate::id::VersionName;
use crate::refusal::Refusal;
use crate::rollout::StableRule;

pub(super) fn on(
    draft: &mut Draft,
    command: &Command,
    request: &RollbackApplication,
) -> Result<Accepted, Refusal> {
    let application = owned(&draft.state, &command.permit, &request.app)?.clone();
    check_idle(&draft.state, &application)?;
    check_revision(&application, request.if_revision)?;
    let to = target(&application, request)?;
    let (mut rollout, instances) =
        planned(&draft.state, &application, (&to, None), |instance| instance.version == request.from)?;
    rollout.stable = match application.stable_version == request.from {
        true => StableRule::WhenItSucceeds,
        false => StableRule::Stays,
    };
    let how = Begin { rollout, instances, timeout_s: request.timeout_s, on_timeout: request.on_timeout };
    Ok(begin(draft, command, &application, None, how))
}

/// The version to go back to: the one asked for, else the one made just before.
fn target(application: &Application, request: &RollbackApplication) -> Result<VersionName, Refusal> {
    let from = &request.from;
    let refuse = |parameter: &'static str, text: String| Err(Refusal::Version { parameter, text });
    let known = |name: &VersionName| application.versions.iter().position(|version| version.name == *name);
    let names = || {
        let names = application.versions.iter().map(|version| format!("`{}`", version.name));
        crate::refusal::listed(names)
    };
    let Some(at) = known(from) else {
        return refuse("FromAppVersion", format!("there is no version `{from}`; there are {}", names()));
    };
    match &request.to {
        Some(to) if to == from => {
            refuse("ToAppVersion", format!("`{to}` is the version to go back from; name an earlier one"))
        }
        Some(to) if known(to).is_none() => {
            refuse("ToAppVersion", format!("there is no version `{to}`; there are {}", names()))
        }
        Some(to) => Ok(to.clone()),
        None => match at.checked_sub(1).and_then(|before| application.versions.get(before)) {
            Some(before) => Ok(before.name.clone()),
            None => refuse(
                "FromAppVersion",
                format!(
                    "no version was made before `{from}`; name one as ToAppVersion: there are {}",
                    names()
                ),
            ),
        },
    }
}

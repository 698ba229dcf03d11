//! What a person is told of a server that is ready: the lines of the banner.

use crate::configuration::settings::FleetChoice;
use crate::credentials::{Credentials, KeyOrigin};
use crate::data_dir::Freshness;
use crate::restored::Restored;
use ensemble_model::fleet::{EngineKind, Fleet};

/// `new; access key LTAI…7Q2x in credentials.toml (0600)`.
pub(super) fn data_note(freshness: Freshness, credentials: &Credentials, origin: KeyOrigin) -> String {
    let was = match freshness {
        Freshness::New => "new; ",
        Freshness::Known => "",
    };
    let from = match origin {
        KeyOrigin::Kept | KeyOrigin::Generated => "",
        KeyOrigin::TakenFromEnvironment => " (from the environment)",
    };
    format!("{was}access key {}{from} in credentials.toml (0600)", shortened(&credentials.key_id))
}

/// `LTAI…7Q2x`: enough to tell keys apart.
fn shortened(key_id: &str) -> String {
    match (key_id.get(..4), key_id.len().checked_sub(4).and_then(|at| key_id.get(at..))) {
        (Some(first), Some(last)) if key_id.len() > 8 => format!("{first}…{last}"),
        _ => key_id.to_owned(),
    }
}

/// `built-in, 70 edge nodes    engine embedded: real containers on this machine`.
pub(super) fn fleet_note(choice: &FleetChoice, fleet: &Fleet) -> String {
    let from = match choice {
        FleetChoice::Builtin => "built-in".to_owned(),
        FleetChoice::File(path) => path.display().to_string(),
    };
    let engines: Vec<String> = fleet
        .engines
        .iter()
        .map(|(name, kind)| match kind {
            EngineKind::Embedded => format!("engine {name}: real containers on this machine"),
            EngineKind::Simulated => format!("engine {name}: no containers, everything else is real"),
        })
        .collect();
    format!("{from}, {} edge nodes    {}", fleet.nodes.len(), engines.join("; "))
}

/// What a restore waits for, if it does.
pub(super) fn restore_note(restored: &Restored) -> Option<String> {
    (!restored.is_confirmed()).then(|| {
        format!(
            "restored from a backup of {}: only observing; `ensemble restore --confirm` lets it act",
            restored.taken_at.strftime("%Y-%m-%d %H:%M:%S UTC")
        )
    })
}

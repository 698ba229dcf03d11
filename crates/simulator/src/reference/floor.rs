//! What an application keeps ready on each node and carrier (`decisions.md` §9.1): counted anew for every question.

use crate::shadow::Shadow;
use ensemble_model::id::{AppId, InstanceId};
use std::collections::BTreeSet;

/// Whether an application may do without all of these at once: wherever one that is ready goes, as many are ready
/// afterwards as it keeps, or all that it still has there. Says where not; else how many it had to look at.
pub(crate) fn check(shadow: &Shadow, app: &AppId, going: &BTreeSet<&InstanceId>) -> Result<u64, String> {
    let min_ready = shadow.apps.get(app).map_or(0, |app| app.min_ready);
    if min_ready == 0 {
        return Ok(0);
    }
    let mut looked = 0;
    let ready = going.iter().filter_map(|id| Some((id, shadow.instances.get(*id)?)));
    for (id, victim) in ready.filter(|(_, victim)| victim.is_held() && victim.is_ready()) {
        looked += 1;
        let beside = shadow.held_by(app).filter(|(other, found)| {
            !going.contains(other) && found.node == victim.node && found.isp == victim.isp
        });
        let (mut held, mut ready) = (0, 0);
        for (_, found) in beside {
            held += 1;
            ready += u32::from(found.is_ready());
        }
        if ready < min_ready.min(held) {
            return Err(format!(
                "{ready} of {held} are ready on {}/{} without {id}, {min_ready} have to be",
                victim.node, victim.isp
            ));
        }
    }
    Ok(looked)
}

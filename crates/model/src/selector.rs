//! ResourceSelector items in the model's words. Reading them from JSON is the wire's business; resolving them
//! to edge nodes is `placement`'s.

use crate::id::{InstanceId, Isp};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectorItem {
    /// A district code or an edge node id; `None` for the whole country (absent, "", `All`).
    pub region_code: Option<String>,
    /// `None` = any carrier.
    pub isp: Option<Isp>,
    /// 1 to 1,000; a delta, never a target. At level InstanceId the number of `instances`.
    pub count: u32,
    /// The instances that level InstanceId names; empty at the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<InstanceId>,
}

/// `RescaleLevel`: how `region_code` is read (`decisions.md` §1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// A district code of any level, or an edge node id.
    AreaIspCode,
    /// An edge node id.
    RegionId,
    /// Instances by their ids (ens-api.md §5.3); a region code or carrier only confirms where they are.
    InstanceId,
}

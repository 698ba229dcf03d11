//! Which versions and instances of an application a view shows: `AppVersions` and the ResourceSelector as a filter
//! (ens-api.md §2.6).

use ensemble_model::application::{Application, Version};
use ensemble_model::fleet::{EdgeNode, Fleet};
use ensemble_model::instance::Instance;
use ensemble_model::suggestion;
use ensemble_wire::action::Versions;
use ensemble_wire::error::Error;
use ensemble_wire::selector::FilterItem;

/// A selection over one fleet.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    versions: Versions,
    /// `None` = everywhere.
    filter: Option<Vec<FilterItem>>,
}

impl Selection {
    pub(crate) fn new(versions: Versions) -> Self {
        Self { versions, filter: None }
    }

    /// Narrows to instances that match any item.
    ///
    /// # Errors
    /// `InvalidParameter` for a regionCode that is no edge node and no district.
    pub(crate) fn filtered(mut self, fleet: &Fleet, items: Option<Vec<FilterItem>>) -> Result<Self, Error> {
        for (index, item) in items.iter().flatten().enumerate() {
            let Some(code) = item.region_code.as_deref() else { continue };
            if fleet.node(code).is_none() && fleet.district(code).is_none() {
                let nodes = fleet.nodes.iter().map(|node| node.id.as_str());
                let known = nodes.chain(fleet.districts.keys().map(|code| code.as_str()));
                let text = format!(
                    "ResourceSelector[{index}].regionCode {} is no edge node and no district{}",
                    suggestion::quoted(code),
                    suggestion::clause(code, known)
                );
                return Err(Error::invalid(text));
            }
        }
        self.filter = items;
        Ok(self)
    }

    /// The versions shown, in the order of their creation.
    pub(super) fn versions<'a>(&'a self, application: &'a Application) -> impl Iterator<Item = &'a Version> {
        application.versions.iter().filter(|version| match &self.versions {
            Versions::Stable => version.name == application.stable_version,
            Versions::All => true,
            Versions::Named(names) => names.iter().any(|name| name == version.name.as_str()),
        })
    }

    /// Whether an instance passes the filter; its version is not looked at.
    pub(super) fn takes(&self, fleet: &Fleet, instance: &Instance) -> bool {
        let Some(items) = &self.filter else { return true };
        let node = fleet.node(instance.node.as_str());
        items.iter().any(|item| {
            let isp = item.isp_code.as_deref().is_none_or(|isp| isp == instance.isp.as_str());
            isp && item.region_code.as_deref().is_none_or(|code| is_in(fleet, node, instance, code))
        })
    }
}

fn is_in(fleet: &Fleet, node: Option<&EdgeNode>, instance: &Instance, code: &str) -> bool {
    instance.node.as_str() == code || node.is_some_and(|node| fleet.lies_in(node, code))
}

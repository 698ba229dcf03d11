//! The action catalog: one declarative entry per action, from which validation, authorization, `call --help` and the
//! machine-readable metadata are made. An action is added by an entry here and a handler in the server.
//! Lists the entries and finds one; the words they are written in are `entry`'s, `api_docs` renders them.

mod api_docs;

pub use api_docs::api_docs;

use crate::action;
use crate::entry::{Action, nearest};
use crate::error::{Code, Error, shown};

/// The API version all actions belong to.
pub const API_VERSION: &str = "2017-11-10";

/// Every action there is, in the order of the reference.
pub static ACTIONS: &[&Action] = &[
    &action::create_application::ENTRY,
    &action::describe_application::ENTRY,
    &action::list_applications::ENTRY,
    &action::describe_application_resource_summary::ENTRY,
    &action::rescale_application::ENTRY,
    &action::upgrade_application::ENTRY,
    &action::rollback_application::ENTRY,
    &action::delete_application::ENTRY,
    &action::describe_device_service::ENTRY,
    &action::run_instances::ENTRY,
    &action::describe_instances::ENTRY,
    &action::release_instance::ENTRY,
    &action::describe_instance_types::ENTRY,
    &action::describe_ens_regions::ENTRY,
    &action::describe_region_isps::ENTRY,
    &action::describe_ens_net_level::ENTRY,
    &action::describe_ens_net_district::ENTRY,
    &action::describe_ens_net_sale_district::ENTRY,
    &action::describe_available_resource::ENTRY,
    &action::describe_available_resource_info::ENTRY,
    &action::plan_rescale_application::ENTRY,
    &action::rebalance_application::ENTRY,
    &action::rebalance_application::PLAN_ENTRY,
    &action::modify_application_attribute::ENTRY,
    &action::delete_app_version::ENTRY,
    &action::protect_instances::ENTRY,
    &action::protect_instances::UNPROTECT_ENTRY,
    &action::describe_operation::ENTRY,
    &action::list_operations::ENTRY,
    &action::cancel_operation::ENTRY,
    &action::explain_instance::ENTRY,
    &action::describe_edge_nodes::ENTRY,
    &action::change_edge_node::DRAIN_ENTRY,
    &action::change_edge_node::RESUME_ENTRY,
    &action::change_edge_node::LOSE_ENTRY,
    &action::describe_instance_logs::ENTRY,
    &action::exec_instance::ENTRY,
    &action::watch::ENTRY,
    &action::advance_clock::ENTRY,
    &action::confirm_restore::ENTRY,
    &action::describe_images::ENTRY,
    &action::prune_images::ENTRY,
];

/// Finds an action; names compare with case.
///
/// # Errors
/// `InvalidVersion`, then `InvalidAction.NotFound` (the order of gateway.md §4.2).
pub fn find(name: &str, version: &str) -> Result<&'static Action, Error> {
    if version != API_VERSION {
        let detail = format!("The version {} is not served here; {API_VERSION} is.", shown(version));
        return Err(Error::new(Code::InvalidVersion).with_detail(detail));
    }
    ACTIONS.iter().find(|action| action.name == name).copied().ok_or_else(|| not_found(name))
}

fn not_found(name: &str) -> Error {
    let nearest = nearest(name, ACTIONS.iter().map(|action| action.name));
    let suggestion = nearest.map(|name| format!(" Did you mean {name}?")).unwrap_or_default();
    let mut error = Error::action_not_found(name);
    error.detail = error.detail.map(|detail| detail + &suggestion);
    error
}

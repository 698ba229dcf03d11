//! Whether the principal may call the action: a permit, or `NoPermission` with its documented detail
//! (gateway.md §4.3). The decision is `ensemble_model::permit`'s.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ensemble_model::permit::{self, Denied, Permit, Principal};
use ensemble_wire::entry::Action;
use ensemble_wire::error::{AccessDeniedDetail, Error};

/// # Errors
/// `NoPermission`.
pub(super) fn authorize(principal: &Principal, action: &Action, request_id: &str) -> Result<Permit, Error> {
    permit::authorize(principal, action.ram_action)
        .map_err(|denied| Error::no_permission(&detail(denied, request_id)))
}

fn detail(denied: Denied, request_id: &str) -> AccessDeniedDetail {
    AccessDeniedDetail {
        auth_action: denied.ram_action,
        auth_principal_display_name: denied.key_id,
        auth_principal_owner_id: denied.account.to_string(),
        // A key with grants stands for a user of its account, until there are users.
        auth_principal_type: "SubUser".into(),
        encoded_diagnostic_message: STANDARD.encode(request_id),
        no_permission_type: "ImplicitDeny".into(),
        policy_type: "AccountLevelIdentityBasedPolicy".into(),
    }
}

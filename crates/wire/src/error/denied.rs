//! What `NoPermission` says of who was denied what. A shape only; the server's authorization fills it.

use serde::{Deserialize, Serialize};

/// Who was denied what, in the documented shape (gateway.md §4.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccessDeniedDetail {
    pub auth_action: String,
    pub auth_principal_display_name: String,
    pub auth_principal_owner_id: String,
    pub auth_principal_type: String,
    pub encoded_diagnostic_message: String,
    pub no_permission_type: String,
    pub policy_type: String,
}

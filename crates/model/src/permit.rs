//! Authorization as a value: whoever reads or changes an account's state holds a [`Permit`], and only
//! [`authorize`] makes one.

use crate::id::AccountId;
use serde::{Deserialize, Serialize};

/// Who signed a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    pub account: AccountId,
    /// The access key id that signed.
    pub key_id: String,
    /// RAM actions the key is good for: `ens:*`, `ens:Describe*`. `*` stands for any run of characters.
    pub grants: Vec<String>,
}

impl Principal {
    /// The owner of `account`, who may do everything in it.
    pub fn owner(account: AccountId, key_id: impl Into<String>) -> Self {
        Self { account, key_id: key_id.into(), grants: vec!["*".into()] }
    }
}

/// Proof that a principal may do one action in one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    account: AccountId,
    key_id: String,
    ram_action: String,
}

impl Permit {
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The RAM action that was granted: `ens:RescaleApplication`.
    pub fn ram_action(&self) -> &str {
        &self.ram_action
    }
}

/// The principal may not do this; answered as `NoPermission`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("access key `{key_id}` is not granted `{ram_action}`")]
pub struct Denied {
    pub account: AccountId,
    pub key_id: String,
    pub ram_action: String,
}

/// Decides whether `principal` may do `ram_action` (`ens:RescaleApplication`) in its own account.
///
/// # Errors
/// [`Denied`] when no grant matches.
pub fn authorize(principal: &Principal, ram_action: &str) -> Result<Permit, Denied> {
    let account = principal.account.clone();
    let key_id = principal.key_id.clone();
    let ram_action = ram_action.to_owned();
    if principal.grants.iter().any(|grant| matches(grant, &ram_action)) {
        Ok(Permit { account, key_id, ram_action })
    } else {
        Err(Denied { account, key_id, ram_action })
    }
}

/// RAM compares actions without case; `*` is any run of characters (gateway.md §5.2).
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_ascii_lowercase(), text.to_ascii_lowercase());
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else {
        return rest.is_empty();
    };
    for piece in middle {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(grant: &str, action: &str) -> bool {
        let principal =
            Principal { account: AccountId::new("1"), key_id: "k".into(), grants: vec![grant.into()] };
        authorize(&principal, action).is_ok()
    }

    #[test]
    fn grants_match_as_ram_patterns() {
        for (grant, action, expected) in [
            ("*", "ens:RescaleApplication", true),
            ("ens:*", "ens:RescaleApplication", true),
            ("ens:Describe*", "ens:RescaleApplication", false),
            ("ens:Describe*", "ens:DescribeApplication", true),
            ("ENS:describe*", "ens:DescribeApplication", true),
            ("ens:*Application", "ens:RescaleApplication", true),
            ("ens:*Application", "ens:ListApplications", false),
            ("ens:D*be*tion", "ens:DescribeApplication", true),
            ("ens:RescaleApplication", "ens:RescaleApplicationX", false),
            ("", "ens:RescaleApplication", false),
        ] {
            assert_eq!(granted(grant, action), expected, "{grant} on {action}");
        }
    }

    #[test]
    fn no_grant_means_no_permit() {
        let principal = Principal { account: AccountId::new("1"), key_id: "k".into(), grants: Vec::new() };

        let denied = authorize(&principal, "ens:DeleteApplication").unwrap_err();

        assert_eq!(denied.ram_action, "ens:DeleteApplication");
    }
}

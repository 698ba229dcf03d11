//! Whether the caller is who it claims to be, and calls for the first time: key, signature, nonce.
//! Must spend a nonce only after the signature was proved, or anybody could burn another's.

use super::nonce::{NonceTable, Replay, digits};
use crate::credentials::Credentials;
use ensemble_model::command::Nonce;
use ensemble_model::permit::Principal;
use ensemble_model::time::WallTime;
use ensemble_wire::error::{Code, Error};
use ensemble_wire::signature::Claim;
use jiff::Timestamp;
use std::sync::{Mutex, PoisonError};

/// # Errors
/// `InvalidAccessKeyId.NotFound`, `MissingSecurityToken`, `SignatureDoesNotMatch`, `IncompleteSignature`.
pub(super) fn verify(credentials: &Credentials, claim: &Claim) -> Result<Principal, Error> {
    if claim.access_key_id != credentials.key_id {
        if claim.access_key_id.starts_with("STS.") && claim.security_token.is_none() {
            return Err(Error::missing_common("SecurityToken"));
        }
        return Err(Error::new(Code::AccessKeyNotFound)
            .with_detail("This server has one access key; `ensemble env` on its machine shows it."));
    }
    claim.verify(credentials.secret.expose())?;
    Ok(credentials.principal())
}

/// # Errors
/// `SignatureNonceUsed`; `InvalidTimeStamp.Expired` where the table had to forget.
pub(super) fn spend_nonce(nonces: &Mutex<NonceTable>, claim: &Claim, now: Timestamp) -> Result<(), Error> {
    // Every change of the table is whole by the time anything in it could panic.
    let mut nonces = nonces.lock().unwrap_or_else(PoisonError::into_inner);
    nonces.admit(&claim.access_key_id, &claim.nonce, claim.stamp, now).map_err(|replay| match replay {
        Replay::Used => Error::new(Code::SignatureNonceUsed)
            .with_detail("Sign every request anew, each with a nonce of its own."),
        Replay::Forgotten => Error::new(Code::InvalidTimeStampExpired).with_detail(
            "So many requests came that older stamps can no longer be told from replays; sign anew.",
        ),
    })
}

/// A backup knows nothing of nonces used after it: what was signed before the restore may be a replay.
pub(super) fn not_before_restore(restored_at: Option<Timestamp>, claim: &Claim) -> Result<(), Error> {
    match restored_at {
        Some(restored_at) if claim.stamp < restored_at => Err(Error::new(Code::InvalidTimeStampExpired)
            .with_detail("It was signed before this server was restored from a backup; sign anew.")),
        Some(_) | None => Ok(()),
    }
}

/// What an accepted write keeps of it (`decisions.md` §4.1): clients choose the length of their nonces, the log does not.
pub(super) fn nonce_of(claim: &Claim) -> Nonce {
    Nonce {
        key_id: claim.access_key_id.clone(),
        nonce: digits(&claim.nonce),
        stamp: WallTime(claim.stamp.as_millisecond()),
    }
}

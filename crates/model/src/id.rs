//! Identifiers as newtypes, so that an instance id never stands where an application id is meant.
//! A clone shares the text: the state's indices name the same id many times over.
//! Holds no rule about what they mean; an edge node id is never parsed for meaning (`decisions.md` §1.2).

use serde::{Deserialize, Deserializer, Serialize};
use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// Texts of ids that were read one by one, each of them once.
#[derive(Default)]
pub(crate) struct Texts(HashSet<Arc<str>>);

pub(crate) trait Share {
    /// Takes the text of an equal id that was seen before, so that both have one.
    fn share(&mut self, texts: &mut Texts);
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        // Clones are recognised by where their text lies, as `Arc` does for equality: comparing it would fetch it from
        // memory, and the state's indices compare the same few ids all the time.
        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
            }
        }

        impl $name {
            pub fn new(text: impl Into<String>) -> Self {
                Self(Arc::from(text.into()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Share for $name {
            fn share(&mut self, texts: &mut Texts) {
                match texts.0.get(&*self.0) {
                    Some(known) => self.0 = Arc::clone(known),
                    None => drop(texts.0.insert(Arc::clone(&self.0))),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::new)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id! {
    /// The account that owns applications; 16 decimal digits.
    AccountId
}
text_id! {
    /// A lower-case UUID v4, as CreateApplication answers it.
    AppId
}
text_id! {
    /// The RequestId of the accepted write: an upper-case UUID.
    OperationId
}
text_id! {
    /// `i-` and 25 lower-case base-36 characters (ens-api.md §6.5).
    InstanceId
}
text_id! {
    /// What ENS calls a region id: `cn-shanghai-cmcc`. Exact and case-sensitive.
    EdgeNodeId
}
text_id! {
    /// A district code: `100000` the country, `1001xx` big areas, then GB/T 2260 codes.
    DistrictCode
}
text_id! {
    /// The name of an immutable workload description: `v1`.
    VersionName
}
text_id! {
    /// A carrier: `telecom`, `unicom`, `cmcc`, `cbn`, or "" for the one nameless carrier of a node without any.
    Isp
}
text_id! {
    /// The name under which a fleet file declares an engine.
    EngineName
}
text_id! {
    /// An instance spec: `ens.sn1.tiny`.
    SpecName
}
text_id! {
    /// A content digest: `sha256:` and 64 lower-case hex digits.
    Digest
}
text_id! {
    /// A digest of placements and victims: what `IfPlan` compares.
    PlanId
}

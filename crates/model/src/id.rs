//! Identifiers as newtypes, so that an instance id never stands where an application id is meant.
//! A clone shares the text: the state's indices name the same id many times over.
//! Holds no rule about what they mean; an edge node id is never parsed for meaning (`decisions.md` §1.2).

use arcstr::ArcStr;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};

/// Texts of ids that were read one by one, each of them once.
#[derive(Default)]
pub(crate) struct Texts(HashSet<ArcStr>);

pub(crate) trait Share {
    /// Takes the text of an equal id that was seen before, so that both have one.
    fn share(&mut self, texts: &mut Texts);
}

/// The first eight bytes, so that heads have the order of the texts that they begin.
fn head(text: &str) -> u64 {
    let mut head = [0; 8];
    for (to, from) in head.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    u64::from_be_bytes(head)
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Default)]
        pub struct $name {
            head: u64,
            text: ArcStr,
        }

        // The state's indices compare ids all the time, and following a text to where it lies costs more than all else about
        // it: most ids are told apart by their heads, and clones are recognised by where their text lies.
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                self.head.cmp(&other.head).then_with(|| {
                    if ArcStr::ptr_eq(&self.text, &other.text) {
                        Ordering::Equal
                    } else {
                        self.text.as_str().cmp(other.text.as_str())
                    }
                })
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Eq for $name {}

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other) == Ordering::Equal
            }
        }

        impl Hash for $name {
            fn hash<H: Hasher>(&self, hasher: &mut H) {
                self.text.as_str().hash(hasher);
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.debug_tuple(stringify!($name)).field(&self.text).finish()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.text)
            }
        }

        impl $name {
            pub fn new(text: impl Into<String>) -> Self {
                let text = ArcStr::from(text.into());
                Self { head: head(&text), text }
            }

            pub fn as_str(&self) -> &str {
                &self.text
            }
        }

        impl Share for $name {
            fn share(&mut self, texts: &mut Texts) {
                match texts.0.get(self.text.as_str()) {
                    Some(known) => self.text = known.clone(),
                    None => drop(texts.0.insert(self.text.clone())),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::new)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.text
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

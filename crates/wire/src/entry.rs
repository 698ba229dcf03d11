//! The words a catalog entry is written in: an action, its parameters, its answer and its errors. `check` applies an
//! entry to a request. Knows no entry; those are in `action/`, and `catalog` lists them.

mod check;
mod json_field;

pub use json_field::JsonField;

/// One action of the API.
#[derive(Debug)]
pub struct Action {
    pub name: &'static str,
    pub title: &'static str,
    pub summary: &'static str,
    pub group: Group,
    pub kind: Kind,
    pub methods: &'static [Method],
    /// `/`, or the path a stream may also be asked at.
    pub path: &'static str,
    /// `ens:RescaleApplication`: what a policy grants.
    pub ram_action: &'static str,
    pub access: Access,
    /// In the order in which their form is checked.
    pub parameters: &'static [Parameter],
    /// Members of the answer, in order.
    pub response: &'static [Member],
    pub errors: &'static [PublishedError],
    /// A JSON answer, as the documentation shows it.
    pub example: &'static str,
}

/// Where an action stands in the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Application,
    Device,
    Instance,
    Region,
    /// Ours; an official client never meets these by accident.
    Extension,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Read,
    /// Goes through the control loop and is answered when durable.
    Write,
    /// Answers server-sent events.
    Stream,
}

/// What the metadata lists; GET and POST are accepted for every action (`decisions.md` §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
}

/// RAM access levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Create,
    Get,
    List,
    Update,
    Delete,
}

#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub value: ValueType,
    /// Documented values that are refused until they are built.
    pub unbuilt: &'static [&'static str],
    pub presence: Presence,
    /// Filled in by `check` when the parameter is absent.
    pub default: Option<&'static str>,
    pub example: &'static str,
    pub position: Position,
    pub description: &'static str,
    /// Whose it is; within a published action ours stand behind the published ones.
    pub origin: Origin,
    /// What stands in its value, where that is JSON.
    pub fields: &'static [JsonField],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Published,
    Ours,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Required,
    Optional,
}

/// Where clients put it; the server takes it from query or body alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    Query,
    Form,
}

#[derive(Clone, Copy, Debug)]
pub enum ValueType {
    Text {
        max_bytes: usize,
    },
    /// Compared with case.
    Enum(&'static [&'static str]),
    Integer {
        minimum: i64,
        maximum: i64,
        width: Width,
    },
    /// `true` or `false`.
    Flag,
    JsonArray {
        minimum_items: usize,
        maximum_items: usize,
    },
    JsonObject,
    /// `Name.1.Key`, `Name.1.Value`, `Name.2.Key`, …: read as an array of objects.
    Family {
        keys: &'static [&'static str],
        at_most: usize,
    },
    /// Documented, and refused: it promises what there is none of here.
    Refused {
        why: &'static str,
    },
    /// `yyyy-MM-dd`.
    Date,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    Int32,
    Int64,
}

/// The shape of an answer.
#[derive(Clone, Copy, Debug)]
pub enum Schema {
    /// With an example.
    Text(&'static str),
    Integer(&'static str),
    Flag(&'static str),
    List(&'static Schema),
    Object(&'static [Member]),
}

#[derive(Clone, Copy, Debug)]
pub struct Member {
    pub name: &'static str,
    pub schema: Schema,
}

/// An error of an action's own table; all are HTTP 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedError {
    pub code: &'static str,
    pub message: &'static str,
}

/// Longest text that is not a JSON document. The whole request is bounded by the gateway.
pub const MAX_TEXT_BYTES: usize = 4096;

impl Parameter {
    pub const fn text(name: &'static str, example: &'static str) -> Self {
        Self::of(name, ValueType::Text { max_bytes: MAX_TEXT_BYTES }, example)
    }

    pub const fn of(name: &'static str, value: ValueType, example: &'static str) -> Self {
        Self {
            name,
            value,
            unbuilt: &[],
            presence: Presence::Optional,
            default: None,
            example,
            position: Position::Query,
            description: "",
            origin: Origin::Published,
            fields: &[],
        }
    }

    pub const fn integer(name: &'static str, minimum: i64, maximum: i64, example: &'static str) -> Self {
        Self::of(name, ValueType::Integer { minimum, maximum, width: Width::Int32 }, example)
    }

    pub const fn choice(name: &'static str, values: &'static [&'static str], example: &'static str) -> Self {
        Self::of(name, ValueType::Enum(values), example)
    }

    pub const fn refused(name: &'static str, why: &'static str) -> Self {
        Self::of(name, ValueType::Refused { why }, "")
            .about("Refused: it promises what an edge node's share is not.")
    }

    pub const fn required(mut self) -> Self {
        self.presence = Presence::Required;
        self
    }

    pub const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    pub const fn without(mut self, unbuilt: &'static [&'static str]) -> Self {
        self.unbuilt = unbuilt;
        self
    }

    pub const fn ours(mut self) -> Self {
        self.origin = Origin::Ours;
        self
    }

    pub const fn with(mut self, fields: &'static [JsonField]) -> Self {
        self.fields = fields;
        self
    }

    pub const fn about(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }
}

impl Member {
    pub const fn text(name: &'static str, example: &'static str) -> Self {
        Self { name, schema: Schema::Text(example) }
    }

    pub const fn integer(name: &'static str, example: &'static str) -> Self {
        Self { name, schema: Schema::Integer(example) }
    }

    pub const fn flag(name: &'static str, example: &'static str) -> Self {
        Self { name, schema: Schema::Flag(example) }
    }

    pub const fn object(name: &'static str, members: &'static [Member]) -> Self {
        Self { name, schema: Schema::Object(members) }
    }

    pub const fn list(name: &'static str, item: &'static Schema) -> Self {
        Self { name, schema: Schema::List(item) }
    }
}

impl PublishedError {
    const MISSING: Self = Self { code: "MissingParameter", message: crate::error::MISSING_PARAMETER };
    const NO_PERMISSION: Self = Self { code: "NoPermission", message: "Permission denied." };
    const INVALID_FIELD: Self = Self {
        code: "InvalidParameter.%s",
        message: "The specified field %s invalid. Please check it again.",
    };
    const INVALID: Self =
        Self { code: "InvalidParameter", message: "The errorMessage is %s. Please check it again." };
    const INTERFACE: Self =
        Self { code: "ens.interface.error", message: "An error occurred while calling the API." };
    const CALL: Self = Self { code: "CallInterface", message: "Call Interface Happen Error." };

    /// The six of ens-api.md §1.1.
    pub const SIX: &[Self] = &[
        Self::MISSING,
        Self::NO_PERMISSION,
        Self::INVALID_FIELD,
        Self::INVALID,
        Self::INTERFACE,
        Self::CALL,
    ];
    /// Those of DescribeDeviceService.
    pub const OF_DEVICES: &[Self] = &[Self::NO_PERMISSION, Self::INVALID_FIELD];
    /// Those of the region actions, whose first sentence has a plural of its own.
    pub const OF_REGIONS: &[Self] = &[Self::MISSING_OF_MANY, Self::NO_PERMISSION, Self::INVALID_FIELD];
    /// Those of DescribeRegionIsps.
    pub const OF_CARRIERS: &[Self] = &[
        Self { code: "Invalid%s", message: "The specified parameter %s is invalid." },
        Self { code: "Missing%s", message: "You must specify the parameter %s." },
        Self::NO_PERMISSION,
        Self::INVALID_FIELD,
    ];
    /// Those of the actions about districts, whose first sentence names a parameter that they do not have.
    pub const OF_DISTRICTS: &[Self] = &[
        Self {
            code: "MissingParameter",
            message: "The input parameter domainName that is mandatory for processing this request is not supplied.",
        },
        Self { code: "InstanceIdNotFound", message: "The input parameter instancdId that is not found." },
        Self::NO_PERMISSION,
        Self::CALL,
        Self::INVALID_FIELD,
    ];
    /// Those of what there is room for.
    pub const OF_RESOURCES: &[Self] = &[
        Self::MISSING_OF_MANY,
        Self { code: "InstanceNotExists", message: "The user have no instances." },
        Self::CALL,
        Self::NO_PERMISSION,
        Self::INVALID_FIELD,
    ];
    const MISSING_OF_MANY: Self = Self {
        code: "MissingParameter",
        message: "The input parameters that is mandatory for processing this request is not supplied.",
    };
}

impl Access {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::List => "list",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

impl Group {
    pub fn title(self) -> &'static str {
        match self {
            Self::Application => "Applications",
            Self::Device => "Devices",
            Self::Instance => "Instances",
            Self::Region => "Regions",
            Self::Extension => "Ensemble extensions",
        }
    }
}

/// A name longer than this is no typing mistake, and comparing it would cost more than it helps.
const LONGEST_NAME: usize = 64;

/// The most similar of `names`, if one is similar enough to be meant.
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST_NAME {
        return None;
    }
    let lower = name.to_lowercase();
    names
        .map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

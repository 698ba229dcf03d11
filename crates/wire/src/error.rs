//! The errors of the API: a closed set of codes with the HTTP status and the literal message of each
//! (gateway.md §4.2, ens-api.md §1.1), and the body that carries them.
//! Must not know why something failed: whoever refuses says so in `Detail` and `Reason`.

mod denied;
mod guide;

pub use denied::AccessDeniedDetail;
pub use guide::Guide;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// What a client may branch on; `Display` is the text on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    UnsupportedHttpMethod,
    RequestBodyTooLarge,
    RequestLineTooLong,
    InvalidFormat,
    /// `Missing<Name>` of a common parameter: `Action`, `Version`, `SignatureNonce`, …
    MissingCommon(&'static str),
    InvalidTimeStampFormat,
    InvalidTimeStampExpired,
    InvalidSignatureMethod,
    InvalidVersion,
    ActionNotFound,
    AccessKeyNotFound,
    AccessKeyInactive,
    SecurityTokenMalformed,
    SecurityTokenMismatch,
    SecurityTokenExpired,
    SignatureDoesNotMatch,
    IncompleteSignature,
    SignatureNonceUsed,
    Throttling,
    ThrottlingUser,
    ThrottlingApi,
    NoPermission,
    MissingParameter,
    /// `InvalidParameter.<Name>` of a parameter.
    InvalidField(String),
    InvalidParameter,
    InterfaceError,
    CallInterface,
    InternalError,
    ServiceUnavailable,
}

impl Code {
    /// The code as it stands in the body.
    pub fn as_text(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::MissingCommon(name) => return Cow::Owned(format!("Missing{name}")),
            Self::InvalidField(name) => return Cow::Owned(format!("InvalidParameter.{name}")),
            Self::UnsupportedHttpMethod => "UnsupportedHTTPMethod",
            Self::RequestBodyTooLarge => "RequestBodyTooLarge",
            Self::RequestLineTooLong => "RequestLineTooLong",
            Self::InvalidFormat => "InvalidParameter.Format",
            Self::InvalidTimeStampFormat => "InvalidTimeStamp.Format",
            Self::InvalidTimeStampExpired => "InvalidTimeStamp.Expired",
            Self::InvalidSignatureMethod => "InvalidSignatureMethod",
            Self::InvalidVersion => "InvalidVersion",
            Self::ActionNotFound => "InvalidAction.NotFound",
            Self::AccessKeyNotFound => "InvalidAccessKeyId.NotFound",
            Self::AccessKeyInactive => "InvalidAccessKeyId.Inactive",
            Self::SecurityTokenMalformed => "InvalidSecurityToken.Malformed",
            Self::SecurityTokenMismatch => "InvalidSecurityToken.MismatchWithAccessKey",
            Self::SecurityTokenExpired => "InvalidSecurityToken.Expired",
            Self::SignatureDoesNotMatch => "SignatureDoesNotMatch",
            Self::IncompleteSignature => "IncompleteSignature",
            Self::SignatureNonceUsed => "SignatureNonceUsed",
            Self::Throttling => "Throttling",
            Self::ThrottlingUser => "Throttling.User",
            Self::ThrottlingApi => "Throttling.Api",
            Self::NoPermission => "NoPermission",
            Self::MissingParameter => "MissingParameter",
            Self::InvalidParameter => "InvalidParameter",
            Self::InterfaceError => "ens.interface.error",
            Self::CallInterface => "CallInterface",
            Self::InternalError => "InternalError",
            Self::ServiceUnavailable => "ServiceUnavailable",
        })
    }

    /// The HTTP status that goes with the code.
    pub fn status(&self) -> u16 {
        match self {
            Self::RequestBodyTooLarge => 413,
            Self::RequestLineTooLong => 414,
            Self::ActionNotFound | Self::AccessKeyNotFound => 404,
            Self::InternalError => 500,
            Self::ServiceUnavailable => 503,
            _ => 400,
        }
    }

    /// The published sentence; `%s` and a signature's string to sign are filled in by the constructors below.
    pub fn sentence(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::MissingCommon(name) => return Cow::Owned(format!("{name} is mandatory for this action.")),
            Self::InvalidField(name) => {
                return Cow::Owned(format!("The specified field {name} invalid. Please check it again."));
            }
            Self::UnsupportedHttpMethod => "This http method not supported.",
            Self::RequestBodyTooLarge => "The request body is too large.",
            Self::RequestLineTooLong => "The request line is too long.",
            Self::InvalidFormat => "Specified parameter format is not valid.",
            Self::InvalidTimeStampFormat => "Specified time stamp or date value is not well formatted.",
            Self::InvalidTimeStampExpired => "Specified time stamp or date value is expired.",
            Self::InvalidSignatureMethod => "Specified signature method is not valid.",
            Self::InvalidVersion => "Specified parameter Version is not valid.",
            Self::ActionNotFound => "Specified api is not found, please check your url and method.",
            Self::AccessKeyNotFound => "Specified access key is not found.",
            Self::AccessKeyInactive => "Specified access key is disabled.",
            Self::SecurityTokenMalformed => "Specified SecurityToken is malformed.",
            Self::SecurityTokenMismatch => "Specified SecurityToken mismatch with the AccessKey.",
            Self::SecurityTokenExpired => "Specified SecurityToken is expired.",
            Self::SignatureDoesNotMatch => "Specified signature is not matched with our calculation.",
            Self::IncompleteSignature => "The request signature does not conform to Aliyun standards.",
            Self::SignatureNonceUsed => "Specified signature nonce was used already.",
            Self::Throttling => "Request was denied due to request throttling.",
            Self::ThrottlingUser => "Request was denied due to user flow control.",
            Self::ThrottlingApi => "Request was denied due to api flow control.",
            Self::NoPermission => "Permission denied.",
            Self::MissingParameter => MISSING_PARAMETER,
            Self::InvalidParameter => "The errorMessage is %s. Please check it again.",
            Self::InterfaceError => "An error occurred while calling the API.",
            Self::CallInterface => "Call Interface Happen Error.",
            Self::InternalError => {
                "The request processing has failed due to some unknown error, exception or failure."
            }
            Self::ServiceUnavailable => "The request has failed due to a temporary failure of the server.",
        })
    }
}

/// ENS's own sentence for an absent business parameter.
pub(crate) const MISSING_PARAMETER: &str =
    "The input parameter that is mandatory for processing this request is not supplied.";

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.as_text())
    }
}

/// Why a request was refused, where a program may branch on it (`decisions.md` §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    CapacityShortage,
    /// A Del of more instances than exist.
    NotEnoughInstances,
    StaleRevision,
    PlanChanged,
    OperationInProgress,
    UnknownApplication,
    UnknownOperation,
    UnknownInstance,
    UnknownVersion,
    UnknownEdgeNode,
    /// It is managed, hosted, protected or on its way out.
    InstanceInTheWay,
    /// It is over, or may not be canceled.
    NotCancelable,
    /// An edge node does not stand as the call needs it.
    EdgeNodeInTheWay,
    /// A rebalancing finds nothing to do.
    NothingToMove,
    /// The name is taken in its cluster.
    ApplicationExists,
    ClientTokenReused,
    EngineUnavailable,
    /// Nothing can be run in a container that does not run.
    ContainerNotRunning,
    /// The container has no such program.
    CommandNotFound,
    /// As many commands run in containers as may at once.
    TooManyCommands,
    /// The server was restored from a backup and only observes.
    RestoreUnconfirmed,
    /// Nobody steps the time of this server.
    ClockRuns,
    /// Built later; refused by name until then.
    NotSupported,
}

/// A refusal as the client sees it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Error {
    pub code: Code,
    pub message: String,
    /// A sentence for people: what was asked, what stood against it, what to do.
    pub detail: Option<String>,
    pub reason: Option<Reason>,
    /// Further members of the body: `AccessDeniedDetail`, `Plan`.
    pub extra: Option<Box<Map<String, Value>>>,
}

impl Error {
    /// The code with its published sentence and nothing else.
    pub fn new(code: Code) -> Self {
        let message = code.sentence().into_owned();
        Self { code, message, detail: None, reason: None, extra: None }
    }

    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub fn with_reason(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Adds a member to the body, such as the plan that stands against an `IfPlan`.
    pub fn with_member(mut self, name: &str, value: Value) -> Self {
        self.extra.get_or_insert_default().insert(name.to_owned(), value);
        self
    }

    /// A required business parameter is absent or empty.
    pub fn missing_parameter(name: &str) -> Self {
        Self::new(Code::MissingParameter).with_detail(format!("The parameter {name} is required."))
    }

    /// A parameter has the wrong form: `InvalidParameter.<Name>`.
    pub fn invalid_parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidField(name.to_owned())).with_detail(detail)
    }

    /// Well formed with wrong content: `InvalidParameter`, the text inside its message.
    /// `text` takes no full stop: the published sentence has one.
    pub fn invalid(text: impl Into<String>) -> Self {
        let text = text.into();
        let mut error = Self::new(Code::InvalidParameter);
        error.message = error.message.replace("%s", &text);
        error.with_detail(sentence(&text))
    }

    /// The opaque documented error, explained by `reason` and `detail`.
    pub fn interface_error(reason: Reason, detail: impl Into<String>) -> Self {
        Self::new(Code::InterfaceError).with_reason(reason).with_detail(detail)
    }

    /// The application does not exist or is another account's: the same answer, to the letter.
    pub fn unknown_application(app: &str) -> Self {
        let detail = format!(
            "There is no application {} in this account; ListApplications shows those there are.",
            shown(app)
        );
        Self::interface_error(Reason::UnknownApplication, detail)
    }

    /// A node agent, registry or file server failed in the course of the call.
    pub fn call_interface(detail: impl Into<String>) -> Self {
        Self::new(Code::CallInterface).with_detail(detail)
    }

    pub fn no_permission(denied: &AccessDeniedDetail) -> Self {
        let detail = format!("{} is not granted {}.", denied.auth_principal_display_name, denied.auth_action);
        // Seven strings always serialize.
        let member = serde_json::to_value(denied).unwrap_or_default();
        Self::new(Code::NoPermission).with_detail(detail).with_member("AccessDeniedDetail", member)
    }

    pub fn missing_common(name: &'static str) -> Self {
        Self::new(Code::MissingCommon(name))
    }

    pub fn action_not_found(action: &str) -> Self {
        let detail = format!("There is no action {} here; names compare with case.", shown(action));
        Self::new(Code::ActionNotFound).with_detail(detail)
    }

    /// V1 clients compare what follows the one `:` with their own string to sign (gateway.md §4.4).
    pub fn signature_does_not_match_v1(string_to_sign: &str) -> Self {
        let mut error = Self::new(Code::SignatureDoesNotMatch);
        error.message.push_str(" server string to sign is:");
        error.message.push_str(start(string_to_sign, SIGNED_TEXT_BYTES_AT_MOST));
        error
    }

    pub fn signature_does_not_match_v3(string_to_sign: &str, canonical_request: &str) -> Self {
        let mut error = Self::new(Code::SignatureDoesNotMatch);
        let canonical_request = start(canonical_request, SIGNED_TEXT_BYTES_AT_MOST);
        error.message = format!(
            "Specified signature does not match our calculation. server StringToSign is [{string_to_sign}] \
             server CanonicalRequest is [{canonical_request}]"
        );
        error
    }

    /// The Authorization header is malformed, leaves out what must be signed, or the body is not what was signed.
    /// `string_to_sign` is empty where none could be computed.
    pub fn incomplete_signature(string_to_sign: &str, detail: impl Into<String>) -> Self {
        let mut error = Self::new(Code::IncompleteSignature).with_detail(detail);
        error.message.push_str(" server string to sign is:");
        error.message.push_str(string_to_sign);
        error
    }

    pub fn body_too_large(limit_bytes: usize) -> Self {
        let mut error = Self::new(Code::RequestBodyTooLarge);
        error.message = format!("The request body exceeds {limit_bytes} bytes.");
        error
    }

    pub fn status(&self) -> u16 {
        self.code.status()
    }

    /// The body of the answer. `host` is the Host header as received, scheme and port included.
    pub fn body(&self, request_id: &str, host: &str) -> Body {
        let host = start(host, HOST_BYTES_AT_MOST);
        let authority = host.split_once("://").map_or(host, |(_, authority)| authority);
        let code = self.code.as_text().into_owned();
        Body {
            request_id: request_id.to_owned(),
            host_id: without_port(authority).to_owned(),
            message: self.message.clone(),
            recommend: format!("http://{authority}/troubleshoot?q={code}&product=Ens&requestId={request_id}"),
            code,
            detail: self.detail.clone(),
            reason: self.reason.map(Reason::as_text),
            extra: self.extra.as_deref().cloned().unwrap_or_default(),
        }
    }
}

/// What refuses writes phrases, a person reads sentences: a capital first, a full stop where nothing else ends it.
pub fn sentence(phrase: &str) -> String {
    let mut letters = phrase.chars();
    let first: String = letters.next().map(|letter| letter.to_uppercase().collect()).unwrap_or_default();
    let stop = if phrase.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

/// Signed text that is sent back to somebody who is not known yet: enough for every request line there can be, double
/// encoding included, and no answer that is many times larger than its request.
const SIGNED_TEXT_BYTES_AT_MOST: usize = 256 << 10;

/// Longest name of a host, a scheme and a port included.
const HOST_BYTES_AT_MOST: usize = 280;

/// Keeps an answer short whatever was sent.
pub fn shown(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 64;
    match text.char_indices().nth(LONGEST) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

/// The start of `text`, cut between two characters.
fn start(text: &str, bytes_at_most: usize) -> &str {
    let mut end = bytes_at_most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    }
}

/// An error body as it travels. Clients read it with `Deserialize`; a `Reason` they do not know is text to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Body {
    pub request_id: String,
    #[serde(default)]
    pub host_id: String,
    pub code: String,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub recommend: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_the_documented_members_in_order() {
        let error = Error::interface_error(Reason::OperationInProgress, "Busy.");

        let body = serde_json::to_string(&error.body("R-1", "http://edge.example:8420")).unwrap();

        assert_eq!(
            body,
            r#"{"RequestId":"R-1","HostId":"edge.example","Code":"ens.interface.error","Message":"An error occurred while calling the API.","Recommend":"http://edge.example:8420/troubleshoot?q=ens.interface.error&product=Ens&requestId=R-1","Detail":"Busy.","Reason":"OperationInProgress"}"#
        );
    }

    #[test]
    fn messages_are_the_published_ones() {
        let check = |error: Error, status: u16, code: &str, message: &str| {
            assert_eq!((error.status(), &*error.code.as_text(), &*error.message), (status, code, message));
        };
        check(Error::missing_parameter("AppId"), 400, "MissingParameter", MISSING_PARAMETER);
        check(
            Error::invalid_parameter("Timeout", "x"),
            400,
            "InvalidParameter.Timeout",
            "The specified field Timeout invalid. Please check it again.",
        );
        check(
            Error::invalid("item 1: no such node"),
            400,
            "InvalidParameter",
            "The errorMessage is item 1: no such node. Please check it again.",
        );
        check(
            Error::missing_common("SignatureNonce"),
            400,
            "MissingSignatureNonce",
            "SignatureNonce is mandatory for this action.",
        );
        check(
            Error::action_not_found("x"),
            404,
            "InvalidAction.NotFound",
            "Specified api is not found, please check your url and method.",
        );
        check(Error::body_too_large(7), 413, "RequestBodyTooLarge", "The request body exceeds 7 bytes.");
    }

    #[test]
    fn a_detail_is_a_sentence() {
        for (text, detail) in [
            ("the body is not JSON", "The body is not JSON."),
            (
                "`podSpec.contaners` is not known; did you mean containers?",
                "`podSpec.contaners` is not known; did you mean containers?",
            ),
        ] {
            assert_eq!(Error::invalid(text).detail.as_deref(), Some(detail));
        }
    }

    #[test]
    fn a_v1_mismatch_has_one_colon_before_the_string_to_sign_and_nothing_after_it() {
        let error = Error::signature_does_not_match_v1("GET&%2F&A%3D1");

        assert_eq!(error.message.split(':').nth(1), Some("GET&%2F&A%3D1"));
        assert_eq!(error.message.matches(':').count(), 1);
    }

    #[test]
    fn the_access_denied_detail_is_an_object_of_the_body() {
        let denied = AccessDeniedDetail {
            auth_action: "ens:RescaleApplication".into(),
            auth_principal_display_name: "reader".into(),
            auth_principal_owner_id: "1".into(),
            auth_principal_type: "SubUser".into(),
            encoded_diagnostic_message: "cg==".into(),
            no_permission_type: "ImplicitDeny".into(),
            policy_type: "AccountLevelIdentityBasedPolicy".into(),
        };

        let body = serde_json::to_value(Error::no_permission(&denied).body("R", "h")).unwrap();

        assert_eq!(body["Message"], "Permission denied.");
        assert_eq!(body["AccessDeniedDetail"]["AuthAction"], "ens:RescaleApplication");
    }
}

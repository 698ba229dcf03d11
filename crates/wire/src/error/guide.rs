//! What each error code and each `Reason` means to whoever gets it, and what to do then: the texts of
//! `docs/reference/errors.md`. Must not decide which error answers what.

use super::{Code, Reason};

/// When a code is answered, and what helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guide {
    pub when: &'static str,
    pub remedy: &'static str,
}

impl Code {
    /// Every code, in the order in which a request meets them; a code with a name in it has `<Name>` there.
    pub fn all() -> Vec<Self> {
        vec![
            Self::UnsupportedHttpMethod,
            Self::RequestLineTooLong,
            Self::RequestBodyTooLarge,
            Self::InvalidFormat,
            Self::MissingCommon("<Name>"),
            Self::InvalidTimeStampFormat,
            Self::InvalidTimeStampExpired,
            Self::InvalidSignatureMethod,
            Self::AccessKeyNotFound,
            Self::AccessKeyInactive,
            Self::SecurityTokenMalformed,
            Self::SecurityTokenMismatch,
            Self::SecurityTokenExpired,
            Self::IncompleteSignature,
            Self::SignatureDoesNotMatch,
            Self::SignatureNonceUsed,
            Self::Throttling,
            Self::ThrottlingUser,
            Self::ThrottlingApi,
            Self::InvalidVersion,
            Self::ActionNotFound,
            Self::MissingParameter,
            Self::InvalidField("<Name>".to_owned()),
            Self::NoPermission,
            Self::InvalidParameter,
            Self::InterfaceError,
            Self::CallInterface,
            Self::InternalError,
            Self::ServiceUnavailable,
        ]
    }

    /// When it is answered, and what to do.
    #[expect(clippy::too_many_lines, reason = "a table with one row a code, which is best read as one")]
    pub fn guide(&self) -> Guide {
        let (when, remedy) = match self {
            Self::UnsupportedHttpMethod => ("The method is neither GET nor POST.", "Send GET or POST."),
            Self::RequestLineTooLong => (
                "The request line is longer than the server reads.",
                "Send the parameters as a form in the body of a POST.",
            ),
            Self::RequestBodyTooLarge => (
                "The body is larger than the server reads.",
                "Send less: a template or selector of this size cannot be meant.",
            ),
            Self::InvalidFormat => ("`Format` is neither JSON nor XML.", "Send `Format=JSON`, or none."),
            Self::MissingCommon(_) => (
                "A parameter or header that every call needs is absent; the code names it: `MissingAction`, \
                 `MissingSignatureNonce`, …",
                "Use an SDK, or sign as its documentation shows.",
            ),
            Self::InvalidTimeStampFormat => {
                ("The time stamp is not like 2026-03-27T08:00:00Z.", "Send UTC in ISO 8601, with the Z.")
            }
            Self::InvalidTimeStampExpired => (
                "The stamp is more than 15 minutes from the server's clock, or older than nonces are kept.",
                "Set the clock of the client; the answer's Date header shows the server's.",
            ),
            Self::InvalidSignatureMethod => (
                "The signature method is not HMAC-SHA1, HMAC-SHA256 or ACS3-HMAC-SHA256.",
                "Use one of these; RSA, SM3 and bearer tokens are not served.",
            ),
            Self::AccessKeyNotFound => (
                "The server does not know the access key.",
                "`ensemble env` prints the key of the local server; a new data directory has a new key.",
            ),
            Self::AccessKeyInactive => ("The access key is switched off.", "Use another key."),
            Self::SecurityTokenMalformed => ("The security token cannot be read.", "Ask for a new one."),
            Self::SecurityTokenMismatch => {
                ("The security token belongs to another key.", "Send key and token of the same answer.")
            }
            Self::SecurityTokenExpired => ("The security token has expired.", "Ask for a new one."),
            Self::IncompleteSignature => (
                "The Authorization header is malformed, leaves out what must be signed, or the body is not what was \
                 signed.",
                "Sign Host, Content-Type and every x-acs- header; the message shows what the server would sign.",
            ),
            Self::SignatureDoesNotMatch => (
                "The signature is not the one that the server computes; the message shows what it signed.",
                "Compare that with what the client signed. If they are equal, the secret differs.",
            ),
            Self::SignatureNonceUsed => (
                "The nonce of this request was accepted before: somebody sent it twice.",
                "Give every attempt a nonce of its own, retries too; `ClientToken` makes a retry safe.",
            ),
            Self::Throttling | Self::ThrottlingUser | Self::ThrottlingApi => {
                ("More requests came than the server is set to answer.", "Wait, and try again more slowly.")
            }
            Self::InvalidVersion => ("`Version` is not 2017-11-10.", "Send `Version=2017-11-10`."),
            Self::ActionNotFound => (
                "There is no such action here; names compare with case. `Detail` suggests the nearest.",
                "`ensemble api list` shows the actions there are.",
            ),
            Self::MissingParameter => {
                ("A required parameter is absent or empty; `Detail` names it.", "Send it.")
            }
            Self::InvalidField(_) => (
                "The parameter in the code has the wrong form, names something that is not there \
                 (`ToAppVersion`), or its condition does not hold (`IfRevision`, `IfPlan`, `ClientToken`).",
                "`Detail` says what was expected.",
            ),
            Self::NoPermission => (
                "The key is not granted the action; `AccessDeniedDetail` says who was denied what.",
                "Grant it in `grants` of credentials.toml, or use another key.",
            ),
            Self::InvalidParameter => (
                "A parameter is well formed and its content cannot be: an unknown edge node, a count out of range, a \
                 field that is not supported, or no room. The message and `Detail` say where.",
                "Depends on `Reason`, where there is one; else mend what `Detail` names.",
            ),
            Self::InterfaceError => (
                "What is asked about is unknown (or another account's: the same answer), or is busy.",
                "Depends on `Reason`.",
            ),
            Self::CallInterface => (
                "A part that the call needs does not answer: the engine of a node that is named by its id.",
                "Try again, or name an area: then nodes that do not answer are passed over.",
            ),
            Self::InternalError => (
                "The server failed in a way it does not explain to clients; its log has the request id.",
                "Look there, and report it.",
            ),
            Self::ServiceUnavailable => (
                "The server is stopping, or cannot write its log, or too much waits already. Nothing was accepted.",
                "Try again; with the same `ClientToken` that is safe.",
            ),
        };
        Guide { when, remedy }
    }
}

impl Reason {
    /// Every reason, in the order of the enum.
    pub const ALL: &'static [Self] = &[
        Self::CapacityShortage,
        Self::NotEnoughInstances,
        Self::StaleRevision,
        Self::PlanChanged,
        Self::OperationInProgress,
        Self::UnknownApplication,
        Self::UnknownOperation,
        Self::UnknownInstance,
        Self::UnknownVersion,
        Self::UnknownEdgeNode,
        Self::InstanceInTheWay,
        Self::NotCancelable,
        Self::EdgeNodeInTheWay,
        Self::NothingToMove,
        Self::ApplicationExists,
        Self::ClientTokenReused,
        Self::EngineUnavailable,
        Self::ContainerNotRunning,
        Self::CommandNotFound,
        Self::TooManyCommands,
        Self::RestoreUnconfirmed,
        Self::ClockRuns,
        Self::NotSupported,
    ];

    /// As it stands in the body.
    pub fn as_text(self) -> String {
        format!("{self:?}")
    }

    /// When it is given, and what to do.
    pub fn guide(self) -> Guide {
        let (when, remedy) = match self {
            Self::CapacityShortage => (
                "What is asked for does not fit. Nothing was accepted.",
                "Take what `Detail` says would fit, or send `AllowPartial=true`.",
            ),
            Self::NotEnoughInstances => {
                ("A Del asks for more instances than there are.", "Ask for those there are.")
            }
            Self::StaleRevision => (
                "The application has changed since the revision in `IfRevision`.",
                "Read it again, decide again, and send the new revision.",
            ),
            Self::PlanChanged => (
                "The plan in `IfPlan` is not what would happen now; the member `Plan` holds the new one.",
                "Look at the new plan and send its `PlanId`.",
            ),
            Self::OperationInProgress => (
                "Another operation of the application runs; `Detail` says which, and until when.",
                "Wait for it (`ensemble watch`), then try again.",
            ),
            Self::UnknownApplication => (
                "There is no such application in this account.",
                "`ensemble app list` shows those there are.",
            ),
            Self::UnknownOperation => (
                "There is no such operation in this account, or it was forgotten.",
                "`ensemble operation list` shows those there are.",
            ),
            Self::UnknownInstance => (
                "There is no such instance in this account, or it was forgotten.",
                "`ensemble instances APP` shows those there are.",
            ),
            Self::UnknownVersion => (
                "The application has no version of this name.",
                "`ensemble app show APP` shows its versions.",
            ),
            Self::UnknownEdgeNode => {
                ("No edge node has this id.", "`ensemble fleet list` shows those there are.")
            }
            Self::InstanceInTheWay | Self::NotCancelable | Self::EdgeNodeInTheWay | Self::NothingToMove => {
                self.guide_to_what_is_in_the_way()
            }
            Self::ApplicationExists => (
                "The name is taken in its cluster.",
                "Choose another, or delete the application that has it.",
            ),
            Self::ClientTokenReused => (
                "The token was used before, with other parameters.",
                "Take a new token for each write that is meant.",
            ),
            Self::EngineUnavailable
            | Self::ContainerNotRunning
            | Self::CommandNotFound
            | Self::TooManyCommands => self.guide_to_containers(),
            Self::RestoreUnconfirmed => (
                "The server was restored from a backup and only observes until its operator confirms. Nothing was \
                 accepted.",
                "`ensemble restore --status` shows what would happen, `ensemble restore --confirm` lets it.",
            ),
            Self::ClockRuns => (
                "The time of this server passes by itself, and nobody steps it.",
                "Start an emulator whose time is stepped: `ensemble serve --engine simulated --ephemeral --clock manual`.",
            ),
            Self::NotSupported => {
                ("Documented or well known, and not built here.", "Leave it out; `Detail` names it.")
            }
        };
        Guide { when, remedy }
    }

    /// Of those that tell of engines, and of containers and what is to run in them.
    fn guide_to_containers(self) -> (&'static str, &'static str) {
        match self {
            Self::EngineUnavailable => (
                "The engine that runs the containers does not answer.",
                "Try again; `ensemble fleet show NODE` and the server's log say more.",
            ),
            Self::ContainerNotRunning => (
                "The container does not run, so that nothing can be run in it.",
                "`ensemble instances APP` shows how it is, `ensemble logs` what it said last.",
            ),
            Self::CommandNotFound => (
                "The container's image has no such program, or it cannot be executed.",
                "Name one that is there, by its path; an image need not have a shell.",
            ),
            _ => (
                "As many commands run in containers as `limits.commands` lets run at once.",
                "End one, or raise the limit.",
            ),
        }
    }

    /// Of those that tell how something stands, which is not as the call needs it.
    fn guide_to_what_is_in_the_way(self) -> (&'static str, &'static str) {
        match self {
            Self::InstanceInTheWay => (
                "The instance is managed, hosted or on its way out, and cannot take part in this.",
                "Do what `Detail` says comes first.",
            ),
            Self::NotCancelable => (
                "The operation is over, is being undone, or deletes its application.",
                "`ensemble operation show ID` shows how it stands.",
            ),
            Self::EdgeNodeInTheWay => (
                "The edge node does not stand as the call needs it: it can be reached, or does not drain.",
                "`ensemble fleet show NODE` shows how it stands.",
            ),
            Self::NothingToMove => (
                "A rebalancing would move nothing.",
                "Nothing needs to be done; `ensemble rebalance APP --plan` says what stays, and why.",
            ),
            _ => ("Something stands in the way.", "`Detail` says what."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many variants the enum of this name has in the source.
    fn variants(name: &str) -> usize {
        let source = include_str!("../error.rs");
        let body = source.split(&format!("pub enum {name} {{")).nth(1).expect("the enum is there");
        let body = body.split("\n}").next().expect("an enum ends");
        body.lines().filter(|line| line.trim_start().starts_with(char::is_uppercase)).count()
    }

    #[test]
    fn every_code_and_every_reason_is_told() {
        assert_eq!(Code::all().len(), variants("Code"));
        assert_eq!(Reason::ALL.len(), variants("Reason"));
    }

    #[test]
    fn guides_are_sentences() {
        let codes = Code::all().into_iter().map(|code| code.guide());
        for guide in codes.chain(Reason::ALL.iter().map(|reason| reason.guide())) {
            for text in [guide.when, guide.remedy] {
                assert!(text.ends_with('.') || text.ends_with('…'), "{text}");
                assert!(text.starts_with(|first: char| first.is_uppercase() || first == '`'), "{text}");
            }
        }
    }
}

//! What goes wrong, in the four parts a person needs: what, cause, next, and the exit code a script needs.
//! Exit codes are documented in `ensemble --help` and cli.md §2. Prints nothing itself.

use serde_json::{Value, json};
use std::fmt;

/// Why `ensemble` ends, as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Failed,
    Usage,
    Refused,
    Credentials,
    DoesNotFit,
    StillRunning,
    Unreachable,
    Interrupted,
    /// What a command in a container ended with.
    Of(u8),
}

impl Exit {
    /// In the order of their numbers.
    pub(crate) const ALL: [Self; 9] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Refused,
        Self::Credentials,
        Self::DoesNotFit,
        Self::StillRunning,
        Self::Unreachable,
        Self::Interrupted,
    ];

    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Credentials => 4,
            Self::DoesNotFit => 5,
            Self::StillRunning => 6,
            Self::Unreachable => 7,
            Self::Interrupted => 130,
            Self::Of(code) => code,
        }
    }

    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "the operation failed, or another error",
            Self::Usage => "usage",
            Self::Refused => "refused by the server (its code on stderr)",
            Self::Credentials => "credentials or permission",
            Self::DoesNotFit => "does not fit",
            Self::StillRunning => "still running when --wait-timeout ended",
            Self::Unreachable => "server not reachable",
            Self::Interrupted => "interrupted (the operation goes on)",
            Self::Of(_) => "the code of the command in the container",
        }
    }
}

/// An error as the command line shows it: `error: …`, causes indented, and `hint: …`.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    /// The server's code, where it refused.
    pub(crate) code: Option<Box<str>>,
    pub(crate) causes: Vec<String>,
    pub(crate) hint: Option<String>,
    /// Boxed: a failure travels in every `Result`, and should be small.
    pub(crate) request_id: Option<Box<str>>,
    /// The body of the server's refusal.
    pub(crate) refusal: Option<Box<Value>>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            code: None,
            causes: Vec::new(),
            hint: None,
            request_id: None,
            refusal: None,
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What a program may branch on in a refusal: `PlanChanged`, `CapacityShortage`, …
    pub(crate) fn reason(&self) -> Option<&str> {
        self.refusal.as_ref()?["Reason"].as_str()
    }

    /// A failure for whatever an error of the standard kind says, with its chain of causes.
    pub(crate) fn from_error(message: impl Into<String>, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut failure = Self::new(Exit::Failed, message);
        let mut next = Some(error);
        while let Some(error) = next {
            failure.causes.push(error.to_string());
            next = error.source();
        }
        failure
    }

    /// The one JSON object that `-o json` prints for an error.
    pub(crate) fn to_json(&self) -> Value {
        json!({"error": {
            "code": self.code,
            "message": self.message,
            "detail": if self.causes.is_empty() { Value::Null } else { Value::String(self.causes.join(": ")) },
            "hint": self.hint,
            "requestId": self.request_id,
            "exit": self.exit.number(),
        }})
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "error: {}", self.message)?;
        for cause in &self.causes {
            write!(formatter, "\n  cause: {cause}")?;
        }
        match (&self.code, &self.request_id) {
            (Some(code), Some(id)) => write!(formatter, "\n  code: {code}, request {id}")?,
            (Some(code), None) => write!(formatter, "\n  code: {code}")?,
            (None, Some(id)) => write!(formatter, "\n  request: {id}")?,
            (None, None) => {}
        }
        if let Some(hint) = &self.hint {
            write!(formatter, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_why_and_what_next() {
        let failure =
            Failure::new(Exit::DoesNotFit, "4 instances do not fit").cause("3 free of 12").hint("--partial");

        assert_eq!(
            failure.to_string(),
            "error: 4 instances do not fit\n  cause: 3 free of 12\nhint: --partial"
        );
        assert_eq!(failure.to_json()["error"]["exit"], 5);
        assert_eq!(failure.to_json()["error"]["detail"], "3 free of 12");
    }
}

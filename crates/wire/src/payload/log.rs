//! Lines of DescribeInstanceLogs; with `Follow` each is one server-sent event (`decisions.md` §5).

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Line {
    /// RFC 3339, UTC, with nanoseconds: `2021-12-28T16:00:00.123456789Z`.
    pub at: String,
    /// `stdout`, `stderr`, or `ensemble` for what we say about the container.
    pub stream: String,
    /// Without the end of line; what is not UTF-8 is replaced.
    pub text: String,
}

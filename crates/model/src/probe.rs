//! How a container is asked whether it may be sent work. Data only: who asks, and how answers are counted, is the
//! supervision's.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    pub question: Question,
    /// From the start of the container to the first question.
    pub initial_delay_s: u32,
    pub period_s: u32,
    /// An answer that takes longer is none.
    pub timeout_s: u32,
    /// So many good answers in a row make it ready.
    pub success_threshold: u32,
    /// So many bad ones in a row make it not ready again.
    pub failure_threshold: u32,
}

/// At the address of the pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Good is a status from 200 to 399.
    Http { port: u16, path: String },
    /// Good is a connection.
    Tcp { port: u16 },
}

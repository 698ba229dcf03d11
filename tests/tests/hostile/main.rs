//! Hostile input over real sockets: tables of requests that are wrong in one way each, and what is answered to them.
//! Every table has a server of its own; `stage` says what must hold for each answer and for the server afterwards.
//! What bad requests cost is `cost`'s to measure, floods and slow clients have files of their own.

#![expect(clippy::unwrap_used, reason = "the words that tables share are tests as well")]

mod cost;
mod encoding;
mod flood;
mod form;
mod framing;
mod json;
mod replay;
mod signature;
mod slow;
mod stage;
mod xml;

//! What client and server agree on: the action catalog, request and response types, error codes, both
//! signature versions, selector and template, JSON and XML.
//! Must not do I/O, read a clock or hold a rule of the domain; `model` decides, `server` converts.

pub mod action;
pub mod catalog;
pub mod entry;
pub mod error;
pub mod format;
pub mod parameters;
pub mod payload;
pub mod selector;
pub mod signature;
pub mod template;
pub mod time;

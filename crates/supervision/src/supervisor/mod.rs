//! What an engine does with its containers, step by step, and what it remembers of them. No step decides anything:
//! `reconcile` does.

pub mod keep;
pub mod memory;
pub mod start;
pub mod steps;

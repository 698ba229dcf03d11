//! What the state looks like from outside: from the model's types to the payloads of `ensemble_wire`, in one place.
//! Must not change or decide anything, and sees one account at a time.

pub(crate) mod event;
pub(crate) mod operation;

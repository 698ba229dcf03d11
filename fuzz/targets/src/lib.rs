//! What must hold for any bytes that a stranger sends: one file per door, each a function of the bytes that panics
//! where it does not hold. `fuzz/fuzz_targets` calls them under cargo-fuzz, `tests/corpus.rs` with every input that was
//! worth keeping. Must not print, keep state between inputs, or leave a file behind.

pub mod fleet_file;
pub mod image_archive;
pub mod image_document;
pub mod image_layer;
pub mod image_reference;
pub mod image_user;
pub mod log_record;
pub mod log_recovery;
pub mod parameters;
mod refusal;
mod sealed;
pub mod selector;
pub mod signature;
pub mod signing;
mod tarball;
pub mod template;
mod tree;

/// One door, and what must hold behind it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As its files are called in `fuzz_targets` and `corpus`.
    pub name: &'static str,
    pub check: fn(&[u8]),
    pub needs: Needs,
}

/// What a target cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    /// It makes devices and gives files away.
    Root,
}

/// Every target there is.
pub static TARGETS: &[Target] = &[
    Target { name: "fleet_file", check: fleet_file::check, needs: Needs::Nothing },
    Target { name: "image_archive", check: image_archive::check, needs: Needs::Root },
    Target { name: "image_document", check: image_document::check, needs: Needs::Nothing },
    Target { name: "image_layer", check: image_layer::check, needs: Needs::Root },
    Target { name: "image_reference", check: image_reference::check, needs: Needs::Nothing },
    Target { name: "image_user", check: image_user::check, needs: Needs::Nothing },
    Target { name: "log_record", check: log_record::check, needs: Needs::Nothing },
    Target { name: "log_recovery", check: log_recovery::check, needs: Needs::Nothing },
    Target { name: "parameters", check: parameters::check, needs: Needs::Nothing },
    Target { name: "selector", check: selector::check, needs: Needs::Nothing },
    Target { name: "signature", check: signature::check, needs: Needs::Nothing },
    Target { name: "signing", check: signing::check, needs: Needs::Nothing },
    Target { name: "template", check: template::check, needs: Needs::Nothing },
];

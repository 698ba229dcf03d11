//! What the scenario tests share: a data directory, a server on it, signed calls, and what really runs on the
//! machine, seen without asking the server. Only the binary and its API are used, nothing of its insides.

pub mod chaos;
pub mod client;
pub mod costly;
pub mod cutter;
pub mod forge;
pub mod image;
pub mod machine;
pub mod proxy;
pub mod raw;
pub mod registry;
pub mod server;
pub mod site;

/// Whether containers can run here. Where not, says so in the form that `scripts/test` counts, and the test
/// returns: `if !containers_can_run() { return; }`.
pub fn containers_can_run() -> bool {
    let is_root = machine::effective_user_id() == 0;
    if !is_root {
        let thread = std::thread::current();
        println!("SKIPPED {}: containers need root", thread.name().unwrap_or("container_test"));
    }
    is_root
}

//! The story of `make story` on real containers, as it is told.

use ensemble_tests::containers_can_run;
use ensemble_tests::server::{binary, image};
use std::path::Path;
use std::process::Command;

#[test]
fn a_bad_night_goes_as_it_is_told_and_leaves_nothing() {
    if !containers_can_run() {
        return;
    }
    assert!(image().exists(), "`make image` comes before the tests");
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();

    let told = Command::new(top.join("examples/bad-night"))
        .env("PROGRAM", binary())
        .output()
        .expect("bash is there");

    let said = String::from_utf8_lossy(&told.stdout);
    assert!(told.status.success(), "{said}\n{}", String::from_utf8_lossy(&told.stderr));
    for sentence in [
        "held: unreachable since",
        "placements changed since it was made",
        "move success: 1 of 1 instance moved",
        "The night went as told, and nothing of it is left.",
    ] {
        assert!(said.contains(sentence), "{sentence}: {said}");
    }
}

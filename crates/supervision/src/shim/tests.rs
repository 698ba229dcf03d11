//! In which order a supervisor writes, over a kernel in memory.

use super::{Enclosure, Ended, Error, Shim, Tried};
use crate::directory::Directory;
use crate::kernel::Kernel;
use crate::kernel::scratch::Scratch;
use crate::record::{self, End, Exit};
use std::io;

/// Nothing beside files.
struct Bare;

impl Enclosure for Bare {
    fn remove_group(&self) -> io::Result<()> {
        Ok(())
    }

    fn unmount_root(&self) -> io::Result<()> {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

fn ended() -> Ended {
    Ended { end: End::Exited { code: 3 }, up_ms: 7 }
}

#[test]
fn a_supervisor_says_how_it_ended_before_it_cleans_up_and_lets_go_last() {
    let (kernel, directory) = (Scratch::default(), Directory::new("/c"));
    kernel.processes.borrow_mut().insert(17, 4_242);

    let shim = Shim::begin(&kernel, &directory, 1).unwrap();
    shim.made(17).unwrap();
    let tried = shim.write(&mut shim.last_word(ended()), &Bare);
    shim.clean_up(&Bare);
    shim.let_go();

    assert_eq!(tried, Tried::Written);
    assert_eq!(
        kernel.deeds(),
        [
            "lock /c/lock",
            "write /c/lock",
            "write /c/running.json.new",
            "rename /c/running.json.new to /c/running.json",
            "write /c/exit.json.new",
            "rename /c/exit.json.new to /c/exit.json",
            "remove all of /c/work",
            "unlock /c/lock",
        ]
    );
}

#[test]
fn an_attempt_that_was_given_up_is_not_begun() {
    let (kernel, directory) = (Scratch::default(), Directory::new("/c"));
    let first = Shim::begin(&kernel, &directory, 1).unwrap();
    assert!(matches!(Shim::begin(&kernel, &directory, 1), Err(Error::Locked)));
    first.write(&mut first.last_word(ended()), &Bare);
    first.let_go();

    let late = Shim::begin(&kernel, &directory, 1);
    let next = Shim::begin(&kernel, &directory, 2);

    assert!(matches!(late, Err(Error::GivenUp)));
    assert!(next.is_ok());
}

#[test]
fn a_record_that_finds_no_room_is_tried_again_a_bounded_number_of_times() {
    let (kernel, directory) = (Scratch::default(), Directory::new("/c"));
    let shim = Shim::begin(&kernel, &directory, 1).unwrap();
    let mut word = shim.last_word(ended());
    kernel.is_full.set(true);

    let tries = std::iter::from_fn(|| match shim.write(&mut word, &Bare) {
        Tried::Again(pause) => Some(pause),
        Tried::Written | Tried::GivenUp => None,
    });
    assert_eq!(tries.count(), 9);
    kernel.is_full.set(false);
    let mut word = shim.last_word(ended());

    assert_eq!(shim.write(&mut word, &Bare), Tried::Written);
    let exit = record::read::<Exit>(&kernel, &directory.exit()).unwrap().unwrap();
    assert_eq!((exit.attempt, exit.code(), exit.at_boot_ms), (1, 3, kernel.clocks().boot_ms));
}

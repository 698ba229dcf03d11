//! What befalls the steps of a machine: which call of a step fails, in which one its process dies, and what is done twice.
//! A simulation draws it; a test may say it instead. Decides nothing else.

use super::ground::Mishap;
use super::supervisor_process::Beat;
use crate::dice::Dice;
use crate::faults::{Fault, Faults};
use ensemble_supervision::reconcile::state::{Action, Subject};

/// A stretch of calls that one process makes in one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed<'a> {
    /// An engine's process opens the directory.
    Open,
    /// The engine's loop decides, and looks around when it is time.
    Decide,
    /// The loop hears that something is done or has ended, and looks at it again.
    Hear,
    /// A step that the loop wanted.
    Step(&'a Action),
    /// A supervisor does what is next.
    Beat(Beat),
    /// A supervisor's program has ended.
    ProgramEnded,
}

pub(crate) trait Fate {
    /// Asked before every deed.
    fn befalls(&mut self, deed: Deed<'_>, dice: &mut Dice, faults: &mut Faults) -> Mishap;
}

/// As the faults of the run have it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drawn;

impl Fate for Drawn {
    fn befalls(&mut self, deed: Deed<'_>, dice: &mut Dice, faults: &mut Faults) -> Mishap {
        let mut mishap = Mishap::default();
        match deed {
            Deed::Open => {
                let strikes = faults.is_on(Fault::StartFails) && dice.happens(50);
                mishap.fails_in = strikes.then(|| dice.below(30));
            }
            Deed::Step(action) => {
                let strikes = match action.subject() {
                    Subject::Container(_) => faults.strikes(Fault::StartFails, 15, dice),
                    // Netlink is the most fickle of them.
                    Subject::Pod(_) => faults.is_on(Fault::StartFails) && dice.happens(40),
                    Subject::Instance(_) | Subject::Stray(_) | Subject::Image(_) | Subject::Resolution(_) => {
                        faults.is_on(Fault::StartFails) && dice.happens(10)
                    }
                };
                let calls = if matches!(action.subject(), Subject::Pod(_)) { 8 } else { 16 };
                mishap.fails_in = strikes.then(|| dice.below(calls));
                let is_start = matches!(action, Action::Start { .. });
                mishap.is_repeated = !is_start && !faults.is_calm() && dice.happens(50);
            }
            Deed::Beat(Beat::Begin | Beat::Create | Beat::Kill | Beat::Write | Beat::CleanUp)
            | Deed::ProgramEnded => {
                let strikes = faults.strikes(Fault::ShimKilled, 5, dice);
                mishap.dies_in = strikes.then(|| dice.below(8));
            }
            Deed::Decide | Deed::Hear => {}
        }
        mishap
    }
}

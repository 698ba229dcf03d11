//! The link between control loop and engines: late, lost, doubled, out of order, cut in one direction. A sender learns that
//! its message was lost, as one does whose call failed; whether it arrived all the same it does not learn.

use crate::agenda::Moment;
use crate::dice::Dice;
use crate::faults::{Fault, Faults};

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToHost,
    ToServer,
}

/// What becomes of one message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    /// When copies of it arrive; none when it is lost.
    pub(crate) arrivals: Vec<Moment>,
    /// The sender takes it for lost.
    pub(crate) fails: bool,
}

pub(crate) struct Link {
    dice: Dice,
    /// For each host and way: when the last message arrives, so that the next does not overtake it.
    last: Vec<[Moment; 2]>,
    cut_until: Vec<[Moment; 2]>,
}

impl Link {
    pub(crate) fn new(hosts: usize, seed: u64) -> Self {
        Self {
            dice: Dice::stream(seed, "link"),
            last: vec![[Moment::default(); 2]; hosts],
            cut_until: vec![[Moment::default(); 2]; hosts],
        }
    }

    /// Nothing gets through in this direction until then.
    pub(crate) fn cut(&mut self, host: usize, way: Way, until: Moment) {
        self.cut_until[host][way as usize] = until;
    }

    pub(crate) fn mend(&mut self) {
        self.cut_until.fill([Moment::default(); 2]);
    }

    pub(crate) fn send(&mut self, host: usize, way: Way, now: Moment, faults: &mut Faults) -> Fate {
        let way = way as usize;
        if now < self.cut_until[host][way] {
            return Fate { arrivals: Vec::new(), fails: true };
        }
        if faults.strikes(Fault::LinkLoss, 15, &mut self.dice) {
            // The message was lost, or only the word that it arrived.
            let arrivals =
                if self.dice.happens(500) { vec![self.arrival(host, way, now, faults)] } else { Vec::new() };
            return Fate { arrivals, fails: true };
        }
        let mut arrivals = vec![self.arrival(host, way, now, faults)];
        if faults.strikes(Fault::LinkDuplication, 15, &mut self.dice) {
            arrivals.push(arrivals[0].plus_ms(self.dice.ms(0, 5_000)));
        }
        Fate { arrivals, fails: false }
    }

    fn arrival(&mut self, host: usize, way: usize, now: Moment, faults: &mut Faults) -> Moment {
        let mut at = now.plus_ms(self.dice.ms(0, 3));
        if faults.strikes(Fault::LinkDelay, 30, &mut self.dice) {
            at = now.plus_ms(self.dice.ms(100, 20_000));
        }
        let last = &mut self.last[host][way];
        if at < *last {
            if faults.strikes(Fault::LinkReordering, 200, &mut self.dice) {
                return at;
            }
            at = *last;
        }
        *last = at;
        at
    }
}

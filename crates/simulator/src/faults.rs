//! The classes of faults: their names, which of them a seed switches on and how often each comes, and how often each
//! came. What a fault does is in the part of the world that it befalls.

use crate::dice::Dice;
use std::collections::BTreeMap;
use std::fmt;

macro_rules! classes {
    ($($group:ident $group_name:literal { $($fault:ident $name:literal),+ $(,)? })+) => {
        /// A class of faults, switched on and counted as one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $($($fault,)+)+ }

        /// What classes have in common: the part of the world that they befall.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Group { $($group,)+ }

        impl Fault {
            /// In the order of their declaration.
            pub const ALL: &'static [Self] = &[$($(Self::$fault,)+)+];

            pub fn name(self) -> &'static str {
                match self { $($(Self::$fault => $name,)+)+ }
            }

            pub fn group(self) -> Group {
                match self { $($(Self::$fault => Group::$group,)+)+ }
            }
        }

        impl Group {
            pub const ALL: &'static [Self] = &[$(Self::$group,)+];

            pub fn name(self) -> &'static str {
                match self { $(Self::$group => $group_name,)+ }
            }
        }
    };
}

classes! {
    Engine "engine" {
        StartFails "start-fails",
        StartHangs "start-hangs",
        ImageMissing "image-missing",
        CrashLoop "crash-loop",
        ExitsWhileStopping "exits-while-stopping",
        OrphanFound "orphan-found",
        DoubleReport "double-report",
        StaleReport "stale-report",
        OlderAfterNewer "older-after-newer",
        UnknownReported "unknown-reported",
        ShimKilled "shim-killed",
        RecordHalfWritten "record-half-written",
        PidReused "pid-reused",
        AddressTaken "address-taken",
        BootIdChanged "boot-id-changed",
    }
    Node "node" {
        NodeLost "node-lost",
        NodeFlapping "node-flapping",
        NodeRebooted "node-rebooted",
        NodeFull "node-full",
        CapacityShrunk "capacity-shrunk",
        NodeLostPastDeadline "node-lost-past-deadline",
    }
    Link "link" {
        LinkDelay "link-delay",
        LinkLoss "link-loss",
        LinkDuplication "link-duplication",
        LinkReordering "link-reordering",
        LinkOneWay "link-one-way",
    }
    Process "process" {
        KilledBeforeAppend "killed-before-append",
        KilledInAppend "killed-in-append",
        KilledAfterAppend "killed-after-append",
        KilledInSnapshot "killed-in-snapshot",
        KilledInRecovery "killed-in-recovery",
        KilledTwice "killed-twice",
        SecondServer "second-server",
    }
    Disk "disk" {
        PowerCut "power-cut",
        FailedSync "failed-sync",
        DiskFull "disk-full",
        BitFlip "bit-flip",
        TailCut "tail-cut",
    }
    Clock "clock" {
        ClockForward "clock-forward",
        ClockBackward "clock-backward",
        ClockStill "clock-still",
        Outage "outage",
    }
    Clients "clients" {
        RetryUnknown "retry-unknown",
        DuplicateRequest "duplicate-request",
        OutOfOrderDelete "out-of-order-delete",
        ImpossibleSelector "impossible-selector",
        Flood "flood",
    }
}

/// What the person who runs it wants: `none`, `all`, or names of classes and groups joined by commas. Without a choice each
/// seed draws its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    #[default]
    Drawn,
    These(Vec<Fault>),
}

/// A name that is no class and no group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no fault class `{name}`; known: none, all, {}", known().join(", "))]
pub struct UnknownFault {
    pub name: String,
}

fn known() -> Vec<&'static str> {
    let groups = Group::ALL.iter().map(|group| group.name());
    groups.chain(Fault::ALL.iter().map(|fault| fault.name())).collect()
}

impl std::str::FromStr for Choice {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let mut chosen = Vec::new();
        for name in text.split(',').map(str::trim) {
            match name {
                "none" => {}
                "all" => chosen.extend(Fault::ALL),
                name => {
                    let named = |fault: &&Fault| fault.name() == name || fault.group().name() == name;
                    let before = chosen.len();
                    chosen.extend(Fault::ALL.iter().filter(named));
                    if chosen.len() == before {
                        return Err(UnknownFault { name: name.to_owned() });
                    }
                }
            }
        }
        chosen.sort_unstable();
        chosen.dedup();
        Ok(Self::These(chosen))
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drawn => formatter.write_str("drawn"),
            Self::These(these) if these.is_empty() => formatter.write_str("none"),
            Self::These(these) => {
                let names: Vec<&str> = these.iter().map(|fault| fault.name()).collect();
                formatter.write_str(&names.join(","))
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Which classes a run has, how often each comes, and how often it came.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Of each class that is on: how often, from 1 (seldom) to 4 (all the time).
    on: BTreeMap<Fault, u64>,
    came: BTreeMap<Fault, u64>,
    calm: bool,
}

impl Faults {
    pub fn draw(choice: &Choice, dice: &mut Dice) -> Self {
        let mut on = BTreeMap::new();
        for fault in Fault::ALL {
            // Drawn for each class whatever was chosen, so that a choice changes nothing for the others.
            let (drawn, intensity) = (dice.happens(350), dice.between(1, 4));
            let is_on = match choice {
                Choice::Drawn => drawn,
                Choice::These(these) => these.contains(fault),
            };
            if is_on {
                on.insert(*fault, intensity);
            }
        }
        Self { on, came: BTreeMap::new(), calm: false }
    }

    /// 0 when it is off or faults have stopped, else from 1 (seldom) to 4.
    pub fn intensity(&self, fault: Fault) -> u64 {
        if self.calm { 0 } else { self.on.get(&fault).copied().unwrap_or(0) }
    }

    pub fn is_on(&self, fault: Fault) -> bool {
        self.intensity(fault) > 0
    }

    /// Whether it happens now: `per_mille` of cases at the lowest intensity.
    pub fn strikes(&mut self, fault: Fault, per_mille: u64, dice: &mut Dice) -> bool {
        let intensity = self.intensity(fault);
        let strikes = intensity > 0 && dice.happens(per_mille * intensity);
        if strikes {
            self.count(fault);
        }
        strikes
    }

    pub fn count(&mut self, fault: Fault) {
        *self.came.entry(fault).or_default() += 1;
    }

    pub fn came(&self) -> &BTreeMap<Fault, u64> {
        &self.came
    }

    pub fn switched_on(&self) -> impl Iterator<Item = Fault> + '_ {
        self.on.keys().copied()
    }

    /// Whether faults have stopped.
    pub fn is_calm(&self) -> bool {
        self.calm
    }

    /// From now on nothing happens any more.
    pub fn stop(&mut self) {
        self.calm = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_chosen_by_name_by_group_and_all_at_once() {
        let check = |text: &str, expected: &[Fault]| {
            assert_eq!(text.parse(), Ok(Choice::These(expected.to_vec())), "{text}");
        };
        check("none", &[]);
        check("all", Fault::ALL);
        check("power-cut, clock-still", &[Fault::PowerCut, Fault::ClockStill]);
        check(
            "clock,clock-still",
            &[Fault::ClockForward, Fault::ClockBackward, Fault::ClockStill, Fault::Outage],
        );
        assert!("rain".parse::<Choice>().unwrap_err().to_string().contains("power-cut"));
    }

    #[test]
    fn a_choice_changes_nothing_for_the_other_classes() {
        let draw = |choice: &Choice| Faults::draw(choice, &mut Dice::stream(5, "faults"));
        let (drawn, all) = (draw(&Choice::Drawn), draw(&"all".parse().unwrap()));

        for fault in drawn.switched_on() {
            assert_eq!(drawn.intensity(fault), all.intensity(fault));
        }
    }

    #[test]
    fn nothing_strikes_once_faults_have_stopped() {
        let mut dice = Dice::stream(5, "strikes");
        let mut faults = Faults::draw(&"all".parse().unwrap(), &mut dice);
        assert!(faults.strikes(Fault::PowerCut, 1_000, &mut dice));

        faults.stop();

        assert!(!faults.strikes(Fault::PowerCut, 1_000, &mut dice));
        assert_eq!(faults.came().get(&Fault::PowerCut), Some(&1));
    }
}

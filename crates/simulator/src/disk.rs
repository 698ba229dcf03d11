//! The store of one data directory, as its disk has it: records, snapshots, the leader's epoch, the high-water mark.
//! Keeps the promises of `LogStore` (one sequence once, an older epoch is refused, a snapshot drops what the one before it
//! covers) and breaks what disks break. Knows bytes and numbers, never what they mean.

use crate::dice::Dice;
use ensemble_model::wanted::Epoch;
use std::collections::BTreeMap;

/// Why something is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Fenced,
    Taken,
    Full,
    /// The sync failed: whether it is kept nobody can say.
    Unsynced,
}

impl Refused {
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::Fenced => "another server writes this log",
            Self::Taken => "the log holds this sequence already",
            Self::Full => "no space left on device",
            Self::Unsynced => "the disk did not sync",
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Disk {
    leader: u64,
    records: BTreeMap<u64, Vec<u8>>,
    snapshots: BTreeMap<u64, Vec<u8>>,
    /// As the file says, and what of it a power cut leaves.
    mark: u64,
    durable_mark: u64,
    full: bool,
    damage: Option<Damage>,
}

/// What was broken on purpose, so that whoever looks after the machine can put it right again.
#[derive(Debug)]
struct Damage {
    records: BTreeMap<u64, Vec<u8>>,
    snapshots: BTreeMap<u64, Vec<u8>>,
}

/// What a start reads.
pub(crate) struct Kept<'a> {
    pub(crate) snapshot: Option<&'a [u8]>,
    pub(crate) records: Vec<&'a [u8]>,
    pub(crate) mark: u64,
}

impl Disk {
    pub(crate) fn fence(&mut self) -> Epoch {
        self.leader += 1;
        Epoch(self.leader)
    }

    /// Whether an append under `epoch` is still let in.
    pub(crate) fn leads(&self, epoch: Epoch) -> bool {
        self.leader == epoch.0
    }

    /// Keeps a record: on `Ok` it survives a power cut.
    pub(crate) fn append(&mut self, epoch: Epoch, sequence: u64, record: &[u8]) -> Result<(), Refused> {
        self.check(epoch)?;
        if self.records.contains_key(&sequence) {
            return Err(Refused::Taken);
        }
        self.records.insert(sequence, record.to_vec());
        Ok(())
    }

    pub(crate) fn put_snapshot(
        &mut self,
        epoch: Epoch,
        sequence: u64,
        bytes: Vec<u8>,
    ) -> Result<(), Refused> {
        self.check(epoch)?;
        self.snapshots.insert(sequence, bytes);
        while self.snapshots.len() > 2 {
            self.snapshots.pop_first();
        }
        if self.snapshots.len() == 2
            && let Some((oldest, _)) = self.snapshots.first_key_value()
        {
            self.records = self.records.split_off(&(oldest + 1));
        }
        Ok(())
    }

    fn check(&self, epoch: Epoch) -> Result<(), Refused> {
        match (self.leads(epoch), self.full) {
            (false, _) => Err(Refused::Fenced),
            (true, true) => Err(Refused::Full),
            (true, false) => Ok(()),
        }
    }

    /// Not synced, as the real mark is not.
    pub(crate) fn raise_mark(&mut self, sequence: u64) {
        self.mark = sequence;
    }

    /// What is not synced is lost or kept, as it happens: of what the store promises only the mark is not.
    pub(crate) fn cut_power(&mut self, dice: &mut Dice) {
        // What looks like damage is found by the mark; losing both at once is beyond what is promised.
        if dice.happens(500) && !self.is_damaged() {
            self.mark = self.durable_mark;
        }
        self.durable_mark = self.mark;
    }

    pub(crate) fn fill(&mut self) {
        self.full = true;
    }

    pub(crate) fn free(&mut self) {
        self.full = false;
    }

    /// The newest snapshot and the records after it, as the server reads them.
    pub(crate) fn kept(&self) -> Kept<'_> {
        let snapshot = self.snapshots.last_key_value();
        let after = snapshot.map_or(0, |(sequence, _)| *sequence);
        Kept {
            snapshot: snapshot.map(|(_, bytes)| bytes.as_slice()),
            records: self.records.range(after + 1..).map(|(_, bytes)| bytes.as_slice()).collect(),
            mark: self.mark,
        }
    }

    /// Every record, where the first of all is still there.
    pub(crate) fn whole(&self) -> Option<Vec<&[u8]>> {
        let begins = self.records.first_key_value().is_some_and(|(sequence, _)| *sequence == 1);
        begins.then(|| self.records.values().map(Vec::as_slice).collect())
    }

    /// Flips one bit of what the next start reads. Says whether there was anything.
    pub(crate) fn flip_bit(&mut self, dice: &mut Dice) -> bool {
        let after = self.snapshots.last_key_value().map_or(0, |(sequence, _)| *sequence);
        let count = self.records.range(after + 1..).count();
        let whole = usize::from(!self.snapshots.is_empty());
        let Some(index) = dice.index(count + whole) else { return false };
        self.keep_for_repair();
        let bytes = match index < count {
            true => self.records.range_mut(after + 1..).nth(index).map(|(_, bytes)| bytes),
            false => self.snapshots.last_entry().map(std::collections::btree_map::OccupiedEntry::into_mut),
        };
        let Some(bytes) = bytes else { return false };
        let Some(at) = dice.index(bytes.len()) else { return false };
        bytes[at] ^= 1 << dice.below(8);
        true
    }

    /// Cuts the last record off the log, or bytes off it: what an older copy put back looks like. Says whether there was
    /// anything to cut that has to be noticed.
    pub(crate) fn cut_tail(&mut self, dice: &mut Dice) -> bool {
        let after = self.snapshots.last_key_value().map_or(0, |(sequence, _)| *sequence);
        let Some((&last, _)) = self.records.range(after + 1..).next_back() else { return false };
        if dice.happens(500) {
            self.keep_for_repair();
            // A record that is cut short is seen to be, also where the mark is as old as the copy.
            if dice.happens(500) {
                self.mark = self.mark.min(last - 1);
            }
            if let Some(record) = self.records.get_mut(&last) {
                let kept = dice.below((record.len() as u64).max(1)) as usize;
                record.truncate(kept);
            }
            return true;
        }
        if self.mark < last {
            return false;
        }
        self.keep_for_repair();
        self.records.remove(&last);
        true
    }

    /// Puts something else in the place of the last record. Says whether there was one of which `other` made anything.
    pub(crate) fn replace_last(&mut self, other: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> bool {
        let after = self.snapshots.last_key_value().map_or(0, |(sequence, _)| *sequence);
        let last = self.records.range(after + 1..).next_back();
        let Some((sequence, record)) = last.and_then(|(sequence, record)| Some((*sequence, other(record)?)))
        else {
            return false;
        };
        self.keep_for_repair();
        self.records.insert(sequence, record);
        true
    }

    fn keep_for_repair(&mut self) {
        if self.damage.is_none() {
            let (records, snapshots) = (self.records.clone(), self.snapshots.clone());
            self.damage = Some(Damage { records, snapshots });
        }
    }

    pub(crate) fn is_damaged(&self) -> bool {
        self.damage.is_some()
    }

    /// The operator puts back what was there before the damage.
    pub(crate) fn repair(&mut self) {
        if let Some(Damage { records, snapshots }) = self.damage.take() {
            self.records = records;
            self.snapshots = snapshots;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> (Disk, Epoch) {
        let mut disk = Disk::default();
        let epoch = disk.fence();
        for sequence in 1..=4 {
            disk.append(epoch, sequence, format!("record {sequence}").as_bytes()).unwrap();
        }
        (disk, epoch)
    }

    #[test]
    fn an_older_epoch_writes_nothing() {
        let (mut disk, old) = disk();
        let new = disk.fence();

        assert_eq!(disk.append(old, 5, b"late"), Err(Refused::Fenced));
        assert_eq!(disk.put_snapshot(old, 4, Vec::new()), Err(Refused::Fenced));
        assert_eq!(disk.append(new, 4, b"twice"), Err(Refused::Taken));
        assert_eq!(disk.append(new, 5, b"next"), Ok(()));
        assert_eq!(disk.kept().records.last(), Some(&&b"next"[..]));
    }

    #[test]
    fn two_snapshots_stay_and_records_go_with_the_older_one() {
        let (mut disk, epoch) = disk();
        for sequence in [1, 2, 3] {
            disk.put_snapshot(epoch, sequence, vec![0]).unwrap();
        }

        assert_eq!(disk.kept().records, [b"record 4"]);
        assert_eq!(disk.kept().snapshot, Some(&[0][..]));
    }

    #[test]
    fn damage_is_there_until_it_is_put_right() {
        let (mut disk, _) = disk();
        disk.raise_mark(4);
        let mut dice = Dice::stream(1, "damage");

        assert!(disk.flip_bit(&mut dice) && disk.is_damaged());
        assert_ne!(disk.kept().records.concat(), b"record 1record 2record 3record 4");
        disk.repair();
        assert_eq!(disk.kept().records.concat(), b"record 1record 2record 3record 4");
        assert!(disk.cut_tail(&mut dice));
        assert_ne!(disk.kept().records.concat(), b"record 1record 2record 3record 4");
    }

    #[test]
    fn another_record_in_the_place_of_the_last_is_damage_too() {
        let (mut disk, _) = disk();

        assert!(!disk.replace_last(|_| None) && !disk.is_damaged());
        assert!(disk.replace_last(|record| Some(record.to_ascii_uppercase())));

        assert!(disk.is_damaged() && disk.kept().records.ends_with(&[b"RECORD 4"]));
        disk.repair();
        assert!(disk.kept().records.ends_with(&[b"record 4"]));
    }

    #[test]
    fn a_power_cut_leaves_what_was_promised() {
        let (mut disk, _) = disk();
        disk.raise_mark(3);
        disk.cut_power(&mut Dice::stream(2, "power"));
        let mark = disk.kept().mark;
        disk.raise_mark(4);

        disk.cut_power(&mut Dice::stream(2, "power"));

        assert_eq!(disk.kept().records.len(), 4);
        assert!(disk.kept().mark >= mark);
    }
}

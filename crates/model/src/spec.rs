//! Instance specs: how much of an edge node an instance takes. The table is data (`data/instance-specs.csv`).

use crate::id::SpecName;
use serde::{Deserialize, Serialize};

/// vCPU and memory, of an instance or of an edge node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    pub vcpu: u32,
    pub memory_mib: u64,
}

impl Resources {
    /// Never more than there are numbers for: a log may say anything, and is read all the same.
    pub fn plus(self, other: Self) -> Self {
        Self {
            vcpu: self.vcpu.saturating_add(other.vcpu),
            memory_mib: self.memory_mib.saturating_add(other.memory_mib),
        }
    }

    /// What is left after `other` is taken, never below zero.
    pub fn minus(self, other: Self) -> Self {
        Self {
            vcpu: self.vcpu.saturating_sub(other.vcpu),
            memory_mib: self.memory_mib.saturating_sub(other.memory_mib),
        }
    }

    pub fn holds(self, other: Self) -> bool {
        self.vcpu >= other.vcpu && self.memory_mib >= other.memory_mib
    }
}

const TABLE: &str = include_str!("../data/instance-specs.csv");

/// What `spec` takes, or nothing for a spec that is not in the table.
pub fn resources(spec: &SpecName) -> Option<Resources> {
    rows().find(|(name, _)| *name == spec.as_str()).map(|(_, resources)| resources)
}

/// All known spec names, in the table's order.
pub fn names() -> impl Iterator<Item = &'static str> {
    rows().map(|(name, _)| name)
}

fn rows() -> impl Iterator<Item = (&'static str, Resources)> {
    TABLE.lines().skip(1).filter_map(|line| {
        let mut fields = line.split(',');
        let name = fields.next()?;
        let vcpu = fields.next()?.parse().ok()?;
        let memory_mib = fields.next()?.parse().ok()?;
        Some((name, Resources { vcpu, memory_mib }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_read() {
        assert_eq!(names().count(), TABLE.lines().count() - 1);
        assert_eq!(resources(&SpecName::new("ens.sn1.tiny")), Some(Resources { vcpu: 2, memory_mib: 4096 }));
        assert_eq!(resources(&SpecName::new("ens.sn1")), None);
    }
}

//! Faults that befall a machine by themselves, whatever anybody does on it: processes killed from outside, pids that go
//! to strangers, addresses that somebody takes, remains of an earlier life, images that are pruned.

use super::files::Reach;
use super::ground::{Ground, Identity};
use super::images::Images;
use super::processes::{ProcessKey, Role, State};
use crate::dice::Dice;
use crate::faults::Fault;
use ensemble_model::id::InstanceId;
use ensemble_supervision::kernel::ProcessIdentity;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

/// One kind of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    Shim,
    Pid,
    Address,
    Orphan,
    Image,
    Disk,
}

impl Strike {
    pub(crate) const ALL: [Self; 6] =
        [Self::Shim, Self::Pid, Self::Address, Self::Orphan, Self::Image, Self::Disk];

    pub(crate) fn fault(self) -> Fault {
        match self {
            Self::Shim => Fault::ShimKilled,
            Self::Pid => Fault::PidReused,
            Self::Address => Fault::AddressTaken,
            Self::Orphan => Fault::OrphanFound,
            Self::Image => Fault::ImageMissing,
            Self::Disk => Fault::DiskFull,
        }
    }

    /// How often it comes at the lowest intensity.
    pub(crate) fn mean_ms(self) -> i64 {
        match self {
            Self::Shim | Self::Pid => 1_200_000,
            Self::Address => 1_800_000,
            Self::Orphan => 3_600_000,
            Self::Image | Self::Disk => 7_200_000,
        }
    }
}

/// A supervisor is killed, its container lives on. Says whether there was one.
pub(crate) fn kill_shim(ground: &mut Ground, dice: &mut Dice) -> bool {
    let Some(shim) = some_process(ground, Role::Supervisor, dice) else { return false };
    ground.end(shim);
    true
}

/// A process of ours is killed, and its pid goes to a stranger as soon as it is free.
pub(crate) fn give_pid_to_stranger(ground: &mut Ground, dice: &mut Dice) -> bool {
    let role = if dice.happens(700) { Role::Supervisor } else { Role::Program };
    let Some(victim) = some_process(ground, role, dice) else { return false };
    ground.strangers_waiting += 1;
    ground.end(victim);
    true
}

fn some_process(ground: &Ground, role: Role, dice: &mut Dice) -> Option<ProcessKey> {
    let alive =
        ground.processes.iter().filter(|(_, process)| (process.role, process.state) == (role, State::Alive));
    let alive: Vec<ProcessKey> = alive.map(|(key, _)| key).collect();
    dice.pick(&alive).copied()
}

/// Somebody takes an address that no pod has, and that one may be given next.
pub(crate) fn take_address(ground: &mut Ground, dice: &mut Dice) -> Option<Ipv4Addr> {
    let highest = ground.net.addresses().max()?;
    let taken = Ipv4Addr::from(u32::from(highest).saturating_add(1 + dice.below(3) as u32));
    ground.net.foreign_addresses.insert(taken).then_some(taken)
}

/// Remains of an earlier life that no record names: a group with a living program, and often a directory with the living
/// supervisor of it.
pub(crate) fn leave_orphan(ground: &mut Ground, instances: &Path, name: &str, dice: &mut Dice) {
    let boot_ms = ground.boot_ms();
    ground.groups.make_instance(name);
    let program = ground.processes.spawn(Role::Program, None, boot_ms);
    // The group was made just now.
    let _ = ground.groups.enter(name, "web.0.main", program);
    let identity = Identity {
        instance: InstanceId::new(name),
        workload: "web".to_owned(),
        index: 0,
        container: "main".to_owned(),
        name: format!("pod-of-{name}"),
    };
    ground.run(program, identity);
    if dice.happens(600) {
        let supervisor = ground.processes.spawn(Role::Supervisor, None, boot_ms);
        // As every supervisor, it ends when its program has.
        ground.bound.insert(program, supervisor);
        // A disk without room holds no such remains.
        let _ = hold_directory(ground, &instances.join(name).join("pod").join("main"), supervisor);
    }
}

/// A supervisor that holds the lock of a directory, and is named in it.
fn hold_directory(ground: &mut Ground, directory: &Path, supervisor: ProcessKey) -> io::Result<()> {
    let process = ground.processes.get(supervisor).ok_or(io::ErrorKind::NotFound)?;
    let (pid, start_ticks, boot_id) = (process.pid, process.start_ticks, ground.processes.boot_id());
    let content = serde_json::to_vec(&ProcessIdentity { pid, start_ticks, boot_id })?;
    ground.files.make_directory(directory)?;
    match ground.files.take_lock(&directory.join("lock"), supervisor.holder())? {
        Some(lock) => ground.files.write_into(lock, &content, Reach::Cached),
        None => Ok(()),
    }
}

/// Somebody prunes the store.
pub(crate) fn prune(images: &mut Images, dice: &mut Dice) {
    images.lose(dice);
}

/// Somebody fills the disk but for a few bytes.
pub(crate) fn fill_disk(ground: &mut Ground, dice: &mut Dice) {
    let room = ground.files.used() + dice.below(2_000);
    ground.files.set_room(room);
}

//! The simulated machine in the place of the kernel: every call of the real supervision ends here. A call that is its
//! process's last may be done in part.

use super::files::Reach;
use super::ground::{Ground, Passage, dead};
use super::processes::ProcessKey;
use ensemble_model::spec::Resources;
use ensemble_supervision::kernel::{
    Clocks, Durability, Entry, EntryKind, Groups, Kernel, LockState, ProcessIdentity, Signal,
};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{ErrorKind, Result};
use std::path::Path;
use std::rc::Rc;

/// One machine, as whoever runs on it sees it. Clones are the same machine.
#[derive(Clone, Debug)]
pub(crate) struct SimulatedKernel(pub(super) Rc<RefCell<Ground>>);

/// A lock that is held.
#[derive(Debug)]
pub(crate) struct Lock(super::files::Inode);

impl SimulatedKernel {
    pub(super) fn change<T>(&self, deed: impl FnOnce(&mut Ground, Passage) -> Result<T>) -> Result<T> {
        let mut ground = self.0.borrow_mut();
        let passage = ground.pass()?;
        let done = deed(&mut ground, passage);
        if passage == Passage::Part { Err(dead()) } else { done }
    }

    fn look<T>(&self, look: impl FnOnce(&Ground) -> Result<T>) -> Result<T> {
        let mut ground = self.0.borrow_mut();
        ground.pass()?;
        look(&ground)
    }
}

impl Kernel for SimulatedKernel {
    type Process = ProcessKey;
    type Lock = Lock;

    fn clocks(&self) -> Clocks {
        self.0.borrow().clocks()
    }

    fn boot_id(&self) -> Result<String> {
        self.look(|ground| Ok(ground.processes.boot_id()))
    }

    fn make_directory(&self, path: &Path) -> Result<()> {
        self.change(|ground, _| ground.files.make_directory(path))
    }

    fn list(&self, path: &Path) -> Result<Vec<Entry>> {
        self.look(|ground| {
            let kind = |is_directory| if is_directory { EntryKind::Directory } else { EntryKind::Other };
            let entries = ground.files.list(path)?;
            Ok(entries
                .map(|(name, is_directory)| Entry { name: name.into(), kind: kind(is_directory) })
                .collect())
        })
    }

    fn read(&self, path: &Path, at_most: u64) -> Result<Vec<u8>> {
        self.look(|ground| {
            let content = ground.files.read(path)?;
            let length = usize::try_from(at_most).unwrap_or(usize::MAX).min(content.len());
            Ok(content[..length].to_vec())
        })
    }

    fn write(&self, path: &Path, content: &[u8], durability: Durability) -> Result<()> {
        let reach = match durability {
            Durability::Synced => Reach::Synced,
            Durability::Unsynced => Reach::Cached,
        };
        self.0.borrow_mut().writes(path);
        self.change(|ground, passage| match passage {
            Passage::Whole => ground.files.write(path, content, reach),
            Passage::Part => {
                let part = ground.dice.below(content.len() as u64 + 1) as usize;
                ground.files.write(path, &content[..part], Reach::Cached)
            }
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.change(|ground, _| {
            ground.files.rename(from, to)?;
            ground.has_written(to);
            Ok(())
        })
    }

    fn sync_directory(&self, path: &Path) -> Result<()> {
        self.change(|ground, _| ground.files.sync_directory(path))
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.change(|ground, _| ground.files.remove_file(path))
    }

    fn remove_tree(&self, path: &Path) -> Result<()> {
        self.change(|ground, passage| {
            let at_most = match passage {
                Passage::Whole => usize::MAX,
                Passage::Part => ground.dice.below(8) as usize,
            };
            match ground.files.remove_tree(path, at_most) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                done => done,
            }
        })
    }

    fn probe_lock(&self, path: &Path) -> Result<LockState> {
        self.look(|ground| {
            let holder = ground.files.lock_holder(path)?;
            Ok(if holder.is_some() { LockState::Held } else { LockState::Free })
        })
    }

    fn take_lock(&self, path: &Path) -> Result<Option<Lock>> {
        self.change(|ground, _| {
            let holder = ground.caller()?.holder();
            Ok(ground.files.take_lock(path, holder)?.map(Lock))
        })
    }

    fn write_lock(&self, lock: &Lock, content: &[u8]) -> Result<()> {
        self.change(|ground, passage| {
            let part = match passage {
                Passage::Whole => content.len(),
                Passage::Part => ground.dice.below(content.len() as u64 + 1) as usize,
            };
            ground.files.write_into(lock.0, &content[..part], Reach::Cached)
        })
    }

    fn release_lock(&self, lock: Lock) {
        // Closing a file does not fail; and a dead process's locks are free anyway.
        let mut ground = self.0.borrow_mut();
        if let Ok(caller) = ground.caller() {
            ground.files.release_lock(lock.0, caller.holder());
        }
    }

    fn own_process(&self) -> Result<ProcessIdentity> {
        self.look(|ground| {
            let process = ground.processes.get(ground.caller()?).ok_or(ErrorKind::NotFound)?;
            let boot_id = ground.processes.boot_id();
            Ok(ProcessIdentity { pid: process.pid, start_ticks: process.start_ticks, boot_id })
        })
    }

    fn open_pid(&self, pid: i32) -> Result<Option<ProcessKey>> {
        self.look(|ground| Ok(ground.processes.with_pid(pid)))
    }

    fn start_ticks(&self, pid: i32) -> Result<Option<u64>> {
        self.look(|ground| {
            let process = ground.processes.with_pid(pid).and_then(|key| ground.processes.get(key));
            Ok(process.map(|process| process.start_ticks))
        })
    }

    fn signal(&self, process: &ProcessKey, signal: Signal) -> Result<()> {
        self.change(|ground, _| {
            ground.signal(*process, signal);
            Ok(())
        })
    }

    fn reap(&self, process: &ProcessKey) {
        // Nothing is told of it.
        let _ = self.change(|ground, _| {
            let caller = ground.caller()?;
            ground.reap(caller, *process);
            Ok(())
        });
    }
}

impl Groups for SimulatedKernel {
    fn instances(&self) -> Result<BTreeSet<String>> {
        self.look(|ground| Ok(ground.groups.instances().map(str::to_owned).collect()))
    }

    fn has_instance(&self, instance: &str) -> bool {
        self.0.borrow().groups.has_instance(instance)
    }

    fn make_instance(&self, instance: &str, _limits: Resources) -> Result<()> {
        self.change(|ground, _| {
            ground.groups.make_instance(instance);
            Ok(())
        })
    }

    fn remove_instance(&self, instance: &str) -> Result<()> {
        self.change(|ground, passage| {
            let members = ground.groups.members_of_instance(instance);
            end_all(ground, members, passage);
            if passage == Passage::Part { Ok(()) } else { ground.groups.remove_instance(instance) }
        })
    }

    fn kill_container(&self, instance: &str, container: &str) -> Result<()> {
        self.change(|ground, passage| {
            let members = ground.groups.members(instance, container);
            end_all(ground, members, passage);
            Ok(())
        })
    }

    fn remove_container(&self, instance: &str, container: &str) -> Result<()> {
        self.change(|ground, passage| {
            let members = ground.groups.members(instance, container);
            end_all(ground, members, passage);
            if passage == Passage::Part {
                Ok(())
            } else {
                ground.groups.remove_container(instance, container)
            }
        })
    }
}

/// All of them, or some when the caller dies meanwhile.
fn end_all(ground: &mut Ground, members: Vec<ProcessKey>, passage: Passage) {
    let count = match passage {
        Passage::Whole => members.len(),
        Passage::Part => ground.dice.below(members.len() as u64 + 1) as usize,
    };
    for member in members.into_iter().take(count) {
        ground.end(member);
    }
}

#[cfg(test)]
mod tests {
    use super::super::ground::{Mishap, Step};
    use super::super::processes::Role;
    use super::*;
    use crate::dice::Dice;
    use ensemble_supervision::kernel::open_process;

    fn machine() -> SimulatedKernel {
        let kernel = SimulatedKernel(Rc::new(RefCell::new(Ground::new(Dice::stream(1, "test")))));
        kernel.0.borrow_mut().files.make_directory(Path::new("/data")).unwrap();
        kernel
    }

    fn process(kernel: &SimulatedKernel, role: Role) -> ProcessKey {
        kernel.0.borrow_mut().processes.spawn(role, None, 0)
    }

    fn as_process<T>(
        kernel: &SimulatedKernel,
        process: ProcessKey,
        mishap: Mishap,
        step: impl FnOnce() -> T,
    ) -> (T, Step) {
        kernel.0.borrow_mut().begin(process, mishap);
        let done = step();
        let step = kernel.0.borrow_mut().finish();
        (done, step)
    }

    #[test]
    fn a_process_that_dies_in_a_call_makes_no_more_and_its_lock_is_free() {
        let kernel = machine();
        let dying = process(&kernel, Role::Supervisor);
        let path = Path::new("/data/lock");

        let mishap = Mishap { dies_in: Some(1), ..Mishap::default() };
        let (done, step) = as_process(&kernel, dying, mishap, || {
            let lock = kernel.take_lock(path).unwrap().unwrap();
            kernel.write_lock(&lock, b"me").unwrap_err();
            kernel.make_directory(Path::new("/data/made"))
        });

        assert!(done.is_err());
        assert_eq!(step, Step { calls: 2, died: true });
        let other = process(&kernel, Role::Engine);
        let (lock, _) = as_process(&kernel, other, Mishap::default(), || {
            assert_eq!(kernel.list(Path::new("/data")).unwrap().len(), 1);
            kernel.take_lock(path).unwrap()
        });
        assert!(lock.is_some());
    }

    #[test]
    fn a_call_that_fails_is_one_of_many() {
        let kernel = machine();
        let process = process(&kernel, Role::Engine);

        let mishap = Mishap { fails_in: Some(1), ..Mishap::default() };
        let (done, step) = as_process(&kernel, process, mishap, || {
            ["/data/a", "/data/b", "/data/c"].map(|path| kernel.make_directory(Path::new(path)).is_ok())
        });

        assert_eq!(done, [true, false, true]);
        assert!(!step.died);
    }

    #[test]
    fn who_dies_in_a_write_leaves_a_part_of_it() {
        let left: BTreeSet<Vec<u8>> = (0..100)
            .map(|seed| {
                let kernel = machine();
                kernel.0.borrow_mut().dice = Dice::stream(seed, "test");
                let process = process(&kernel, Role::Engine);
                let mishap = Mishap { dies_in: Some(0), ..Mishap::default() };
                let path = Path::new("/data/record");
                as_process(&kernel, process, mishap, || kernel.write(path, b"record", Durability::Synced))
                    .0
                    .unwrap_err();
                let ground = kernel.0.borrow();
                ground.files.read(path).unwrap_or(b"none").to_vec()
            })
            .collect();

        assert!(left.contains(&b"none"[..]) && left.contains(&b"rec"[..]), "{left:?}");
    }

    #[test]
    fn a_pid_that_went_to_a_stranger_opens_as_nobody_and_the_stranger_is_left_alone() {
        let kernel = machine();
        let (engine, supervisor) = (process(&kernel, Role::Engine), process(&kernel, Role::Supervisor));
        let (identity, _) =
            as_process(&kernel, supervisor, Mishap::default(), || kernel.own_process().unwrap());
        {
            let mut ground = kernel.0.borrow_mut();
            ground.end(supervisor);
            ground.processes.spawn_stranger_as(identity.pid, 5_000).unwrap();
        }

        let (opened, _) =
            as_process(&kernel, engine, Mishap::default(), || open_process(&kernel, &identity).unwrap());

        assert_eq!(opened, None);
        let stranger = kernel.0.borrow().processes.with_pid(identity.pid).unwrap();
        as_process(&kernel, engine, Mishap::default(), || kernel.signal(&stranger, Signal::Terminate))
            .0
            .unwrap();
        assert_eq!(kernel.0.borrow().wrongs(), ["1 strangers were signalled"]);
    }

    #[test]
    fn removing_a_group_kills_all_that_is_in_it() {
        let kernel = machine();
        let (engine, program) = (process(&kernel, Role::Engine), process(&kernel, Role::Program));
        as_process(&kernel, engine, Mishap::default(), || {
            kernel.make_instance("i-a", Resources { vcpu: 1, memory_mib: 64 }).unwrap();
        });
        kernel.0.borrow_mut().groups.enter("i-a", "web.0.main", program).unwrap();

        as_process(&kernel, engine, Mishap::default(), || kernel.remove_container("i-a", "web.0.main"))
            .0
            .unwrap();

        assert!(!kernel.0.borrow().processes.is_alive(program));
        assert!(kernel.has_instance("i-a"));
    }
}

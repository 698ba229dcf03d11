//! Which devices the containers of an instance may open on version 2, where that is a program that the kernel asks
//! (`BPF_PROG_TYPE_CGROUP_DEVICE`). It is loaded once and attached to each instance's group; the groups below obey it.
//! On version 1 the runtime writes the same rules into each container's group (`container_spec`).
//!
//! A second line: containers may not make device nodes at all, and images with some are refused.

use super::Error;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

/// Character devices by major and minor number; without a minor all of them. Docker's list: null, zero, full, random,
/// urandom, tty, console, ptmx, and the terminals of `/dev/pts`.
const ALLOWED: [(i32, Option<i32>); 9] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
];

/// The rules, in the kernel.
#[derive(Debug)]
pub(super) struct DeviceRules(OwnedFd);

impl DeviceRules {
    /// # Errors
    /// No right to load programs, or a kernel without them.
    pub(super) fn load() -> io::Result<Self> {
        let program = program();
        let license = c"Apache-2.0";
        let attributes = LoadAttributes {
            kind: CGROUP_DEVICE_PROGRAM,
            instruction_count: u32::try_from(program.len()).unwrap_or(u32::MAX),
            instructions: program.as_ptr() as u64,
            license: license.as_ptr() as u64,
            ..LoadAttributes::default()
        };
        let descriptor = call(PROGRAM_LOAD, &attributes)?;
        // SAFETY: the kernel has just given us this descriptor, and nobody else knows of it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// Puts the rules in force for a group and all below it, in place of those it had from us.
    pub(super) fn attach(&self, group: &Path) -> Result<(), Error> {
        let fail = |source| Error::Devices { path: group.to_owned(), source };
        let directory = File::open(group).map_err(fail)?;
        let attributes = AttachAttributes {
            target: directory.as_raw_fd(),
            program: self.0.as_raw_fd(),
            kind: CGROUP_DEVICE_ATTACHMENT,
            flags: 0,
        };
        call(PROGRAM_ATTACH, &attributes).map(drop).map_err(fail)
    }
}

// Numbers of linux/bpf.h.
const PROGRAM_LOAD: libc::c_int = 5;
const PROGRAM_ATTACH: libc::c_int = 8;
const CGROUP_DEVICE_PROGRAM: u32 = 15;
const CGROUP_DEVICE_ATTACHMENT: u32 = 6;

/// What `union bpf_attr` is for `BPF_PROG_LOAD`.
#[repr(C)]
#[derive(Default)]
struct LoadAttributes {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// What `union bpf_attr` is for `BPF_PROG_ATTACH`.
#[repr(C)]
struct AttachAttributes {
    target: i32,
    program: i32,
    kind: u32,
    flags: u32,
}

fn call<T>(command: libc::c_int, attributes: &T) -> io::Result<i32> {
    // SAFETY: the kernel reads as many bytes as said of a structure that is laid out for this command; what it points
    // to lives in the caller until the call returns.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    match i32::try_from(result) {
        Ok(descriptor) if descriptor >= 0 => Ok(descriptor),
        _ => Err(io::Error::last_os_error()),
    }
}

/// `struct bpf_insn` in a word: operation, registers, offset, constant.
fn instruction(operation: u8, target: u8, source: u8, offset: i16, constant: i32) -> u64 {
    u64::from(operation)
        | u64::from(target | source << 4) << 8
        | u64::from(offset.cast_unsigned()) << 16
        | u64::from(constant.cast_unsigned()) << 32
}

/// Register 1 points to the question: kind of device and access, major, minor. The answer is register 0.
fn program() -> Vec<u64> {
    const CHARACTER_DEVICE: i32 = 2;
    let load = |target, offset| instruction(0x61, target, 1, offset, 0);
    let low_half = |register| instruction(0x54, register, 0, 0, 0xffff);
    let unless = |register, value, skip| instruction(0x55, register, 0, skip, value);
    let answer = |yes| [instruction(0xb7, 0, 0, 0, yes), instruction(0x95, 0, 0, 0, 0)];

    let mut program = vec![load(2, 0), low_half(2), load(3, 4), load(4, 8)];
    let when = |register, value, skip| instruction(0x15, register, 0, skip, value);
    program.push(when(2, CHARACTER_DEVICE, 2));
    program.extend(answer(0));
    for (major, minor) in ALLOWED {
        match minor {
            Some(minor) => program.extend([unless(3, major, 3), unless(4, minor, 2)]),
            None => program.push(unless(3, major, 2)),
        }
        program.extend(answer(1));
    }
    program.extend(answer(0));
    program
}

#[cfg(test)]
mod tests {
    use super::super::hierarchy::{Hierarchies, Version};
    use super::*;
    use crate::embedded::image::sample::is_root_or_skipped;
    use std::process::Command;

    #[test]
    fn a_group_with_the_rules_opens_harmless_devices_only() {
        if !is_root_or_skipped("a_group_with_the_rules_opens_harmless_devices_only") {
            return;
        }
        let hierarchies = Hierarchies::find().unwrap().all;
        let unified = hierarchies.iter().find(|one| one.version == Version::Two);
        let Some(unified) = unified else {
            println!("SKIPPED a_group_with_the_rules_opens_harmless_devices_only: no version 2 is mounted");
            return;
        };
        let group = unified.mount.join(format!("ensemble-devices-{}", std::process::id()));
        std::fs::create_dir(&group).unwrap();
        let opens = |device: &str| {
            let script = "echo $$ >\"$0/cgroup.procs\" && exec 3<\"$1\"";
            let mut shell = Command::new("sh");
            shell.args(["-c", script]).arg(&group).arg(device).output().unwrap().status.success()
        };

        let before = opens("/dev/kmsg");
        let attached = DeviceRules::load().map(|rules| (rules.attach(&group), rules.attach(&group)));
        let outcomes = ["/dev/null", "/dev/urandom", "/dev/kmsg"].map(opens);
        std::fs::remove_dir(&group).unwrap();

        assert!(before);
        assert!(matches!(attached, Ok((Ok(()), Ok(())))), "{attached:?}");
        assert_eq!(outcomes, [true, true, false]);
    }
}

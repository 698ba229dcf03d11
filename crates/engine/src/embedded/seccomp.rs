//! Which system calls a container may make: our own table, no wider than Docker's default profile for a container
//! with our capabilities, narrower where nothing common needs it. Compiled before the fork, applied by the
//! executor after capabilities are dropped (`decisions.md` §6.4). Decides nothing else about a container.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use std::collections::BTreeMap;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no system call table for the architecture `{architecture}`")]
    Architecture { architecture: &'static str },
    #[error("could not compile the system call filter")]
    Compile(#[source] seccompiler::Error),
    #[error("could not apply the system call filter")]
    Apply(#[source] seccompiler::Error),
}

/// Both filters, ready to be applied.
#[derive(Clone)]
pub struct Filters {
    table: BpfProgram,
    clone3: BpfProgram,
}

/// `CLONE_NEW*` of clone's flags: a container makes no namespaces.
const NEW_NAMESPACES: u64 = 0x7e02_0000;

/// Address families that a container may open sockets of; odd ones have been a way into kernels.
const FAMILIES: [libc::c_int; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Persona: Linux, its 2.6 uname, 32 bit addresses, both, and asking.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

impl Filters {
    /// # Errors
    /// An architecture without a table.
    pub fn compile() -> Result<Self, Error> {
        let architecture = std::env::consts::ARCH;
        let target = TargetArch::try_from(architecture).map_err(|_| Error::Architecture { architecture })?;
        let refuse = SeccompAction::Errno(errno(libc::EPERM));
        let table = program(allowed()?, refuse, SeccompAction::Allow, target)?;
        // glibc falls back to clone only on ENOSYS; its arguments lie in memory, where no filter can see them.
        let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        let unknown = SeccompAction::Errno(errno(libc::ENOSYS));
        let clone3 = program(clone3, SeccompAction::Allow, unknown, target)?;
        Ok(Self { table, clone3 })
    }

    /// Applies both to the calling thread and all it becomes. There is no way back.
    pub fn apply(&self) -> Result<(), Error> {
        seccompiler::apply_filter(&self.table).map_err(Error::Apply)?;
        // Of two refusals the kernel tells the one of the filter that came last.
        seccompiler::apply_filter(&self.clone3).map_err(Error::Apply)
    }
}

fn errno(number: libc::c_int) -> u32 {
    number.unsigned_abs()
}

fn program(
    rules: BTreeMap<libc::c_long, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
    target: TargetArch,
) -> Result<BpfProgram, Error> {
    let filter = SeccompFilter::new(rules, otherwise, matched, target)
        .map_err(|error| Error::Compile(error.into()))?;
    BpfProgram::try_from(filter).map_err(|error| Error::Compile(error.into()))
}

fn allowed() -> Result<BTreeMap<libc::c_long, Vec<SeccompRule>>, Error> {
    let mut rules: BTreeMap<libc::c_long, Vec<SeccompRule>> = BTreeMap::new();
    for call in TABLE.iter().chain(TABLE_OF_ARCHITECTURE).chain(RECENT) {
        rules.insert(*call, Vec::new());
    }
    let no_namespaces = argument(SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(NEW_NAMESPACES), 0)?;
    rules.insert(libc::SYS_clone, vec![no_namespaces]);
    let families = FAMILIES.iter().map(|family| u64::from(family.unsigned_abs()));
    rules.insert(libc::SYS_socket, one_of(families)?);
    rules.insert(libc::SYS_personality, one_of(PERSONALITIES)?);
    Ok(rules)
}

fn one_of(values: impl IntoIterator<Item = u64>) -> Result<Vec<SeccompRule>, Error> {
    let rule = |value| argument(SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value);
    values.into_iter().map(rule).collect()
}

/// A rule about the first argument.
fn argument(length: SeccompCmpArgLen, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, Error> {
    let rule = SeccompCondition::new(0, length, operator, value)
        .and_then(|condition| SeccompRule::new(vec![condition]));
    rule.map_err(|error| Error::Compile(error.into()))
}

/// Newer than the C library's headers here; one number on all architectures: cachestat, fchmodat2,
/// map_shadow_stack, futex_wake, futex_wait, futex_requeue.
const RECENT: &[libc::c_long] = &[451, 452, 453, 454, 455, 456];

#[rustfmt::skip]
const TABLE: &[libc::c_long] = &[
    libc::SYS_accept, libc::SYS_accept4, libc::SYS_adjtimex, libc::SYS_bind, libc::SYS_brk,
    libc::SYS_capget, libc::SYS_capset, libc::SYS_chdir, libc::SYS_chroot, libc::SYS_clock_adjtime,
    libc::SYS_clock_getres, libc::SYS_clock_gettime, libc::SYS_clock_nanosleep, libc::SYS_close,
    libc::SYS_close_range, libc::SYS_connect, libc::SYS_copy_file_range, libc::SYS_dup, libc::SYS_dup3,
    libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2, libc::SYS_execve, libc::SYS_execveat, libc::SYS_exit, libc::SYS_exit_group,
    libc::SYS_faccessat, libc::SYS_faccessat2, libc::SYS_fadvise64, libc::SYS_fallocate,
    libc::SYS_fchdir, libc::SYS_fchmod, libc::SYS_fchmodat, libc::SYS_fchown, libc::SYS_fchownat,
    libc::SYS_fcntl, libc::SYS_fdatasync, libc::SYS_fgetxattr, libc::SYS_flistxattr, libc::SYS_flock,
    libc::SYS_fremovexattr, libc::SYS_fsetxattr, libc::SYS_fstat, libc::SYS_fstatfs, libc::SYS_fsync,
    libc::SYS_ftruncate, libc::SYS_futex, libc::SYS_futex_waitv, libc::SYS_get_robust_list,
    libc::SYS_getcpu, libc::SYS_getcwd, libc::SYS_getdents64, libc::SYS_getegid, libc::SYS_geteuid,
    libc::SYS_getgid, libc::SYS_getgroups, libc::SYS_getitimer, libc::SYS_getpeername,
    libc::SYS_getpgid, libc::SYS_getpid, libc::SYS_getppid, libc::SYS_getpriority, libc::SYS_getrandom,
    libc::SYS_getresgid, libc::SYS_getresuid, libc::SYS_getrlimit, libc::SYS_getrusage,
    libc::SYS_getsid, libc::SYS_getsockname, libc::SYS_getsockopt, libc::SYS_gettid,
    libc::SYS_gettimeofday, libc::SYS_getuid, libc::SYS_getxattr, libc::SYS_inotify_add_watch,
    libc::SYS_inotify_init1, libc::SYS_inotify_rm_watch, libc::SYS_io_cancel, libc::SYS_io_destroy,
    libc::SYS_io_getevents, libc::SYS_io_setup, libc::SYS_io_submit, libc::SYS_ioctl,
    libc::SYS_ioprio_get, libc::SYS_ioprio_set, libc::SYS_kill, libc::SYS_landlock_add_rule,
    libc::SYS_landlock_create_ruleset, libc::SYS_landlock_restrict_self, libc::SYS_lgetxattr,
    libc::SYS_linkat, libc::SYS_listen, libc::SYS_listxattr, libc::SYS_llistxattr,
    libc::SYS_lremovexattr, libc::SYS_lseek, libc::SYS_lsetxattr, libc::SYS_madvise,
    libc::SYS_membarrier, libc::SYS_memfd_create, libc::SYS_mincore, libc::SYS_mkdirat,
    libc::SYS_mknodat, libc::SYS_mlock, libc::SYS_mlock2, libc::SYS_mlockall, libc::SYS_mmap,
    libc::SYS_mprotect, libc::SYS_mq_getsetattr, libc::SYS_mq_notify, libc::SYS_mq_open,
    libc::SYS_mq_timedreceive, libc::SYS_mq_timedsend, libc::SYS_mq_unlink, libc::SYS_mremap,
    libc::SYS_msgctl, libc::SYS_msgget, libc::SYS_msgrcv, libc::SYS_msgsnd, libc::SYS_msync,
    libc::SYS_munlock, libc::SYS_munlockall, libc::SYS_munmap, libc::SYS_name_to_handle_at,
    libc::SYS_nanosleep, libc::SYS_newfstatat, libc::SYS_openat, libc::SYS_openat2,
    libc::SYS_pidfd_open, libc::SYS_pidfd_send_signal, libc::SYS_pipe2, libc::SYS_pkey_alloc,
    libc::SYS_pkey_free, libc::SYS_pkey_mprotect, libc::SYS_ppoll, libc::SYS_prctl, libc::SYS_pread64,
    libc::SYS_preadv, libc::SYS_preadv2, libc::SYS_prlimit64, libc::SYS_process_mrelease,
    libc::SYS_pselect6, libc::SYS_ptrace, libc::SYS_pwrite64, libc::SYS_pwritev, libc::SYS_pwritev2,
    libc::SYS_read, libc::SYS_readahead, libc::SYS_readlinkat, libc::SYS_readv, libc::SYS_recvfrom,
    libc::SYS_recvmmsg, libc::SYS_recvmsg, libc::SYS_remap_file_pages, libc::SYS_removexattr,
    libc::SYS_renameat, libc::SYS_renameat2, libc::SYS_restart_syscall, libc::SYS_rseq,
    libc::SYS_rt_sigaction, libc::SYS_rt_sigpending, libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigqueueinfo, libc::SYS_rt_sigreturn, libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait, libc::SYS_rt_tgsigqueueinfo, libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min, libc::SYS_sched_getaffinity, libc::SYS_sched_getattr,
    libc::SYS_sched_getparam, libc::SYS_sched_getscheduler, libc::SYS_sched_rr_get_interval,
    libc::SYS_sched_setaffinity, libc::SYS_sched_setattr, libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler, libc::SYS_sched_yield, libc::SYS_seccomp, libc::SYS_semctl,
    libc::SYS_semget, libc::SYS_semop, libc::SYS_semtimedop, libc::SYS_sendfile, libc::SYS_sendmmsg,
    libc::SYS_sendmsg, libc::SYS_sendto, libc::SYS_set_robust_list, libc::SYS_set_tid_address,
    libc::SYS_setfsgid, libc::SYS_setfsuid, libc::SYS_setgid, libc::SYS_setgroups, libc::SYS_setitimer,
    libc::SYS_setpgid, libc::SYS_setpriority, libc::SYS_setregid, libc::SYS_setresgid,
    libc::SYS_setresuid, libc::SYS_setreuid, libc::SYS_setrlimit, libc::SYS_setsid,
    libc::SYS_setsockopt, libc::SYS_setuid, libc::SYS_setxattr, libc::SYS_shmat, libc::SYS_shmctl,
    libc::SYS_shmdt, libc::SYS_shmget, libc::SYS_shutdown, libc::SYS_sigaltstack, libc::SYS_signalfd4,
    libc::SYS_socketpair, libc::SYS_splice, libc::SYS_statfs, libc::SYS_statx, libc::SYS_symlinkat,
    libc::SYS_sync, libc::SYS_sync_file_range, libc::SYS_syncfs, libc::SYS_sysinfo, libc::SYS_tee,
    libc::SYS_tgkill, libc::SYS_timer_create, libc::SYS_timer_delete, libc::SYS_timer_getoverrun,
    libc::SYS_timer_gettime, libc::SYS_timer_settime, libc::SYS_timerfd_create,
    libc::SYS_timerfd_gettime, libc::SYS_timerfd_settime, libc::SYS_times, libc::SYS_tkill,
    libc::SYS_truncate, libc::SYS_umask, libc::SYS_uname, libc::SYS_unlinkat, libc::SYS_utimensat,
    libc::SYS_vmsplice, libc::SYS_wait4, libc::SYS_waitid, libc::SYS_write, libc::SYS_writev,
];

/// Calls that only the older architecture has under a name of their own.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const TABLE_OF_ARCHITECTURE: &[libc::c_long] = &[
    // io_pgetevents has no constant in the C library's headers.
    333,
    libc::SYS_access, libc::SYS_alarm, libc::SYS_arch_prctl, libc::SYS_chmod, libc::SYS_chown,
    libc::SYS_creat, libc::SYS_dup2, libc::SYS_epoll_create, libc::SYS_epoll_wait, libc::SYS_eventfd,
    libc::SYS_fork, libc::SYS_futimesat, libc::SYS_getdents, libc::SYS_getpgrp, libc::SYS_inotify_init,
    libc::SYS_lchown, libc::SYS_link, libc::SYS_lstat, libc::SYS_mkdir, libc::SYS_mknod, libc::SYS_open,
    libc::SYS_pause, libc::SYS_pipe, libc::SYS_poll, libc::SYS_readlink, libc::SYS_rename,
    libc::SYS_rmdir, libc::SYS_select, libc::SYS_signalfd, libc::SYS_stat, libc::SYS_symlink,
    libc::SYS_time, libc::SYS_unlink, libc::SYS_utime, libc::SYS_utimes, libc::SYS_vfork,
];

#[cfg(not(target_arch = "x86_64"))]
const TABLE_OF_ARCHITECTURE: &[libc::c_long] = &[292];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_reach_beyond_a_container_is_not_allowed() {
        let allowed = allowed().unwrap();

        let refused = [
            libc::SYS_clone3,
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_pivot_root,
            libc::SYS_setns,
            libc::SYS_unshare,
            libc::SYS_bpf,
            libc::SYS_keyctl,
            libc::SYS_add_key,
            libc::SYS_request_key,
            libc::SYS_init_module,
            libc::SYS_kexec_load,
            libc::SYS_reboot,
            libc::SYS_open_by_handle_at,
            libc::SYS_perf_event_open,
            libc::SYS_userfaultfd,
            libc::SYS_io_uring_setup,
            libc::SYS_swapon,
            libc::SYS_settimeofday,
            libc::SYS_sethostname,
            libc::SYS_syslog,
            libc::SYS_fsopen,
            libc::SYS_open_tree,
            libc::SYS_move_mount,
            libc::SYS_pidfd_getfd,
            libc::SYS_acct,
            libc::SYS_quotactl,
        ];
        for call in refused {
            assert!(!allowed.contains_key(&call), "system call {call}");
        }
    }

    #[test]
    fn no_call_stands_twice_in_the_table() {
        let all: Vec<_> = TABLE.iter().chain(TABLE_OF_ARCHITECTURE).chain(RECENT).collect();
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();

        assert_eq!(all.len(), distinct.len());
        assert!(!all.contains(&&libc::SYS_clone) && !all.contains(&&libc::SYS_socket));
    }

    #[test]
    fn the_filters_compile_and_fit_the_kernels_bound() {
        let filters = Filters::compile().unwrap();

        for program in [&filters.table, &filters.clone3] {
            assert!((1..=4096).contains(&program.len()), "{} instructions", program.len());
        }
    }
}

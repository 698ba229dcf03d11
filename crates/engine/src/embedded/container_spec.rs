//! The OCI spec of one container: what it may see, touch and be. Pure: the same description, the same spec.
//! What only the mounted image can tell (the user) is filled in by the supervisor.

use super::cgroup::{Bounds, CPU_PERIOD_US, GroupView};
use oci_spec::OciSpecError;
use oci_spec::runtime::{
    Capability, Linux, LinuxBuilder, LinuxCapabilities, LinuxCapabilitiesBuilder, LinuxCpuBuilder,
    LinuxDeviceCgroupBuilder, LinuxDeviceType, LinuxMemoryBuilder, LinuxNamespaceBuilder, LinuxNamespaceType,
    LinuxPidsBuilder, LinuxResources, LinuxResourcesBuilder, Mount, MountBuilder, PosixRlimit,
    PosixRlimitBuilder, PosixRlimitType, ProcessBuilder, Spec, SpecBuilder, UserBuilder,
};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// What `PATH` is where neither image nor template says: without one no program is found by name.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Docker's default without NET_RAW (forged packets), MKNOD, SETFCAP, SETPCAP and AUDIT_WRITE.
const CAPABILITIES: [Capability; 9] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::NetBindService,
    Capability::Setgid,
    Capability::Setuid,
    Capability::SysChroot,
];

/// Docker's list.
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Open files a container may raise its limit to, where our own allows it.
const OPEN_FILES: u64 = 1_048_576;

/// Everything a spec is made of.
#[derive(Clone, Debug)]
pub struct ContainerSpec {
    pub program: Vec<String>,
    /// Later ones win.
    pub environment: Vec<(String, String)>,
    pub working_dir: String,
    pub hostname: String,
    /// Below every hierarchy's root.
    pub group: PathBuf,
    /// What programs may read of it.
    pub view: GroupView,
    /// File on this machine → absolute path in the container; read-only there.
    pub files: Vec<(PathBuf, String)>,
    pub own: OwnLimits,
}

/// What we are ourselves bounded by: a spec that asks for more fails at creation (runtime.md §0.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnLimits {
    pub open_files: u64,
    pub oom_score_adj: i32,
}

impl OwnLimits {
    pub fn read() -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
        Self {
            open_files: limit.maximum.unwrap_or(OPEN_FILES),
            oom_score_adj: own.trim().parse().unwrap_or(0),
        }
    }
}

impl ContainerSpec {
    /// # Errors
    /// Only where a builder misses a part, which none does.
    pub fn build(&self) -> Result<Spec, OciSpecError> {
        SpecBuilder::default()
            .version("1.0.2")
            .hostname(self.hostname.clone())
            .process(
                ProcessBuilder::default()
                    .terminal(false)
                    .user(UserBuilder::default().uid(0_u32).gid(0_u32).build()?)
                    .args(self.program.clone())
                    .env(self.environment())
                    .cwd(&self.working_dir)
                    .capabilities(capabilities()?)
                    .rlimits(self.limits()?)
                    .no_new_privileges(true)
                    // Never protected better than by default: what we are given for ourselves is not inherited.
                    .oom_score_adj(self.own.oom_score_adj.max(0))
                    .build()?,
            )
            .mounts(self.mounts()?)
            .linux(self.linux()?)
            .build()
    }

    fn environment(&self) -> Vec<String> {
        let mut named: Vec<(&str, &str)> = vec![("PATH", DEFAULT_PATH)];
        for (name, value) in &self.environment {
            match named.iter_mut().find(|(other, _)| other == name) {
                Some(entry) => entry.1 = value,
                None => named.push((name, value)),
            }
        }
        named.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    fn limits(&self) -> Result<Vec<PosixRlimit>, OciSpecError> {
        let open_files = OPEN_FILES.min(self.own.open_files);
        let limit =
            |kind, value: u64| PosixRlimitBuilder::default().typ(kind).soft(value).hard(value).build();
        Ok(vec![limit(PosixRlimitType::RlimitNofile, open_files)?, limit(PosixRlimitType::RlimitCore, 0)?])
    }

    fn linux(&self) -> Result<Linux, OciSpecError> {
        let namespaces = [
            LinuxNamespaceType::Pid,
            LinuxNamespaceType::Ipc,
            LinuxNamespaceType::Uts,
            LinuxNamespaceType::Mount,
            LinuxNamespaceType::Cgroup,
        ];
        let namespaces = namespaces.map(|kind| LinuxNamespaceBuilder::default().typ(kind).build());
        LinuxBuilder::default()
            .namespaces(namespaces.into_iter().collect::<Result<Vec<_>, _>>()?)
            .resources(resources(self.view)?)
            .cgroups_path(&self.group)
            .masked_paths(MASKED.map(str::to_owned))
            .readonly_paths(READ_ONLY.map(str::to_owned))
            .rootfs_propagation("private")
            .build()
    }

    fn mounts(&self) -> Result<Vec<Mount>, OciSpecError> {
        let mut mounts = vec![
            mount("proc", "proc", "/proc", &["nosuid", "noexec", "nodev"])?,
            mount("tmpfs", "tmpfs", "/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"])?,
            mount(
                "devpts",
                "devpts",
                "/dev/pts",
                &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
            )?,
            mount("tmpfs", "shm", "/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"])?,
            mount("mqueue", "mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"])?,
            mount("sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev", "ro"])?,
        ];
        if let GroupView::OwnGroup(_) = self.view {
            let options = ["nosuid", "noexec", "nodev", "relatime", "ro"];
            mounts.push(mount("cgroup", "cgroup", "/sys/fs/cgroup", &options)?);
        }
        for (source, destination) in &self.files {
            let options = ["bind", "ro", "nosuid", "nodev", "noexec"];
            mounts.push(mount_from("bind", source, destination, &options)?);
        }
        Ok(mounts)
    }
}

/// The limits are the instance's; a container's own group repeats them only where programs read it. No device but those
/// that the runtime allows again after this (version 1; `cgroup::devices` does it on version 2).
fn resources(view: GroupView) -> Result<LinuxResources, OciSpecError> {
    let none =
        LinuxDeviceCgroupBuilder::default().allow(false).typ(LinuxDeviceType::A).access("rwm").build()?;
    let builder = LinuxResourcesBuilder::default().devices([none]);
    let Bounds { memory_bytes, cpu_quota_us, processes } = match view {
        GroupView::Nothing => return builder.build(),
        GroupView::OwnGroup(bounds) => bounds,
    };
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    builder
        .memory(LinuxMemoryBuilder::default().limit(signed(memory_bytes)).build()?)
        .cpu(LinuxCpuBuilder::default().quota(signed(cpu_quota_us)).period(CPU_PERIOD_US).build()?)
        .pids(LinuxPidsBuilder::default().limit(i64::from(processes)).build()?)
        .build()
}

fn mount(kind: &str, source: &str, destination: &str, options: &[&str]) -> Result<Mount, OciSpecError> {
    mount_from(kind, Path::new(source), destination, options)
}

fn mount_from(kind: &str, source: &Path, destination: &str, options: &[&str]) -> Result<Mount, OciSpecError> {
    let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
    MountBuilder::default().typ(kind).source(source).destination(destination).options(options).build()
}

/// Nothing inheritable or ambient: a program that gives up root has given up all of them.
fn capabilities() -> Result<LinuxCapabilities, OciSpecError> {
    let ours: HashSet<Capability> = CAPABILITIES.into_iter().collect();
    LinuxCapabilitiesBuilder::default()
        .bounding(ours.clone())
        .effective(ours.clone())
        .permitted(ours)
        .inheritable(HashSet::new())
        .ambient(HashSet::new())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container() -> ContainerSpec {
        ContainerSpec {
            program: vec!["/pod".to_owned(), "8080".to_owned()],
            environment: vec![],
            working_dir: "/".to_owned(),
            hostname: "shop-web-0".to_owned(),
            group: PathBuf::from("/ensemble-1/i-a/web.0.main"),
            view: GroupView::Nothing,
            files: vec![(PathBuf::from("/data/hosts"), "/etc/hosts".to_owned())],
            own: OwnLimits { open_files: 20_000, oom_score_adj: -500 },
        }
    }

    #[test]
    fn no_capability_reaches_beyond_the_container() {
        let spec = container().build().unwrap();
        let process = spec.process().as_ref().unwrap();
        let capabilities = process.capabilities().as_ref().unwrap();

        for forbidden in [Capability::NetRaw, Capability::SysAdmin, Capability::Mknod, Capability::SysPtrace]
        {
            assert!(!capabilities.bounding().as_ref().unwrap().contains(&forbidden), "{forbidden}");
        }
        assert!(capabilities.ambient().as_ref().unwrap().is_empty());
        assert!(capabilities.inheritable().as_ref().unwrap().is_empty());
        assert_eq!(process.no_new_privileges(), Some(true));
    }

    #[test]
    fn limits_stay_within_our_own() {
        let spec = container().build().unwrap();
        let process = spec.process().as_ref().unwrap();

        let limits = process.rlimits().as_ref().unwrap();
        let files = limits.iter().find(|limit| limit.typ() == PosixRlimitType::RlimitNofile).unwrap();
        assert_eq!((files.soft(), files.hard()), (20_000, 20_000));
        assert_eq!(process.oom_score_adj(), Some(0));
    }

    #[test]
    fn a_program_reads_its_limits_where_its_group_can_be_shown() {
        let bounds = Bounds { memory_bytes: 1 << 30, cpu_quota_us: 200_000, processes: 512 };
        let hidden = container().build().unwrap();
        let shown = ContainerSpec { view: GroupView::OwnGroup(bounds), ..container() }.build().unwrap();

        let mount = |spec: &Spec| {
            let mounts = spec.mounts().clone().unwrap();
            mounts.into_iter().find(|mount| mount.destination() == Path::new("/sys/fs/cgroup"))
        };
        assert_eq!(mount(&hidden), None);
        assert!(mount(&shown).unwrap().options().as_ref().unwrap().contains(&"ro".to_owned()));
        let resources = shown.linux().as_ref().unwrap().resources().clone().unwrap();
        assert_eq!(resources.memory().unwrap().limit(), Some(1 << 30));
        assert_eq!(resources.cpu().as_ref().unwrap().quota(), Some(200_000));
        assert_eq!(resources.pids().unwrap().limit(), 512);
    }

    #[test]
    fn the_last_word_on_a_variable_counts() {
        let check = |given: &[(&str, &str)], expected: &[&str]| {
            let environment = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let spec = ContainerSpec { environment: environment.collect(), ..container() };
            assert_eq!(spec.environment(), expected);
        };
        let path = format!("PATH={DEFAULT_PATH}");
        check(&[], &[&path]);
        check(&[("A", "1"), ("B", "2"), ("A", "3")], &[&path, "A=3", "B=2"]);
        check(&[("PATH", "/x")], &["PATH=/x"]);
    }

    #[test]
    fn the_containers_files_cannot_be_written_from_inside() {
        let spec = container().build().unwrap();

        let mounts = spec.mounts().as_ref().unwrap();
        let hosts = mounts.iter().find(|mount| mount.destination() == Path::new("/etc/hosts")).unwrap();
        assert!(hosts.options().as_ref().unwrap().contains(&"ro".to_owned()));
        let sys = mounts.iter().find(|mount| mount.destination() == Path::new("/sys")).unwrap();
        assert!(sys.options().as_ref().unwrap().contains(&"ro".to_owned()));
    }
}

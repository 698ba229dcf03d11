//! `ensemble doctor` on machines that lack one thing each: it says what, and what to type. The lack is made in
//! namespaces of the doctor's own, so that this machine keeps what it has and nothing has to be taken back.

use ensemble_tests::containers_can_run;
use ensemble_tests::server::binary;
use std::path::Path;
use std::process::{Command, Output};

struct Case {
    lack: &'static str,
    /// Run by `sh` before the doctor, with `$DIR` an empty directory; `unshare --mount --net` around it.
    before: &'static str,
    /// In place of the plain `exec ensemble doctor`.
    run: &'static str,
    check: &'static str,
    severity: &'static str,
    says: &'static str,
    mend: &'static str,
}

const PLAIN: &str = "exec \"$ENSEMBLE\" doctor --data-dir \"$DIR/data\"";

const CASES: [Case; 14] = [
    Case {
        lack: "a right",
        before: "",
        run: "exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin \"$ENSEMBLE\" doctor --data-dir \"$DIR/data\"",
        check: "rights",
        severity: "missing",
        says: "without CAP_SYS_ADMIN",
        mend: "docker run --privileged",
    },
    Case {
        lack: "root",
        before: "chmod 777 \"$DIR\"",
        run: "exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$ENSEMBLE\" doctor --data-dir \"$DIR/data\"",
        check: "rights",
        severity: "missing",
        says: "another user",
        mend: "sudo ensemble serve --data-dir",
    },
    Case {
        lack: "room on the disk",
        before: "mount -t tmpfs -o size=1m tmpfs \"$DIR\" && ! cat /dev/zero 2>/dev/null >\"$DIR/full\"",
        run: PLAIN,
        check: "room",
        severity: "missing",
        says: "0 MiB are free",
        mend: "ensemble serve --data-dir DIR",
    },
    Case {
        lack: "a file system that images can be stacked on",
        before: "mkdir \"$DIR/lower\" \"$DIR/upper\" \"$DIR/work\" \"$DIR/data\" && mount -t overlay \
                 -o \"lowerdir=$DIR/lower,upperdir=$DIR/upper,workdir=$DIR/work\" overlay \"$DIR/data\"",
        run: PLAIN,
        check: "overlay",
        severity: "missing",
        says: "another overlay",
        mend: "ensemble serve --data-dir DIR",
    },
    Case {
        lack: "a directory that can be written to",
        before: "mkdir \"$DIR/data\" && mount -t tmpfs -o ro tmpfs \"$DIR/data\"",
        run: PLAIN,
        check: "data directory",
        severity: "missing",
        says: "Read-only file system",
        mend: "ensemble serve --data-dir DIR",
    },
    Case {
        lack: "addresses: the whole range is routed already",
        before: "ip link set lo up && ip route add 10.80.0.0/16 dev lo",
        run: PLAIN,
        check: "pod network",
        severity: "missing",
        says: "10.80.0.0/16 is routed already: 10.80.0.0/16 (lo)",
        mend: "--pod-network",
    },
    Case {
        lack: "a part of the addresses",
        before: "ip link set lo up && ip route add 10.80.3.0/24 dev lo",
        run: PLAIN,
        check: "pod network",
        severity: "warning",
        says: "10.80.3.0/24 (lo)",
        mend: "--pod-network",
    },
    Case {
        lack: "seccomp",
        before: "touch \"$DIR/none\" && mount --bind \"$DIR/none\" /proc/sys/kernel/seccomp/actions_avail",
        run: PLAIN,
        check: "seccomp",
        severity: "missing",
        says: "cannot filter the system calls",
        mend: "apt-get install -y linux-image-amd64 && reboot",
    },
    Case {
        lack: "control groups",
        before: "umount --recursive --lazy /sys/fs/cgroup",
        run: PLAIN,
        check: "control groups",
        severity: "missing",
        says: "`memory` is mounted",
        mend: "mount -t cgroup2",
    },
    Case {
        lack: "nftables",
        before: "mount -t tmpfs tmpfs \"$(dirname \"$(readlink -f \"$(command -v nft)\")\")\"",
        run: PLAIN,
        check: "nftables",
        severity: "missing",
        says: "`nft` is not installed",
        mend: "apt-get install -y nftables",
    },
    Case {
        lack: "a free way through the rules of others, as beside Docker",
        before: "nft 'add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }'",
        run: PLAIN,
        check: "other rules",
        severity: "warning",
        says: "drops what is forwarded",
        mend: "iptables -I FORWARD -s 10.80.0.0/16 -j ACCEPT",
    },
    Case {
        lack: "the certificates of authorities",
        before: "mount -t tmpfs tmpfs /etc/ssl && unset SSL_CERT_FILE",
        run: PLAIN,
        check: "certificates",
        severity: "warning",
        says: "no image can be pulled over HTTPS",
        mend: "apt-get install -y ca-certificates",
    },
    Case {
        lack: "pid numbers",
        before: "echo 4096 >\"$DIR/few\" && mount --bind \"$DIR/few\" /proc/sys/kernel/pid_max",
        run: PLAIN,
        check: "pid numbers",
        severity: "warning",
        says: "only 4096 on this machine: 512 for an instance",
        mend: "sysctl -w kernel.pid_max=4194304",
    },
    Case {
        lack: "nothing",
        before: "",
        run: PLAIN,
        check: "rights",
        severity: "ok",
        says: "every capability",
        mend: "",
    },
];

#[test]
fn doctor_names_what_a_machine_lacks_and_what_to_type() {
    if !containers_can_run() {
        return;
    }
    for case in CASES {
        let directory = tempfile::tempdir().unwrap();

        let output = diagnose(&case, directory.path());

        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        let told = |what: &str| format!("lacking {}: {what}\n{text}{errors}", case.lack);
        let lines: Vec<&str> = text.lines().collect();
        let name = format!("{:<7}  {:<18} ", case.severity, case.check);
        let index = lines.iter().position(|line| line.starts_with(&name));
        let index = index.unwrap_or_else(|| panic!("{}", told("the check is not told so")));
        assert!(lines[index].contains(case.says), "{}", told("something else is said"));
        let mend = lines.get(index + 1).filter(|line| line.contains("mend: ")).copied().unwrap_or_default();
        assert!(mend.contains(case.mend), "{}", told("nothing is there to type"));
        let expected = if case.severity == "missing" { 1 } else { 0 };
        assert_eq!(output.status.code(), Some(expected), "{}", told("the exit code is another"));
    }
}

fn diagnose(case: &Case, directory: &Path) -> Output {
    let script = format!("set -e\n{}\n{}", case.before, case.run);
    Command::new("unshare")
        .args(["--mount", "--net", "--propagation", "private", "sh", "-c", &script])
        .env("DIR", directory)
        .env("ENSEMBLE", binary())
        .output()
        .unwrap()
}

//! Whether pods can have addresses and reach what they may: interfaces, rules, forwarding, a free range.

use std::fs;

use ipnet::Ipv4Net;
use nix::sched::CloneFlags;
use rustix::fs::Access;

use super::{Finding, apart, chain};
use crate::embedded::network::{self, trial};

const NFTABLES: &str = "nftables";
const INTERFACES: &str = "interfaces";
const FORWARDING: &str = "forwarding";
const RANGE: &str = "pod network";
const BRIDGED: &str = "bridged traffic";
const OTHERS: &str = "other rules";

const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

pub(super) fn check(pod_network: Ipv4Net, are_rights_there: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if are_rights_there {
        findings.push(check_rules());
        findings.push(check_interfaces());
    } else {
        findings.extend([Finding::untried(NFTABLES), Finding::untried(INTERFACES)]);
    }
    let forwards = fs::read_to_string(IP_FORWARD).unwrap_or_default();
    findings.push(judge_forwarding(&forwards, rustix::fs::access(IP_FORWARD, Access::WRITE_OK).is_ok()));
    findings.push(match trial::routed_within(pod_network) {
        Ok(routed) => judge_range(pod_network, &routed),
        Err(error) => Finding::warning(
            RANGE,
            format!("the routes could not be read: {error}"),
            "ip route show table all",
        ),
    });
    let calls = fs::read_to_string("/proc/sys/net/bridge/bridge-nf-call-iptables").ok();
    findings.push(judge_bridged(calls.as_deref()));
    if are_rights_there {
        // Without `nft` there is nothing to ask, and its absence is told above.
        let tables = trial::tables_that_drop().unwrap_or_default();
        findings.push(judge_others(&tables, pod_network));
    }
    findings
}

fn check_rules() -> Finding {
    match apart(CloneFlags::CLONE_NEWNET, trial::set_rules) {
        Ok(Ok(())) => Finding::fine(NFTABLES, "`nft` is installed, and the kernel takes its rules"),
        Ok(Err(network::Error::NftMissing)) => {
            let text = "`nft` is not installed: nothing keeps applications apart or lets pods out";
            Finding::missing(NFTABLES, text, "apt-get install -y nftables")
        }
        Ok(Err(error)) => Finding::missing(
            NFTABLES,
            chain(&error),
            "modprobe -a nf_tables nft_chain_nat nft_masq nf_conntrack",
        ),
        Err(error) => Finding::missing(
            NFTABLES,
            format!("a network namespace could not be made: {error}"),
            "sysctl -w user.max_net_namespaces=30000",
        ),
    }
}

fn check_interfaces() -> Finding {
    match apart(CloneFlags::CLONE_NEWNET, trial::make_interfaces).and_then(|made| made) {
        Ok(()) => Finding::fine(INTERFACES, "bridges and veth pairs can be made"),
        Err(error) => Finding::missing(
            INTERFACES,
            format!("a bridge with a veth pair could not be made: {error}"),
            "modprobe -a bridge veth",
        ),
    }
}

fn judge_forwarding(value: &str, is_writable: bool) -> Finding {
    match (value.trim(), is_writable) {
        ("1", _) => Finding::fine(FORWARDING, "packets of pods are forwarded"),
        (_, true) => Finding::fine(FORWARDING, "is off now; `ensemble serve` turns it on"),
        (_, false) => {
            let text = "is off, and we may not turn it on: pods would reach nothing";
            Finding::missing(FORWARDING, text, "sysctl -w net.ipv4.ip_forward=1")
        }
    }
}

fn judge_range(pod_network: Ipv4Net, routed: &[(Ipv4Net, String)]) -> Finding {
    let networks: Vec<_> = routed.iter().map(|(network, _)| *network).collect();
    let mend = "ensemble serve --pod-network 10.96.0.0/16, or another private range that is free here";
    if !trial::has_room(pod_network, &[]) {
        return Finding::missing(RANGE, format!("{pod_network} is too small: it needs at least a /29"), mend);
    }
    if networks.is_empty() {
        return Finding::fine(RANGE, format!("{pod_network} is free here"));
    }
    let taken = routed.iter().take(5).map(|(network, interface)| format!("{network} ({interface})"));
    let taken = taken.collect::<Vec<_>>().join(", ");
    if trial::has_room(pod_network, &networks) {
        let text = format!("of {pod_network} is routed already: {taken}; pods get other parts of it");
        return Finding::warning(RANGE, text, mend);
    }
    Finding::missing(RANGE, format!("all of {pod_network} is routed already: {taken}"), mend)
}

fn judge_bridged(calls: Option<&str>) -> Finding {
    let text = match calls.map(str::trim) {
        Some("1") => {
            "passes the firewall's rules as well (br_netfilter); pods are routed, so it makes no difference"
        }
        _ => "does not pass the firewall's rules; pods are routed, so it makes no difference",
    };
    Finding::fine(BRIDGED, text)
}

fn judge_others(tables: &[String], pod_network: Ipv4Net) -> Finding {
    let Some(table) = tables.first() else {
        return Finding::fine(OTHERS, "no rules of others drop what is forwarded");
    };
    let text = format!(
        "the nftables table `ip {table}` drops what is forwarded (Docker sets this up): pods reach neither each other \
         nor the outside unless it accepts them"
    );
    let mend = match table.as_str() {
        "filter" => format!(
            "iptables -I FORWARD -s {pod_network} -j ACCEPT && iptables -I FORWARD -d {pod_network} -j ACCEPT"
        ),
        other => format!("nft list table ip {other}, then accept {pod_network} in its forward chain"),
    };
    Finding::warning(OTHERS, text, mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::preflight::Severity;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_is_judged_by_the_part_of_it_that_is_routed() {
        for (range, routed, severity) in [
            ("10.80.0.0/16", &[][..], Severity::Fine),
            ("10.80.0.0/16", &["10.80.0.0/24"], Severity::Warning),
            ("10.80.0.0/16", &["10.80.0.0/17", "10.80.128.0/17"], Severity::Missing),
            ("10.80.0.0/16", &["10.0.0.0/8"], Severity::Missing),
            ("10.80.0.0/30", &[], Severity::Missing),
        ] {
            let routed: Vec<_> = routed.iter().map(|text| (net(text), "eth9".to_owned())).collect();

            let finding = judge_range(net(range), &routed);

            assert_eq!(finding.severity, severity, "{finding:?}");
            assert!(routed.is_empty() || finding.text.contains("(eth9)"), "{finding:?}");
        }
    }

    #[test]
    fn forwarding_that_we_can_turn_on_is_fine() {
        for (value, is_writable, severity) in [
            ("1\n", false, Severity::Fine),
            ("0\n", true, Severity::Fine),
            ("0\n", false, Severity::Missing),
            ("", false, Severity::Missing),
        ] {
            assert_eq!(judge_forwarding(value, is_writable).severity, severity, "{value:?} {is_writable}");
        }
    }

    #[test]
    fn rules_of_others_come_with_the_commands_that_let_pods_through() {
        let quiet = judge_others(&[], net("10.80.0.0/16"));
        let docker = judge_others(&["filter".to_owned()], net("10.80.0.0/16"));

        assert_eq!(quiet.severity, Severity::Fine);
        assert_eq!(docker.severity, Severity::Warning);
        assert_eq!(
            docker.mend.as_deref(),
            Some(
                "iptables -I FORWARD -s 10.80.0.0/16 -j ACCEPT && iptables -I FORWARD -d 10.80.0.0/16 -j ACCEPT"
            )
        );
    }
}

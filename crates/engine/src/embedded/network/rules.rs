//! The text of the nftables table of one data directory: who may reach whom. Pure; `nft` runs it.
//! The whole table is replaced in one transaction, so there is no state in which half of the rules hold.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use ensemble_model::port::{PortRange, Protocol};
use ensemble_supervision::network::{Forward, Ruled};
use ipnet::Ipv4Net;

/// Everything that the rules depend on.
#[derive(Clone, Debug)]
pub(super) struct Rules<'a> {
    pub(super) table: &'a str,
    /// Pods of all data directories of this machine: none of them reaches ours.
    pub(super) pod_network: Ipv4Net,
    /// Pods of this data directory.
    pub(super) slice: Ipv4Net,
    pub(super) control_port: Option<u16>,
    pub(super) ruled: &'a Ruled,
}

impl Rules<'_> {
    /// What `nft -f -` replaces the table with. Declaring the table first makes deleting it possible also when there
    /// was none.
    pub(super) fn replacement(&self) -> String {
        let table = self.table;
        let mut text = format!("table ip {table} {{\n}}\ndelete table ip {table}\ntable ip {table} {{\n");
        self.sets(&mut text);
        self.chains(&mut text).expect("writing to a string cannot fail");
        text.push_str("}\n");
        text
    }

    /// What `nft -f -` removes the table with, also when there is none.
    pub(super) fn removal(table: &str) -> String {
        format!("table ip {table} {{\n}}\ndelete table ip {table}\n")
    }

    /// The pods' networks as one set; the slice lies outside of the pod network when that was changed later.
    fn pods_of_all(&self) -> String {
        if self.pod_network.contains(&self.slice) {
            self.pod_network.to_string()
        } else {
            format!("{{ {}, {} }}", self.pod_network, self.slice)
        }
    }

    /// One chain for each application, reached by one lookup of the source and left by one of the destination, so
    /// that a packet costs the same however many pods there are. Packet marks would do too, but belong to others.
    fn sets(&self, text: &mut String) {
        let mut sources = Vec::new();
        for (number, addresses) in self.ruled.pods.values().enumerate() {
            let members: Vec<String> = addresses.iter().map(Ipv4Addr::to_string).collect();
            let members = members.join(", ");
            text.push_str(&format!(
                "  chain application_{number} {{\n    ip daddr {{ {members} }} accept\n    drop\n  }}\n"
            ));
            sources.extend(addresses.iter().map(|address| format!("{address} : goto application_{number}")));
        }
        text.push_str(&set("map application_of", "ipv4_addr : verdict", sources));
        let instances = self.ruled.instances.iter().map(Ipv4Addr::to_string).collect();
        text.push_str(&set("set instances", "ipv4_addr", instances));
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let kind = "ipv4_addr . inet_service : ipv4_addr . inet_service";
            text.push_str(&set(&format!("map {}", map_of(protocol)), kind, self.elements(protocol)));
        }
    }

    /// One element for each port: finding it costs the same however many there are, and a map of ranges could not change
    /// the port's number.
    fn elements(&self, protocol: Protocol) -> Vec<String> {
        let mut elements = BTreeMap::new();
        for Forward { at, ports, to } in &self.ruled.forwards {
            let PortRange { node, container, .. } = *ports;
            let pairs = (node..=ports.last_node()).zip(container..=ports.last_container());
            for (node, container) in pairs.filter(|_| ports.protocol == protocol) {
                // Of two that have the same, which placement rules out, the first keeps it: else nft would take none.
                elements.entry((*at, node)).or_insert((*to, container));
            }
        }
        let element = |((at, node), (to, container))| format!("{at} . {node} : {to} . {container}");
        elements.into_iter().map(element).collect()
    }

    fn chains(&self, text: &mut String) -> std::fmt::Result {
        let (slice, pods) = (self.slice, self.pods_of_all());
        writeln!(text, "  chain between_pods {{\n    ip saddr vmap @application_of\n    drop\n  }}")?;

        writeln!(text, "  chain forward {{\n    type filter hook forward priority filter; policy accept;")?;
        writeln!(text, "    ip saddr {pods} ip daddr {slice} goto between_pods")?;
        writeln!(text, "    ip saddr {slice} ip daddr {pods} goto between_pods")?;
        if let Some(port) = self.control_port {
            // The control plane can also be met from outside, by an address that only a router before us knows.
            writeln!(text, "    ip saddr {slice} ct direction original tcp dport {port} drop")?;
        }
        writeln!(text, "  }}")?;

        writeln!(text, "  chain input {{\n    type filter hook input priority filter; policy accept;")?;
        if let Some(port) = self.control_port {
            // No connection state is asked here: a connection that skipped tracking must not pass either.
            writeln!(text, "    ip saddr {pods} tcp dport {port} drop")?;
        }
        writeln!(text, "  }}")?;

        // A redirect would tell a pod to look for its neighbour on the bridge, past the forward hook. The setting of
        // one interface does not stop them while the one for all interfaces allows them.
        writeln!(text, "  chain output {{\n    type filter hook output priority filter; policy accept;")?;
        writeln!(text, "    ip daddr {slice} icmp type redirect drop")?;
        // Nobody has the address of an instance: a port that leads nowhere would be waited for.
        writeln!(text, "    ip daddr @instances reject with icmp port-unreachable\n  }}")?;

        writeln!(
            text,
            "  chain postrouting {{\n    type nat hook postrouting priority srcnat; policy accept;"
        )?;
        writeln!(text, "    ip saddr {slice} ip daddr != {pods} masquerade\n  }}")?;

        // Pods call each other by their own addresses. Where packets that are bridged are shown to these rules (as for
        // Docker), a new destination on the same bridge would be bridged to as well, and there ports are isolated.
        // `dstnat` has no name in `output` for older versions of nft.
        for (chain, hook, priority) in
            [("prerouting", "prerouting", "dstnat"), ("node_ports", "output", "-100")]
        {
            writeln!(
                text,
                "  chain {chain} {{\n    type nat hook {hook} priority {priority}; policy accept;"
            )?;
            for (protocol, name) in [(Protocol::Tcp, "tcp"), (Protocol::Udp, "udp")] {
                let map = map_of(protocol);
                let others =
                    if hook == "prerouting" { format!("ip saddr != {pods} ") } else { String::new() };
                writeln!(text, "    {others}dnat ip addr . port to ip daddr . {name} dport map @{map}")?;
            }
            writeln!(text, "  }}")?;
        }
        Ok(())
    }
}

fn map_of(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp_ports",
        Protocol::Udp => "udp_ports",
    }
}

/// nft takes no empty list of elements.
fn set(name: &str, kind: &str, elements: Vec<String>) -> String {
    let elements = match elements.is_empty() {
        true => String::new(),
        false => format!("    elements = {{ {} }}\n", elements.join(", ")),
    };
    format!("  {name} {{\n    type {kind}\n{elements}  }}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ensemble_model::id::AppId;

    fn address(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    fn rules(ruled: &Ruled, control_port: Option<u16>) -> Rules<'_> {
        Rules {
            table: "ensemble_0a1b2c3d",
            pod_network: "10.80.0.0/16".parse().unwrap(),
            slice: "10.80.16.0/20".parse().unwrap(),
            control_port,
            ruled,
        }
    }

    #[test]
    fn each_application_has_a_chain_that_accepts_its_own_pods_only() {
        let (shop, mail) = (AppId::new("a-shop"), AppId::new("b-mail"));
        let pods = BTreeMap::from([
            (shop, vec![address("10.80.16.2"), address("10.80.16.4")]),
            (mail, vec![address("10.80.16.3")]),
        ]);

        let text = rules(&Ruled { pods, ..Ruled::default() }, None).replacement();

        assert!(
            text.contains(
                "chain application_0 {\n    ip daddr { 10.80.16.2, 10.80.16.4 } accept\n    drop\n"
            )
        );
        assert!(text.contains("chain application_1 {\n    ip daddr { 10.80.16.3 } accept\n    drop\n"));
        assert!(text.contains("10.80.16.4 : goto application_0"));
        assert!(text.contains("10.80.16.3 : goto application_1"));
    }

    #[test]
    fn the_table_is_replaced_in_one_transaction() {
        let text = rules(&Ruled::default(), None).replacement();

        let start = "table ip ensemble_0a1b2c3d {\n}\ndelete table ip ensemble_0a1b2c3d\ntable ip ensemble_0a1b2c3d {\n";
        assert!(text.starts_with(start), "{text}");
    }

    #[test]
    fn the_control_port_is_named_only_where_there_is_one() {
        let port = "tcp dport 8420 drop";

        assert_eq!(rules(&Ruled::default(), Some(8420)).replacement().matches(port).count(), 2);
        assert_eq!(rules(&Ruled::default(), None).replacement().matches("dport 8420").count(), 0);
    }

    #[test]
    fn each_port_of_a_range_leads_to_its_own_port_of_the_pod() {
        let ports = PortRange { protocol: Protocol::Udp, node: 31_000, container: 4_440, count: 3 };
        let (at, to) = (address("10.80.16.9"), address("10.80.16.2"));
        let last = PortRange { protocol: Protocol::Tcp, node: u16::MAX, container: 1, count: 1 };
        let forwards = vec![Forward { at, ports, to }, Forward { at, ports: last, to }];
        let ruled = Ruled { instances: [at].into(), forwards, ..Ruled::default() };

        let text = rules(&ruled, None).replacement();

        let udp = "10.80.16.9 . 31000 : 10.80.16.2 . 4440, 10.80.16.9 . 31001 : 10.80.16.2 . 4441, \
                   10.80.16.9 . 31002 : 10.80.16.2 . 4442 }";
        assert!(text.contains(udp), "{text}");
        assert!(text.contains("elements = { 10.80.16.9 . 65535 : 10.80.16.2 . 1 }"), "{text}");
        assert!(
            text.contains("set instances {\n    type ipv4_addr\n    elements = { 10.80.16.9 }"),
            "{text}"
        );
    }

    #[test]
    fn a_slice_outside_of_a_changed_pod_network_still_counts_as_pods() {
        let ruled = Ruled::default();
        let mut changed = rules(&ruled, None);
        changed.pod_network = "10.90.0.0/16".parse().unwrap();

        let text = changed.replacement();

        assert!(text.contains("ip daddr != { 10.90.0.0/16, 10.80.16.0/20 } masquerade"), "{text}");
    }
}

//! The text of the nftables table of one data directory: who may reach whom. Pure; `nft` runs it.
//! The whole table is replaced in one transaction, so there is no state in which half of the rules hold.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use ensemble_model::id::AppId;
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
    pub(super) pods: &'a BTreeMap<AppId, Vec<Ipv4Addr>>,
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
        for (number, addresses) in self.pods.values().enumerate() {
            let members: Vec<String> = addresses.iter().map(Ipv4Addr::to_string).collect();
            let members = members.join(", ");
            text.push_str(&format!(
                "  chain application_{number} {{\n    ip daddr {{ {members} }} accept\n    drop\n  }}\n"
            ));
            sources.extend(addresses.iter().map(|address| format!("{address} : goto application_{number}")));
        }
        text.push_str("  map application_of {\n    type ipv4_addr : verdict\n");
        if !sources.is_empty() {
            text.push_str(&format!("    elements = {{ {} }}\n", sources.join(", ")));
        }
        text.push_str("  }\n");
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
        writeln!(text, "    ip daddr {slice} icmp type redirect drop\n  }}")?;

        writeln!(
            text,
            "  chain postrouting {{\n    type nat hook postrouting priority srcnat; policy accept;"
        )?;
        writeln!(text, "    ip saddr {slice} ip daddr != {pods} masquerade\n  }}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    fn rules(pods: &BTreeMap<AppId, Vec<Ipv4Addr>>, control_port: Option<u16>) -> Rules<'_> {
        Rules {
            table: "ensemble_0a1b2c3d",
            pod_network: "10.80.0.0/16".parse().unwrap(),
            slice: "10.80.16.0/20".parse().unwrap(),
            control_port,
            pods,
        }
    }

    #[test]
    fn each_application_has_a_chain_that_accepts_its_own_pods_only() {
        let (shop, mail) = (AppId::new("a-shop"), AppId::new("b-mail"));
        let pods = BTreeMap::from([
            (shop, vec![address("10.80.16.2"), address("10.80.16.4")]),
            (mail, vec![address("10.80.16.3")]),
        ]);

        let text = rules(&pods, None).replacement();

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
        let text = rules(&BTreeMap::new(), None).replacement();

        let start = "table ip ensemble_0a1b2c3d {\n}\ndelete table ip ensemble_0a1b2c3d\ntable ip ensemble_0a1b2c3d {\n";
        assert!(text.starts_with(start), "{text}");
    }

    #[test]
    fn the_control_port_is_named_only_where_there_is_one() {
        let port = "tcp dport 8420 drop";

        assert_eq!(rules(&BTreeMap::new(), Some(8420)).replacement().matches(port).count(), 2);
        assert_eq!(rules(&BTreeMap::new(), None).replacement().matches("dport").count(), 0);
    }

    #[test]
    fn a_slice_outside_of_a_changed_pod_network_still_counts_as_pods() {
        let pods = BTreeMap::new();
        let mut changed = rules(&pods, None);
        changed.pod_network = "10.90.0.0/16".parse().unwrap();

        let text = changed.replacement();

        assert!(text.contains("ip daddr != { 10.90.0.0/16, 10.80.16.0/20 } masquerade"), "{text}");
    }
}

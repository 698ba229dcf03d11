//! What on the machine silently stops the pods' traffic, in words for the operator.
//! Only looks: rules of others are never changed.

use super::nft;

/// Looks for chains of others that drop what is forwarded. An accept of ours does not override them.
pub(super) fn find(table: &str) -> Vec<String> {
    match nft::ask(&["list", "chains", "ip"]) {
        Ok(text) => dropping_tables(&text, table).iter().map(|name| explain(name)).collect(),
        Err(error) => {
            tracing::debug!("other forward chains could not be listed: {error}");
            Vec::new()
        }
    }
}

fn explain(table: &str) -> String {
    format!(
        "the nftables table `ip {table}` drops forwarded packets by default (Docker sets this up): pods reach neither \
         each other nor the outside unless it accepts them"
    )
}

/// The names of the tables, other than ours, that have a forward chain with the policy drop.
pub(super) fn dropping_tables(text: &str, ours: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut table = "";
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("table ip ") {
            table = name.trim_end_matches('{').trim();
        }
        if line.contains("hook forward") && line.contains("policy drop") && table != ours {
            found.push(table.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "table ip filter {
\tchain INPUT {
\t\ttype filter hook input priority filter; policy drop;
\t}
\tchain FORWARD {
\t\ttype filter hook forward priority filter; policy drop;
\t}
}
table ip ensemble_0a1b2c3d {
\tchain forward {
\t\ttype filter hook forward priority filter; policy drop;
\t}
}
table ip other {
\tchain forward {
\t\ttype filter hook forward priority filter; policy accept;
\t}
}
";

    #[test]
    fn a_forward_chain_of_others_that_drops_is_an_obstacle() {
        assert_eq!(dropping_tables(LISTING, "ensemble_0a1b2c3d"), ["filter"]);
    }

    #[test]
    fn a_machine_without_rules_has_no_obstacle() {
        assert!(dropping_tables("", "ensemble_0a1b2c3d").is_empty());
    }
}

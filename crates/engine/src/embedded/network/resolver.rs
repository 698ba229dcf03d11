//! What pods read as `/etc/resolv.conf`: the machine's, less the resolvers that listen on its loopback, which a pod
//! cannot reach (`decisions.md` §6.6).

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;

/// Where the machine's resolvers stand; the second is what systemd-resolved forwards to when the first names only
/// its own loopback address.
const SOURCES: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

const MOST_BYTES: u64 = 64 * 1024;

/// The content of a pod's `/etc/resolv.conf`. Empty when the machine has no resolver that a pod could reach.
pub fn resolv_conf() -> String {
    let candidates: Vec<String> = SOURCES.iter().filter_map(|path| read_bounded(path)).collect();
    choose(&candidates)
}

/// The first text that leaves a resolver, without its loopback ones; else what the first leaves.
fn choose(candidates: &[String]) -> String {
    let stripped: Vec<String> = candidates.iter().map(|text| without_loopback(text)).collect();
    let with_resolver = stripped.iter().find(|text| text.lines().any(|line| nameserver(line).is_some()));
    with_resolver.or(stripped.first()).cloned().unwrap_or_default()
}

fn read_bounded(path: &str) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(MOST_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

fn without_loopback(text: &str) -> String {
    text.lines()
        .filter(|line| !nameserver(line).is_some_and(is_loopback))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn nameserver(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    if words.next() == Some("nameserver") { words.next() } else { None }
}

/// An unspecified address means this machine too.
fn is_loopback(address: &str) -> bool {
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_unspecified(),
        Ok(IpAddr::V6(address)) => {
            let mapped = address.to_ipv4_mapped().is_some_and(|inner| inner.is_loopback());
            address.is_loopback() || address.is_unspecified() || mapped
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_resolvers_go_and_everything_else_stays() {
        let check =
            |input: &str, expected: &str| assert_eq!(without_loopback(input), expected, "of {input:?}");

        check("nameserver 10.0.0.53\nsearch edge.example\n", "nameserver 10.0.0.53\nsearch edge.example\n");
        check("nameserver 127.0.0.53\nnameserver 10.0.0.53", "nameserver 10.0.0.53\n");
        check("  nameserver\t127.1.2.3 # stub\noptions edns0\n", "options edns0\n");
        check("nameserver ::1\nnameserver 0.0.0.0\nnameserver ::ffff:127.0.0.1\n", "");
        check(
            "nameserver 2001:db8::53\nnameserver fe80::1%eth0\n",
            "nameserver 2001:db8::53\nnameserver fe80::1%eth0\n",
        );
        check("# nameserver 127.0.0.1\n", "# nameserver 127.0.0.1\n");
        check("nameserver\n", "nameserver\n");
        check("", "");
    }

    #[test]
    fn a_stub_resolver_gives_way_to_what_it_forwards_to() {
        let check = |candidates: &[&str], expected: &str| {
            let candidates: Vec<String> = candidates.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(choose(&candidates), expected, "of {candidates:?}");
        };

        check(
            &["nameserver 127.0.0.53\noptions edns0\n", "nameserver 10.0.0.53\n"],
            "nameserver 10.0.0.53\n",
        );
        check(&["nameserver 10.0.0.1\n", "nameserver 10.0.0.53\n"], "nameserver 10.0.0.1\n");
        check(&["nameserver 127.0.0.1\nsearch a\n"], "search a\n");
        check(&[], "");
    }
}

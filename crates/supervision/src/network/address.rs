//! Which addresses pods get: the slice of the pod network that a data directory takes, its bridges' subnets, and
//! the next free address. Pure; must not ask the kernel, what is routed and taken is told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// A bridge takes 1,023 ports and gets slower with each; see `runtime.md` §5.
pub const PODS_PER_BRIDGE: usize = 500;

const SLICE_PREFIX: u8 = 20;
const SUBNET_PREFIX: u8 = 23;

/// The smallest pod network: a gateway and five pods.
const LONGEST_PREFIX: u8 = 29;

/// Routes shorter than this stand for "everywhere" (a default route, or the halves that VPNs write instead).
const SHORTEST_PARTICULAR_PREFIX: u8 = 8;

/// Whether a pod network can be divided at all.
pub fn is_large_enough(pod_network: Ipv4Net) -> bool {
    pod_network.prefix_len() <= LONGEST_PREFIX
}

/// The slice of the pod network for one data directory: where its hash points, or the next one after it that
/// overlaps nothing of `routed`. `None` when everything is routed already.
pub fn choose_slice(pod_network: Ipv4Net, hash: u64, routed: &[Ipv4Net]) -> Option<Ipv4Net> {
    let prefix = SLICE_PREFIX.max(pod_network.prefix_len());
    let count = 1_u64 << (prefix - pod_network.prefix_len());
    let size = 1_u64 << (32 - prefix);
    let first = u64::from(u32::from(pod_network.network()));
    for step in 0..count {
        let number = (hash % count + step) % count;
        let start =
            u32::try_from(first + number * size).expect("a slice lies inside the 32 bits of its network");
        let slice = Ipv4Net::new_assert(Ipv4Addr::from(start), prefix);
        if !overlaps_any(slice, routed) {
            return Some(slice);
        }
    }
    None
}

/// Whether a particular route (not one that stands for everywhere) leads into `network` or a part of it.
pub fn overlaps_any(network: Ipv4Net, routed: &[Ipv4Net]) -> bool {
    routed.iter().any(|route| {
        route.prefix_len() >= SHORTEST_PARTICULAR_PREFIX
            && (route.contains(&network) || network.contains(route))
    })
}

/// The part of a slice that one bridge serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    pub number: usize,
    pub network: Ipv4Net,
}

impl Subnet {
    /// The address of the bridge, the pods' gateway.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.first() + 1)
    }

    /// How many pods it takes at the most.
    pub fn room(&self) -> usize {
        let addresses = 1_usize << (32 - self.network.prefix_len());
        // Less the network's, the gateway's and the broadcast address.
        (addresses - 3).min(PODS_PER_BRIDGE)
    }

    fn first(&self) -> u32 {
        u32::from(self.network.network())
    }

    fn pod_addresses(&self) -> std::ops::RangeInclusive<u32> {
        self.first() + 2..=u32::from(self.network.broadcast()) - 1
    }
}

/// The subnets of a slice in order; the bridge of the first is made first.
pub fn subnets(slice: Ipv4Net) -> Vec<Subnet> {
    let prefix = SUBNET_PREFIX.max(slice.prefix_len());
    slice
        .subnets(prefix)
        .expect("the prefix of a subnet is at least that of its slice")
        .enumerate()
        .map(|(number, network)| Subnet { number, network })
        .collect()
}

/// The subnet that an address of the slice belongs to.
pub fn subnet_of(slice: Ipv4Net, address: Ipv4Addr) -> Option<Subnet> {
    subnets(slice).into_iter().find(|subnet| subnet.network.contains(&address))
}

/// Hands out free addresses of a slice, an address that was freed as late as possible: connections of its former
/// owner, or neighbours that still remember it, should not meet the next one.
#[derive(Debug)]
pub struct Allocator {
    slice: Ipv4Net,
    taken: BTreeSet<Ipv4Addr>,
    last_given: BTreeMap<usize, u32>,
}

impl Allocator {
    pub fn new(slice: Ipv4Net, taken: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        let mut allocator = Self { slice, taken: BTreeSet::new(), last_given: BTreeMap::new() };
        for address in taken {
            allocator.take(address);
        }
        allocator
    }

    /// The next free address, in the first subnet that has room. `None` when the slice is full.
    pub fn allocate(&mut self) -> Option<Ipv4Addr> {
        let subnet = subnets(self.slice).into_iter().find(|subnet| self.pods_in(subnet) < subnet.room())?;
        let range = subnet.pod_addresses();
        let after = self.last_given.get(&subnet.number).map_or(*range.start(), |last| last + 1);
        let address = (after..=*range.end())
            .chain(*range.start()..after)
            .map(Ipv4Addr::from)
            .find(|address| !self.taken.contains(address))?;
        self.take(address);
        Some(address)
    }

    /// Gives an address back.
    pub fn free(&mut self, address: Ipv4Addr) {
        self.taken.remove(&address);
    }

    fn take(&mut self, address: Ipv4Addr) {
        self.taken.insert(address);
        if let Some(subnet) = subnet_of(self.slice, address) {
            self.last_given.insert(subnet.number, u32::from(address));
        }
    }

    fn pods_in(&self, subnet: &Subnet) -> usize {
        let range = subnet.pod_addresses();
        self.taken.range(Ipv4Addr::from(*range.start())..=Ipv4Addr::from(*range.end())).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    fn address(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    #[test]
    fn a_slice_is_where_the_hash_points_or_the_next_one_that_is_not_routed() {
        let check = |hash: u64, routed: &[&str], expected: Option<&str>| {
            let routed: Vec<Ipv4Net> = routed.iter().map(|text| net(text)).collect();
            let chosen = choose_slice(net("10.80.0.0/16"), hash, &routed);
            assert_eq!(chosen, expected.map(net), "hash {hash}, routed {routed:?}");
        };

        check(0, &[], Some("10.80.0.0/20"));
        check(15, &[], Some("10.80.240.0/20"));
        check(16, &[], Some("10.80.0.0/20"));
        check(u64::MAX, &[], Some("10.80.240.0/20"));
        check(0, &["0.0.0.0/0", "128.0.0.0/1", "192.0.2.0/24"], Some("10.80.0.0/20"));
        check(0, &["10.80.4.0/23"], Some("10.80.16.0/20"));
        check(0, &["10.80.15.255/32", "10.80.16.1/32"], Some("10.80.32.0/20"));
        check(15, &["10.80.240.0/20"], Some("10.80.0.0/20"));
        check(3, &["10.80.0.0/17"], Some("10.80.128.0/20"));
        check(3, &["10.0.0.0/8"], None);
    }

    #[test]
    fn a_small_pod_network_is_one_slice_with_one_bridge() {
        let slice = choose_slice(net("10.9.8.0/28"), 12345, &[]).unwrap();

        let subnets = subnets(slice);

        assert_eq!(slice, net("10.9.8.0/28"));
        assert_eq!(subnets.len(), 1);
        assert_eq!(subnets[0].gateway(), address("10.9.8.1"));
        assert_eq!(subnets[0].room(), 13);
    }

    #[test]
    fn a_slice_has_eight_subnets_of_five_hundred_pods() {
        let subnets = subnets(net("10.80.16.0/20"));

        assert_eq!(subnets.len(), 8);
        assert!(subnets.iter().all(|subnet| subnet.room() == PODS_PER_BRIDGE));
        assert_eq!(subnets[1].gateway(), address("10.80.18.1"));
    }

    #[test]
    fn a_freed_address_is_given_again_only_after_all_others() {
        let mut allocator = Allocator::new(net("10.80.0.0/29"), []);
        let first = allocator.allocate().unwrap();

        allocator.free(first);
        let later: Vec<Ipv4Addr> = std::iter::from_fn(|| allocator.allocate()).take(9).collect();

        assert_eq!(first, address("10.80.0.2"));
        let expected = ["10.80.0.3", "10.80.0.4", "10.80.0.5", "10.80.0.6", "10.80.0.2"];
        assert_eq!(later, expected.map(address));
    }

    #[test]
    fn the_next_bridge_begins_when_the_first_holds_five_hundred_pods() {
        let slice = net("10.80.0.0/20");
        let mut allocator = Allocator::new(slice, []);

        let all: Vec<Ipv4Addr> = std::iter::from_fn(|| allocator.allocate()).collect();

        let number = |address: Ipv4Addr| subnet_of(slice, address).unwrap().number;
        assert_eq!(all.len(), 8 * PODS_PER_BRIDGE);
        assert!(all[..PODS_PER_BRIDGE].iter().all(|address| number(*address) == 0));
        assert_eq!(number(all[PODS_PER_BRIDGE]), 1);
    }

    #[test]
    fn a_pod_network_needs_room_for_a_gateway_and_pods() {
        assert!(is_large_enough(net("10.80.0.0/29")));
        assert!(!is_large_enough(net("10.80.0.0/30")));
    }

    proptest! {
        #[test]
        fn an_address_is_never_given_twice_nor_a_gateway(steps in proptest::collection::vec(any::<bool>(), 0..200)) {
            let slice = net("10.80.0.0/27");
            let gateways: Vec<Ipv4Addr> = subnets(slice).iter().map(Subnet::gateway).collect();
            let mut allocator = Allocator::new(slice, []);
            let mut held = Vec::new();
            for give in steps {
                if give {
                    if let Some(address) = allocator.allocate() {
                        prop_assert!(!held.contains(&address) && !gateways.contains(&address));
                        prop_assert!(slice.contains(&address));
                        held.push(address);
                    } else {
                        prop_assert_eq!(held.len(), 29);
                    }
                } else if !held.is_empty() {
                    allocator.free(held.remove(0));
                }
            }
        }

        #[test]
        fn a_chosen_slice_lies_in_the_pod_network(prefix in 0_u8..=29, hash in any::<u64>()) {
            let pod_network = Ipv4Net::new_assert(address("10.80.0.0"), prefix).trunc();
            let slice = choose_slice(pod_network, hash, &[]).unwrap();
            prop_assert!(pod_network.contains(&slice));
            prop_assert!(subnets(slice).len() <= 8);
        }
    }
}

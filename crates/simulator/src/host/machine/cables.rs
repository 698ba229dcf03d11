//! The simulated machine in the place of netlink and nftables: what the real ledger of addresses asks for is done to the
//! simulated network, in single calls of which any may fail or be the last.

use super::ground::Ground;
use super::kernel::SimulatedKernel;
use ensemble_supervision::network::address::Subnet;
use ensemble_supervision::network::record::Reservation;
use ensemble_supervision::network::{Error, Presence, Ruled, Sight, Wires};
use ensemble_supervision::pod::PodKey;
use ipnet::Ipv4Net;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The network of one machine.
#[derive(Clone, Debug)]
pub(crate) struct Cables(pub(crate) SimulatedKernel);

impl Cables {
    fn call<T>(&self, action: &str, deed: impl FnOnce(&mut Ground) -> io::Result<T>) -> Result<T, Error> {
        self.0.change(|ground, _| deed(ground)).map_err(Error::kernel(action))
    }
}

impl Wires for Cables {
    fn routed_elsewhere(&mut self) -> Result<Vec<Ipv4Net>, Error> {
        self.call("list the routes", |ground| Ok(ground.net.foreign_routes.clone()))
    }

    fn look(&mut self) -> Result<Sight, Error> {
        self.call("list the interfaces", |ground| {
            Ok(Sight {
                bridges: ground.net.bridges(),
                links: ground.net.links().cloned().collect(),
                ports: ground.net.links().cloned().collect(),
                namespaces: ground
                    .net
                    .namespaces()
                    .map(|(name, there)| {
                        (name.clone(), if there { Presence::There } else { Presence::Missing })
                    })
                    .collect(),
            })
        })
    }

    fn namespace_path(&self, namespace: &str) -> PathBuf {
        Path::new("/run/netns").join(namespace)
    }

    fn make_bridge(&mut self, subnet: Subnet) -> Result<(), Error> {
        self.call("make a bridge", |ground| {
            ground.net.make_bridge(subnet.number);
            Ok(())
        })
    }

    fn remove_bridges(&mut self) -> Result<(), Error> {
        self.call("remove the bridges", |ground| {
            ground.net.remove_bridges();
            Ok(())
        })
    }

    fn make(&mut self, _pod: &PodKey, held: &Reservation, subnet: Subnet) -> Result<(), Error> {
        self.make_bridge(subnet)?;
        self.call("make the file of the namespace", |ground| {
            ground.net.make_name(&held.namespace);
            Ok(())
        })?;
        self.call("make the namespace", |ground| {
            ground.net.make_namespace(&held.namespace);
            Ok(())
        })?;
        self.call("make the interface", |ground| {
            if ground.net.foreign_addresses.contains(&held.address) {
                return Err(ErrorKind::AddrInUse.into());
            }
            let made = ground.net.make_link(&held.link, subnet.number, &held.namespace, held.address);
            if made { Ok(()) } else { Err(ErrorKind::NotFound.into()) }
        })
    }

    fn unmake(&mut self, pods: &[(Reservation, Option<Subnet>)]) -> Vec<Result<(), Error>> {
        let links = self.call("delete the interfaces", |ground| {
            pods.iter().for_each(|(held, _)| ground.net.remove_link(&held.link));
            Ok(())
        });
        let each =
            pods.iter().map(|(held, _)| links.clone().and_then(|()| self.remove_namespace(&held.namespace)));
        each.collect()
    }

    fn remove_link(&mut self, link: &str) -> Result<(), Error> {
        self.call("delete an interface", |ground| {
            ground.net.remove_link(link);
            Ok(())
        })
    }

    fn remove_namespace(&mut self, namespace: &str) -> Result<(), Error> {
        self.call("remove a namespace", |ground| {
            ground.net.remove_namespace(namespace);
            Ok(())
        })
    }

    fn rule(&mut self, _slice: Ipv4Net, ruled: &Ruled) -> Result<(), Error> {
        self.call("replace the rules", |ground| {
            ground.net.rule(Some(ruled.clone()));
            Ok(())
        })
    }

    fn has_rules(&mut self) -> bool {
        self.call("list the rules", |ground| Ok(ground.net.has_rules())).unwrap_or(false)
    }

    fn close(&mut self) -> Result<(), Error> {
        self.call("take the network down", |ground| {
            ground.net.remove_bridges();
            ground.net.rule(None);
            Ok(())
        })
    }
}

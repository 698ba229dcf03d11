//! Which ports of a pod are open on the machine, and where. Where nothing is attached yet, nothing is open.

use ensemble_model::application::Application;
use ensemble_model::instance::{Instance, Pod};
use ensemble_model::port::PortRange;
use ensemble_wire::payload::device::Network;

/// In the template's order.
pub(super) fn of_pod(application: &Application, instance: &Instance, pod: &Pod) -> Vec<Network> {
    let Some(address) = pod.exposed_at else { return Vec::new() };
    let workloads = application.version(&instance.version).map(|version| version.workloads.as_slice());
    let workload = workloads.unwrap_or_default().iter().find(|workload| workload.name == pod.workload);
    let ranges = workload.map(|workload| workload.ports.as_slice()).unwrap_or_default();
    let network = |range: PortRange| Network {
        container_ports: format!("{}-{}", range.container, range.last_container()),
        external_ip: address.to_string(),
        host_ports: format!("{}-{}", range.node, range.last_node()),
        protocol: range.protocol.to_string(),
    };
    ranges.iter().map(|range| network(range.of_pod(pod.index))).collect()
}

//! The pod network against the real kernel, each test on a machine of its own. Needs root, `ip` and `nft`.

mod node_ports;

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use super::machine::{Greeter, Machine, app, ip, on_a_machine, pod, run, wait, within};
use super::namespace::forget_namespaces;
use super::{Error, Network, PodNetwork, Presence};
use ensemble_supervision::network::names::Names;

fn attach(network: &Network, index: u32, application: &str) -> PodNetwork {
    wait(network.attach(&pod(index), &app(application), None)).unwrap()
}

fn serve_in(attached: &PodNetwork, port: u16) -> Greeter {
    within(&attached.netns, || Greeter::listen(port))
}

fn links() -> String {
    ip("-o link")
}

/// The only interface whose name begins so.
fn link_named(prefix: &str) -> String {
    let text = links();
    let names = text.lines().filter_map(|line| line.split([':', '@']).nth(1)).map(str::trim);
    let mut found = names.filter(|name| name.starts_with(prefix));
    let name = found.next().unwrap().to_owned();
    assert_eq!(found.next(), None);
    name
}

fn assert_nothing_is_left(machine: &Machine, server: &str) {
    let config = machine.config(server);
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    assert!(!mounts.contains(config.run_dir.to_str().unwrap()), "{mounts}");
    assert!(!config.run_dir.join("netns").exists());
    assert_eq!(fs::read_dir(&config.state_dir).unwrap().count(), 0, "the state directory is empty");
    assert_eq!(links().lines().count(), 1, "only the loopback interface is left: {}", links());
    assert_eq!(run("nft", "list tables"), "");
}

#[test]
fn the_machine_reaches_pods_and_pods_of_one_application_reach_each_other() {
    on_a_machine("the_machine_reaches_pods_and_pods_of_one_application_reach_each_other", |machine| {
        let network = machine.open("one");

        let (first, second) = (attach(&network, 0, "shop"), attach(&network, 1, "shop"));
        let greeter = serve_in(&first, 8080);

        assert!(greeter.is_reached(None, first.address).is_some(), "from the machine");
        let seen = greeter.is_reached(Some(&second.netns), first.address);
        assert_eq!(seen, Some(second.address), "from the other pod, under its own address");
        assert!(greeter.is_reached(Some(&first.netns), first.address).is_some(), "from itself");
        assert!(greeter.is_reached(Some(&first.netns), Ipv4Addr::LOCALHOST).is_some(), "by loopback");
    });
}

#[test]
fn pods_of_different_applications_do_not_reach_each_other() {
    on_a_machine("pods_of_different_applications_do_not_reach_each_other", |machine| {
        let network = machine.open("one");

        let (shop, mail) = (attach(&network, 0, "shop"), attach(&network, 1, "mail"));
        let (of_shop, of_mail) = (serve_in(&shop, 8080), serve_in(&mail, 8080));

        assert_eq!(of_shop.is_reached(Some(&mail.netns), shop.address), None);
        assert_eq!(of_mail.is_reached(Some(&shop.netns), mail.address), None);
    });
}

#[test]
fn pods_of_two_servers_on_one_machine_do_not_meet() {
    on_a_machine("pods_of_two_servers_on_one_machine_do_not_meet", |machine| {
        let (one, other) = (machine.open("one"), machine.open("other"));

        let (here, there) = (attach(&one, 0, "shop"), attach(&other, 0, "shop"));
        let (of_here, of_there) = (serve_in(&here, 8080), serve_in(&there, 8080));

        assert_ne!(here.address, there.address);
        assert_eq!(of_here.is_reached(Some(&there.netns), here.address), None);
        assert_eq!(of_there.is_reached(Some(&here.netns), there.address), None);
        assert!(of_here.is_reached(None, here.address).is_some());
        assert!(of_there.is_reached(None, there.address).is_some());
    });
}

#[test]
fn pods_reach_the_machine_but_not_the_control_port() {
    on_a_machine("pods_reach_the_machine_but_not_the_control_port", |machine| {
        let outside = machine.outside();
        let network = machine.open("one");
        let control = Greeter::listen(8420);
        let other = Greeter::listen(8421);

        let attached = attach(&network, 0, "shop");
        let gateway = Ipv4Addr::from((u32::from(attached.address) & 0xffff_fe00) + 1);

        for address in [gateway, Ipv4Addr::new(192, 0, 2, 1)] {
            assert_eq!(other.is_reached(Some(&attached.netns), address), Some(attached.address), "{address}");
            assert_eq!(control.is_reached(Some(&attached.netns), address), None, "{address}");
        }
        assert!(control.is_reached(Some(&outside), Ipv4Addr::new(192, 0, 2, 1)).is_some());
    });
}

#[test]
fn pods_reach_the_outside_under_the_address_of_the_machine() {
    on_a_machine("pods_reach_the_outside_under_the_address_of_the_machine", |machine| {
        let outside = machine.outside();
        let network = machine.open("one");
        let far = Ipv4Addr::new(192, 0, 2, 2);
        let greeter = within(&outside, || Greeter::listen(80));
        let control = within(&outside, || Greeter::listen(8420));

        let attached = attach(&network, 0, "shop");

        let seen = greeter.is_reached(Some(&attached.netns), far);
        assert_eq!(seen, Some(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(control.is_reached(Some(&attached.netns), far), None, "the control port behind a router");
    });
}

#[test]
fn a_pod_has_no_way_around_the_machine() {
    on_a_machine("a_pod_has_no_way_around_the_machine", |machine| {
        let network = machine.open("one");
        let attached = attach(&network, 0, "shop");
        attach(&network, 1, "shop");

        let (addresses, routes, links) =
            within(&attached.netns, || (ip("-o address"), ip("route"), ip("-o link show dev eth0")));

        assert!(addresses.contains(&format!("inet {}/32", attached.address)), "{addresses}");
        assert!(!addresses.contains("fe80"), "no IPv6 on its interface: {addresses}");
        assert_eq!(routes.lines().count(), 2, "{routes}");
        assert!(routes.lines().all(|route| route.contains("dev eth0")), "{routes}");
        assert!(links.contains("state UP"), "{links}");
        let ports = ip("-d -o link show type veth");
        assert_eq!(ports.matches("isolated on").count(), 2, "{ports}");
        assert!(!ip("-6 -o address").contains("fe80"), "no IPv6 on the machine's ends");
    });
}

#[test]
fn attaching_again_changes_nothing() {
    on_a_machine("attaching_again_changes_nothing", |machine| {
        let network = machine.open("one");
        let first = attach(&network, 0, "shop");
        let greeter = serve_in(&first, 8080);
        let before = links();

        let again = attach(&network, 0, "shop");

        assert_eq!(first, again);
        assert_eq!(links(), before);
        assert!(greeter.is_reached(None, first.address).is_some(), "the namespace is the same");
    });
}

#[test]
fn what_is_detached_is_gone_and_detaching_again_is_no_error() {
    on_a_machine("what_is_detached_is_gone_and_detaching_again_is_no_error", |machine| {
        let network = machine.open("one");
        let attached = attach(&network, 0, "shop");
        let greeter = serve_in(&attached, 8080);

        wait(network.detach(&pod(0))).unwrap();
        wait(network.detach(&pod(0))).unwrap();

        assert!(!attached.netns.exists());
        assert!(!links().contains("ev"), "{}", links());
        assert!(!ip("neighbour").contains(&attached.address.to_string()));
        assert!(!run("nft", "list ruleset").contains(&attached.address.to_string()));
        assert_eq!(greeter.is_reached(None, attached.address), None);
        assert_eq!(wait(network.found()).unwrap(), []);
    });
}

#[test]
fn a_server_that_starts_again_takes_its_pods_over() {
    on_a_machine("a_server_that_starts_again_takes_its_pods_over", |machine| {
        let network = machine.open("one");
        let attached = attach(&network, 0, "shop");
        let greeter = serve_in(&attached, 8080);
        drop(network);

        let network = machine.open("one");
        let found = wait(network.found()).unwrap();
        let again = attach(&network, 0, "shop");

        assert_eq!(found.len(), 1);
        assert_eq!(
            (&found[0].pod, &found[0].app, found[0].address),
            (&pod(0), &app("shop"), attached.address)
        );
        assert_eq!((found[0].namespace, found[0].interface), (Presence::There, Presence::There));
        assert_eq!(again, attached);
        assert!(greeter.is_reached(None, attached.address).is_some(), "the namespace is the same");
    });
}

#[test]
fn after_a_reboot_pods_get_their_addresses_again() {
    on_a_machine("after_a_reboot_pods_get_their_addresses_again", |machine| {
        let network = machine.open("one");
        let before = [attach(&network, 0, "shop"), attach(&network, 1, "shop")];
        drop(network);
        let config = machine.config("one");
        forget_namespaces(&config.run_dir).unwrap();
        fs::remove_dir_all(&config.run_dir).unwrap();
        ip(&format!("link delete {}", link_named("eb")));
        run("nft", "flush ruleset");

        let network = machine.open("one");
        let missing = wait(network.found()).unwrap();
        let after = [attach(&network, 1, "shop"), attach(&network, 0, "shop")];

        assert!(missing.iter().all(|found| found.namespace == Presence::Missing), "{missing:?}");
        assert_eq!([&after[1], &after[0]], [&before[0], &before[1]]);
        let greeter = serve_in(&after[0], 8080);
        assert!(greeter.is_reached(Some(&after[1].netns), after[0].address).is_some());
    });
}

#[test]
fn strays_that_no_record_names_are_removed_when_opening() {
    on_a_machine("strays_that_no_record_names_are_removed_when_opening", |machine| {
        let network = machine.open("one");
        attach(&network, 0, "shop");
        let bridge = link_named("eb");
        drop(network);
        ip("link add evstray type veth peer name other");
        ip(&format!("link set evstray master {bridge}"));
        let stray = machine.config("one").run_dir.join("netns/stray");
        fs::write(&stray, "").unwrap();

        let network = machine.open("one");

        assert!(!links().contains("evstray"), "{}", links());
        assert!(!stray.exists());
        assert_eq!(wait(network.found()).unwrap().len(), 1, "the pod of the record stays");
    });
}

#[test]
fn a_lost_record_leaves_no_bridge_with_a_forgotten_address() {
    on_a_machine("a_lost_record_leaves_no_bridge_with_a_forgotten_address", |machine| {
        let network = machine.open("one");
        attach(&network, 0, "shop");
        drop(network);
        fs::remove_file(machine.config("one").state_dir.join("network.json")).unwrap();

        let network = machine.open("one");

        assert_eq!(wait(network.found()).unwrap(), []);
        assert!(!links().contains(": ev"), "{}", links());
    });
}

#[test]
fn a_missing_interface_is_made_again() {
    on_a_machine("a_missing_interface_is_made_again", |machine| {
        let network = machine.open("one");
        let attached = attach(&network, 0, "shop");
        let greeter = serve_in(&attached, 8080);
        ip(&format!("link delete {}", link_named("ev")));
        assert_eq!(wait(network.found()).unwrap()[0].interface, Presence::Missing);

        let again = attach(&network, 0, "shop");

        assert_eq!(again, attached);
        assert!(greeter.is_reached(None, attached.address).is_some(), "the namespace is the same");
    });
}

#[test]
fn a_bridge_that_somebody_removed_is_made_again_by_the_next_try() {
    on_a_machine("a_bridge_that_somebody_removed_is_made_again_by_the_next_try", |machine| {
        let network = machine.open("one");
        let first = attach(&network, 0, "shop");
        ip(&format!("link delete {}", link_named("eb")));

        let _ = wait(network.attach(&pod(0), &app("shop"), None));
        let again = attach(&network, 0, "shop");

        let greeter = serve_in(&again, 8080);
        assert!(greeter.is_reached(None, first.address).is_some());
    });
}

#[test]
fn flushed_rules_are_mended_by_looking() {
    on_a_machine("flushed_rules_are_mended_by_looking", |machine| {
        let network = machine.open("one");
        attach(&network, 0, "shop");
        let before = run("nft", "list ruleset");
        run("nft", "flush ruleset");

        wait(network.found()).unwrap();

        assert_eq!(run("nft", "list ruleset"), before);
    });
}

#[test]
fn a_slice_that_is_routed_already_is_passed_over() {
    on_a_machine("a_slice_that_is_routed_already_is_passed_over", |machine| {
        let network = machine.open("one");
        let first = attach(&network, 0, "shop").address;
        wait(network.close_all()).unwrap();
        let slice = Ipv4Addr::from(u32::from(first) & 0xffff_f000);
        ip(&format!("route add {slice}/20 dev lo"));

        let network = machine.open("one");
        let second = attach(&network, 0, "shop").address;

        assert_ne!(u32::from(first) >> 12, u32::from(second) >> 12, "{first} and {second}");
    });
}

#[test]
fn a_pod_network_that_is_routed_elsewhere_is_refused() {
    on_a_machine("a_pod_network_that_is_routed_elsewhere_is_refused", |machine| {
        ip("route add 10.0.0.0/8 dev lo");

        let error = wait(Network::open(machine.config("one"))).unwrap_err();

        assert!(matches!(error, Error::NothingFree { .. }), "{error}");
    });
}

#[test]
fn closing_everything_leaves_nothing() {
    on_a_machine("closing_everything_leaves_nothing", |machine| {
        let network = machine.open("one");
        for index in 0..3 {
            attach(&network, index, "shop");
        }

        wait(network.close_all()).unwrap();

        assert_nothing_is_left(machine, "one");
        let error = wait(network.attach(&pod(0), &app("shop"), None)).unwrap_err();
        assert!(matches!(error, Error::Closed), "{error}");
    });
}

#[test]
fn a_full_slice_refuses_one_pod_and_harms_no_other() {
    on_a_machine("a_full_slice_refuses_one_pod_and_harms_no_other", |machine| {
        let mut config = machine.config("one");
        config.pod_network = "10.80.0.0/29".parse().unwrap();
        let network = wait(Network::open(config)).unwrap();

        let answers: Vec<_> = wait(async {
            let pods: Vec<_> = (0..6).map(pod).collect();
            let app = app("shop");
            futures_util::future::join_all(pods.iter().map(|pod| network.attach(pod, &app, None))).await
        });

        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 5);
        let refused = answers.iter().find_map(|answer| answer.as_ref().err()).unwrap();
        assert!(matches!(refused, Error::Full { .. }), "{refused}");
    });
}

/// A bridge takes 1,023 ports (runtime.md §5).
#[test]
fn a_pod_that_its_bridge_has_no_port_for_leaves_nothing_and_its_address_is_free_again() {
    let name = "a_pod_that_its_bridge_has_no_port_for_leaves_nothing_and_its_address_is_free_again";
    on_a_machine(name, |machine| {
        let mut config = machine.config("one");
        // Five addresses: one that were lost would be missed.
        config.pod_network = "10.80.0.0/29".parse().unwrap();
        let (batch, run_dir) = (config.state_dir.join("../batch"), config.run_dir.clone());
        let network = wait(Network::open(config)).unwrap();
        let bridge = link_named("eb");
        let ports =
            (0..1_023).map(|port| format!("link add p{port} master {bridge} type veth peer name q{port}\n"));
        fs::write(&batch, ports.collect::<String>()).unwrap();
        ip(&format!("-batch {}", batch.display()));

        let refused = wait(network.attach(&pod(0), &app("shop"), None)).unwrap_err();
        wait(network.detach(&pod(0))).unwrap();
        let namespaces = fs::read_dir(run_dir.join("netns")).unwrap().count();
        let interfaces = links().matches(" ev").count();
        (0..5).for_each(|port| drop(ip(&format!("link delete p{port}"))));
        let addresses: Vec<_> = (1..6).map(|index| attach(&network, index, "shop").address).collect();

        assert!(matches!(refused, Error::Kernel { .. }), "{refused}");
        assert_eq!((namespaces, interfaces), (0, 0));
        assert_eq!(addresses.len(), 5);
    });
}

/// Its name is a hash of the data directory and the pod: what has it was ours, before a crash.
#[test]
fn an_interface_that_has_a_pods_name_already_gives_way() {
    on_a_machine("an_interface_that_has_a_pods_name_already_gives_way", |machine| {
        let network = machine.open("one");
        let taken = Names::new(&machine.config("one").data_dir_identity).link(&pod(0), 0);
        ip(&format!("link add {taken} type veth peer name other"));

        let attached = attach(&network, 0, "shop");

        let greeter = serve_in(&attached, 8080);
        assert!(greeter.is_reached(None, attached.address).is_some());
        assert_eq!(link_named("ev"), taken);
    });
}

#[test]
fn a_shim_can_forget_all_namespaces_in_its_own_mount_namespace() {
    on_a_machine("a_shim_can_forget_all_namespaces_in_its_own_mount_namespace", |machine| {
        let network = machine.open("one");
        let run_dir = machine.config("one").run_dir;
        let mounts = |path: &Path| {
            let table = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
            table.matches(path.to_str().unwrap()).count()
        };
        attach(&network, 0, "shop");

        let in_shim = std::thread::scope(|scope| {
            let shim = scope.spawn(|| {
                nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
                let before = mounts(&run_dir);
                forget_namespaces(&run_dir).unwrap();
                forget_namespaces(&run_dir).unwrap();
                (before, mounts(&run_dir))
            });
            shim.join().unwrap()
        });

        assert_eq!(in_shim, (2, 0));
        assert_eq!(mounts(&run_dir), 2, "the machine still has them");
    });
}

//! What faults look like from outside, over the filter as a value.

use super::{Failure, Faults, Filter, Switched};
use ensemble_model::id::{AppId, EdgeNodeId, EngineName, InstanceId, Isp, VersionName};
use ensemble_model::instance::PodStatus;
use ensemble_model::observation::{InstanceObservation, Observation, PodObservation, Presence, Reach};
use ensemble_model::spec::Resources;
use ensemble_model::wanted::{
    CellKey, CellTemplate, Coverage, Epoch, Wanted, WantedCell, WantedInstance, WantedWorkload,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn cell(node: &str, run: &[&str], release: &[&str]) -> WantedCell {
    let workload = WantedWorkload { name: "web".into(), pod_count: 1, exposed: None, containers: Vec::new() };
    let isp = Isp::new("cmcc");
    let (app, version) = (AppId::new("a"), VersionName::new("v1"));
    let run = run.iter().map(|id| WantedInstance {
        id: InstanceId::new(*id),
        deployment: "abcdefgh".into(),
        host: None,
    });
    WantedCell {
        key: CellKey { app, version, node: EdgeNodeId::new(node), isp },
        template: Arc::new(CellTemplate {
            app_name: "hello".into(),
            limits: Resources { vcpu: 2, memory_mib: 4096 },
            workloads: vec![workload],
            pins: BTreeMap::new(),
        }),
        run: run.collect(),
        release: release.iter().map(|id| InstanceId::new(*id)).collect(),
    }
}

fn wanted(coverage: Coverage, cells: Vec<WantedCell>) -> Wanted {
    wanted_at(1, coverage, cells)
}

fn wanted_at(sequence: u64, coverage: Coverage, cells: Vec<WantedCell>) -> Wanted {
    Wanted { epoch: Epoch(7), sequence, coverage, cells }
}

fn cells(wanted: Vec<Wanted>) -> Vec<Vec<WantedCell>> {
    wanted.into_iter().map(|wanted| wanted.cells).collect()
}

fn report(reach: Reach, instances: &[(&str, Presence)]) -> Observation {
    let instances = instances
        .iter()
        .map(|(id, presence)| InstanceObservation {
            instance: InstanceId::new(*id),
            presence: presence.clone(),
        })
        .collect();
    let (engine, epoch) = (EngineName::new("here"), Epoch(7));
    Observation { engine, epoch, number: 1, reach, instances, resolved: Vec::new() }
}

fn running() -> Presence {
    let pod = PodObservation {
        workload: "web".into(),
        index: 0,
        status: PodStatus::Running,
        address: None,
        exposed_at: None,
        restarts: 0,
        message: String::new(),
    };
    Presence::Here { deployment: String::new(), pods: vec![pod], ready: true, hopeless: None }
}

/// One line per report: `Listed: i-1 Running, i-2 gone`.
fn words(observations: &[Observation]) -> Vec<String> {
    let word = |one: &InstanceObservation| match &one.presence {
        Presence::Gone => format!("{} gone", one.instance),
        Presence::Here { pods, hopeless: None, .. } => {
            format!("{} {}", one.instance, pods[0].status.as_str())
        }
        Presence::Here { hopeless: Some(reason), .. } => format!("{} hopeless: {reason}", one.instance),
    };
    let line = |observation: &Observation| {
        let reach = match &observation.reach {
            Reach::Whole => "Whole".to_owned(),
            Reach::Listed => "Listed".to_owned(),
            Reach::Unreachable(nodes) => {
                format!("Unreachable {}", nodes.iter().map(EdgeNodeId::as_str).collect::<Vec<_>>().join(" "))
            }
        };
        let instances: Vec<String> = observation.instances.iter().map(word).collect();
        format!("{reach}: {}", instances.join(", "))
    };
    observations.iter().map(line).collect()
}

fn cut_off(nodes: &[&str]) -> Faults {
    let unreachable = nodes.iter().map(|node| EdgeNodeId::new(*node)).collect::<BTreeSet<_>>();
    Faults { unreachable, ..Faults::default() }
}

/// `i-1` runs on `n`, `i-2` on `m`, and the engine has said so.
fn filter() -> Filter {
    let mut filter = Filter::new(EngineName::new("here"));
    filter.converge(wanted(Coverage::Complete, vec![cell("n", &["i-1"], &[]), cell("m", &["i-2"], &[])]));
    let heard = filter.observe(report(Reach::Whole, &[("i-1", running()), ("i-2", running())]));
    assert_eq!(words(&heard), ["Whole: i-1 Running, i-2 Running"]);
    filter
}

fn switch(filter: &mut Filter, faults: Faults) -> Switched {
    filter.set(faults);
    filter.due()
}

#[test]
fn an_engine_that_was_told_nothing_of_a_node_out_of_reach_ends_nothing_there() {
    let mut filter = Filter::new(EngineName::new("here"));
    switch(&mut filter, cut_off(&["n"]));
    let (n, m) = (cell("n", &["i-1"], &[]), cell("m", &["i-2"], &[]));

    let passed = filter.converge(wanted(Coverage::Complete, vec![n.clone(), m.clone()]));
    let left_out = filter.converge(wanted_at(2, Coverage::Complete, vec![n.clone()]));
    let back = switch(&mut filter, Faults::default()).wanted;

    // A complete list without what is withheld would empty the node.
    assert_eq!((passed.coverage, passed.cells), (Coverage::Listed, vec![m]));
    assert_eq!((left_out.coverage, left_out.cells), (Coverage::Listed, vec![cell("m", &[], &[])]));
    let coverages: Vec<Coverage> = back.iter().map(|wanted| wanted.coverage).collect();
    assert_eq!(coverages, [Coverage::Listed, Coverage::Complete]);
    assert_eq!(back[1].standing(), wanted_at(2, Coverage::Complete, Vec::new()).standing());
    assert!(back[1].cells.contains(&n), "{back:?}");
    assert!(switch(&mut filter, Faults::default()).wanted.is_empty());
}

#[test]
fn without_faults_everything_passes_unchanged() {
    let mut filter = filter();
    let asked = wanted(Coverage::Listed, vec![cell("n", &["i-1", "i-3"], &[])]);

    let passed = filter.converge(asked.clone());
    let said = report(Reach::Listed, &[("i-3", running()), ("i-9", Presence::Gone)]);

    assert_eq!((passed.coverage, passed.cells), (asked.coverage, asked.cells));
    assert_eq!(filter.observe(said.clone()), [Observation { number: 2, ..said }]);
}

#[test]
fn a_node_cut_off_is_said_to_be_so_and_is_neither_told_nor_heard() {
    let mut filter = filter();

    let switched = switch(&mut filter, cut_off(&["n"]));
    let cells = vec![cell("n", &[], &["i-1"]), cell("m", &["i-2", "i-3"], &[])];
    let passed = filter.converge(wanted(Coverage::Listed, cells));
    let heard = filter.observe(report(Reach::Listed, &[("i-1", Presence::Gone), ("i-3", running())]));

    assert_eq!(words(&switched.observations), ["Unreachable n: "]);
    assert_eq!(passed.cells, [cell("m", &["i-2", "i-3"], &[])]);
    assert_eq!(words(&heard), ["Listed: i-3 Running"]);
    assert!(filter.is_cut_off(&InstanceId::new("i-1")));
}

#[test]
fn a_node_that_comes_back_is_told_what_it_missed_and_heard_as_a_whole() {
    let mut filter = filter();
    switch(&mut filter, cut_off(&["n"]));
    filter.converge(wanted(Coverage::Listed, vec![cell("n", &["i-4"], &["i-1"])]));

    let switched = switch(&mut filter, Faults::default());

    let told = switched.wanted.iter().map(|wanted| (wanted.coverage, wanted.cells.clone()));
    assert_eq!(told.collect::<Vec<_>>(), [(Coverage::Listed, vec![cell("n", &["i-4"], &["i-1"])])]);
    assert_eq!(words(&switched.observations), ["Whole: i-1 Running, i-2 Running"]);
}

#[test]
fn what_is_gone_while_cut_off_is_confirmed_when_the_node_is_back() {
    let mut filter = filter();
    filter.converge(wanted(Coverage::Listed, vec![cell("n", &[], &["i-1"])]));
    switch(&mut filter, cut_off(&["n"]));
    assert_eq!(filter.observe(report(Reach::Listed, &[("i-1", Presence::Gone)])), []);

    let switched = switch(&mut filter, Faults::default());

    assert_eq!(words(&switched.observations), ["Whole: i-1 gone, i-2 Running"]);
}

#[test]
fn of_several_nodes_the_first_to_come_back_is_heard_by_name() {
    let mut filter = filter();
    switch(&mut filter, cut_off(&["m", "n"]));

    let switched = switch(&mut filter, cut_off(&["m"]));

    assert_eq!(words(&switched.observations), ["Listed: i-1 Running"]);
}

#[test]
fn a_report_of_the_whole_claims_nothing_about_a_node_cut_off() {
    let mut filter = filter();
    switch(&mut filter, cut_off(&["n"]));

    let heard = filter.observe(report(Reach::Whole, &[("i-2", running())]));

    assert_eq!(words(&heard), ["Unreachable n: ", "Listed: i-2 Running"]);
}

#[test]
fn a_complete_list_changes_a_node_cut_off_only_when_it_is_back() {
    let mut filter = filter();
    switch(&mut filter, cut_off(&["n"]));

    let passed = filter.converge(wanted(Coverage::Complete, vec![cell("m", &["i-2"], &[])]));
    let switched = switch(&mut filter, Faults::default());

    assert_eq!(passed.cells, [cell("m", &["i-2"], &[]), cell("n", &["i-1"], &[])]);
    assert_eq!(cells(switched.wanted), [[cell("n", &[], &[])]]);
}

#[test]
fn what_was_wanted_and_not_yet_reported_is_pending_in_the_report_of_the_whole() {
    let mut filter = filter();
    switch(&mut filter, cut_off(&["n"]));
    filter.converge(wanted(Coverage::Listed, vec![cell("m", &["i-2", "i-5"], &[])]));

    let switched = switch(&mut filter, Faults::default());

    assert_eq!(words(&switched.observations), ["Whole: i-1 Running, i-2 Running, i-5 Pending"]);
}

#[test]
fn instances_fail_and_recover_as_they_are_told_to() {
    let mut filter = filter();
    let reason = "no executable".to_owned();
    let faults = Faults {
        failing: BTreeMap::from([(EdgeNodeId::new("n"), Failure::Crashing)]),
        failing_instances: BTreeMap::from([(InstanceId::new("i-2"), Failure::Hopeless { reason })]),
        ..Faults::default()
    };

    let failing = switch(&mut filter, faults);
    let again = filter.observe(report(Reach::Listed, &[("i-1", running())]));
    let gone = filter.observe(report(Reach::Listed, &[("i-2", Presence::Gone)]));
    let sound = switch(&mut filter, Faults::default());

    assert_eq!(words(&failing.observations), ["Listed: i-1 Failed, i-2 hopeless: no executable"]);
    assert_eq!(words(&again), ["Listed: i-1 Failed"]);
    assert_eq!(words(&gone), ["Listed: i-2 gone"]);
    assert_eq!(words(&sound.observations), ["Listed: i-1 Running"]);
}

#[test]
fn what_was_missed_between_two_switches_is_heard_though_nobody_knew_of_the_first() {
    let mut filter = filter();
    filter.set(cut_off(&["n"]));
    assert_eq!(filter.observe(report(Reach::Listed, &[("i-1", Presence::Gone)])), []);
    filter.set(Faults::default());

    let due = filter.due();

    assert_eq!(words(&due.observations), ["Listed: i-1 gone"]);
}

#[test]
fn what_was_withheld_never_overtakes_something_newer() {
    let mut filter = filter();
    filter.set(cut_off(&["n"]));
    filter.converge(wanted(Coverage::Listed, vec![cell("n", &["i-1", "i-4"], &[])]));
    filter.set(Faults::default());
    filter.converge(wanted(Coverage::Listed, vec![cell("n", &["i-1"], &["i-4"])]));

    assert!(filter.due().wanted.is_empty());
}

#[test]
fn what_is_wanted_late_is_not_passed_over_what_is_newer() {
    let mut filter = filter();
    filter.converge(wanted_at(5, Coverage::Listed, vec![cell("n", &["i-1", "i-4"], &[])]));

    let late = filter.converge(wanted_at(4, Coverage::Listed, vec![cell("n", &["i-1", "i-3"], &[])]));
    let late_list = filter.converge(wanted_at(3, Coverage::Complete, vec![cell("m", &["i-2"], &[])]));

    assert_eq!((late.sequence, late.cells), (4, vec![]));
    assert_eq!((late_list.coverage, late_list.cells), (Coverage::Complete, vec![cell("m", &["i-2"], &[])]));
}

#[test]
fn what_was_withheld_is_as_new_as_when_it_was_wanted() {
    let mut filter = filter();
    switch(&mut filter, cut_off(&["n", "m"]));
    filter.converge(wanted_at(6, Coverage::Listed, vec![cell("m", &["i-2", "i-6"], &[])]));
    filter.converge(wanted_at(
        5,
        Coverage::Listed,
        vec![cell("n", &["i-1", "i-5"], &[]), cell("m", &[], &[])],
    ));

    let told = switch(&mut filter, Faults::default()).wanted;

    let sequences: Vec<u64> = told.iter().map(|wanted| wanted.sequence).collect();
    assert_eq!(sequences, [5, 6]);
    assert_eq!(cells(told), [[cell("n", &["i-1", "i-5"], &[])], [cell("m", &["i-2", "i-6"], &[])]]);
}

#[test]
fn reports_are_numbered_anew_and_one_for_an_older_leader_is_not_heard() {
    let mut filter = filter();
    let numbers = |heard: &[Observation]| heard.iter().map(|one| one.number).collect::<Vec<_>>();
    switch(&mut filter, cut_off(&["n"]));

    let heard = filter.observe(report(Reach::Whole, &[("i-2", running())]));
    let older = Observation { epoch: Epoch(6), ..report(Reach::Listed, &[("i-2", Presence::Gone)]) };

    assert_eq!(numbers(&heard), [3, 4], "after the first whole and the cut");
    assert_eq!(filter.observe(older), []);
}

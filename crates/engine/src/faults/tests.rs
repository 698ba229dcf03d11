//! What faults look like from outside over a running engine; the filter has tests of its own.

use super::{Faults, Faulty};
use crate::simulated::{Simulated, SimulatedOptions};
use crate::{Engine, Error, LogQuery};
use ensemble_model::id::{AppId, EdgeNodeId, EngineName, InstanceId, Isp, VersionName};
use ensemble_model::observation::{InstanceObservation, Observation, Presence, Reach};
use ensemble_model::spec::Resources;
use ensemble_model::wanted::{
    CellKey, CellTemplate, Coverage, Epoch, Wanted, WantedCell, WantedInstance, WantedWorkload,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

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
    Wanted { epoch: Epoch(7), sequence: 1, coverage, cells }
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

struct Bench {
    engine: Faulty<Simulated>,
    reports: mpsc::Receiver<Observation>,
}

impl Bench {
    fn start() -> Self {
        let (to_faulty, from_engine) = mpsc::channel(8);
        let (to_us, reports) = mpsc::channel(8);
        let name = EngineName::new("here");
        let simulated = Simulated::start(name.clone(), SimulatedOptions::default(), to_faulty);
        Self { engine: Faulty::start(name, simulated, from_engine, to_us), reports }
    }

    async fn next(&mut self) -> String {
        words(&[self.reports.recv().await.expect("the engine runs")]).join("")
    }

    async fn converge(&self, coverage: Coverage, cells: Vec<WantedCell>) {
        self.engine.converge(wanted(coverage, cells)).await.expect("the epoch is never stale");
    }
}

#[tokio::test]
async fn a_running_engine_is_cut_off_and_comes_back() {
    let mut bench = Bench::start();
    bench.converge(Coverage::Complete, vec![cell("n", &["i-1"], &[])]).await;
    assert_eq!(bench.next().await, "Whole: i-1 Running");

    bench.engine.switch().set(cut_off(&["n"]));
    assert_eq!(bench.next().await, "Unreachable n: ");
    bench.converge(Coverage::Listed, vec![cell("n", &["i-2"], &["i-1"])]).await;
    let query = LogQuery {
        instance: InstanceId::new("i-1"),
        workload: "web".into(),
        index: 0,
        container: "web".into(),
        since: None,
        tail: 1,
    };
    assert!(matches!(bench.engine.logs(query).await, Err(Error::Unreachable { .. })));

    bench.engine.switch().set(Faults::default());
    assert_eq!(bench.next().await, "Whole: i-1 Running");
    assert_eq!(bench.next().await, "Listed: i-1 gone, i-2 Running");
    bench.engine.shut_down().await;
    assert_eq!(bench.reports.recv().await, None);
}

#[tokio::test]
async fn late_reports_arrive_in_order_and_not_before_their_time() {
    let mut bench = Bench::start();
    let delay = Duration::from_millis(30);
    bench.engine.switch().set(Faults { delay, ..Faults::default() });

    let begun = Instant::now();
    bench.converge(Coverage::Complete, Vec::new()).await;
    assert_eq!(bench.next().await, "Whole: ");
    for number in 0..3 {
        let node = format!("n-{number}");
        bench.converge(Coverage::Listed, vec![cell(&node, &[&format!("i-{number}")], &[])]).await;
    }
    let mut heard = Vec::new();
    while heard.len() < 3 {
        heard.extend(bench.reports.recv().await.expect("the engine runs").instances);
    }

    let ids: Vec<&str> = heard.iter().map(|one| one.instance.as_str()).collect();
    assert_eq!(ids, ["i-0", "i-1", "i-2"]);
    assert!(begun.elapsed() >= 2 * delay);
    bench.engine.shut_down().await;
}

//! What clients ask about versions: new ones and further steps, for all or a few, at once or by and by, and back.

use super::{Client, container};
use ensemble_model::application::Workload;
use ensemble_model::command::{
    AutoUpgrade, Change, DeleteAppVersion, RollbackApplication, UpgradeApplication, WorkloadPatch,
};
use ensemble_model::id::{AppId, VersionName};
use ensemble_model::instance::Instance;
use ensemble_model::matching::{Condition, MatchKey, Operator};
use ensemble_model::rollout::{Rule, Schedule, UnitLevel};
use ensemble_model::state::State;
use ensemble_model::time::LogTime;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Client {
    pub(super) fn about_a_version(&mut self, app: &AppId, state: &State) -> Option<Change> {
        let permit = self.permit();
        let application = state.account(&permit).application(app)?.clone();
        let names: Vec<VersionName> =
            application.versions.iter().map(|version| version.name.clone()).collect();
        let if_revision = if self.dice.happens(200) { self.remembered(app, state) } else { None };
        let known = self.dice.pick(&names).cloned()?;
        Some(match self.dice.below(10) {
            0 => Change::DeleteVersion(DeleteAppVersion { app: app.clone(), version: known, if_revision }),
            1 | 2 => Change::Rollback(RollbackApplication {
                app: app.clone(),
                from: known,
                to: if self.dice.happens(500) { self.dice.pick(&names).cloned() } else { None },
                timeout_s: self.timeout(),
                on_timeout: self.on_timeout(),
                if_revision,
            }),
            _ => {
                let instances = state.account(&permit).instances(app);
                self.upgrade(app, known, &instances, if_revision)
            }
        })
    }

    fn upgrade(
        &mut self,
        app: &AppId,
        known: VersionName,
        instances: &[&Arc<Instance>],
        if_revision: Option<u64>,
    ) -> Change {
        let is_new = self.dice.happens(600);
        let to = if is_new { VersionName::new(format!("v{}", self.dice.between(2, 40))) } else { known };
        let workload = Workload {
            name: "web".to_owned(),
            pod_count: self.dice.between(1, 2) as u32,
            service_config: None,
            ports: Vec::new(),
            containers: vec![container("web")],
        };
        let patch = WorkloadPatch {
            workload,
            gives_pod_count: true,
            gives_service_config: false,
            gives_pod_spec: self.dice.happens(500),
        };
        Change::Upgrade(Box::new(UpgradeApplication {
            app: app.clone(),
            to,
            description: String::new(),
            workloads: if is_new { vec![patch] } else { Vec::new() },
            pins: BTreeMap::new(),
            from: None,
            only: self.a_few(instances).into_iter().collect(),
            auto: if self.dice.happens(500) { Some(self.by_and_by()) } else { None },
            task: "task".to_owned(),
            timeout_s: self.timeout(),
            on_timeout: self.on_timeout(),
            if_revision,
        }))
    }

    /// A canary: one node's, one carrier's, or one by one.
    fn a_few(&mut self, instances: &[&Arc<Instance>]) -> Option<Condition> {
        let one = self.dice.index(instances.len()).map(|at| instances[at])?;
        let (key, value) = match self.dice.below(6) {
            0 => (MatchKey::RegionId, one.node.to_string()),
            1 => (MatchKey::Isp, one.isp.to_string()),
            2 => (MatchKey::InstanceId, one.shown_id().to_string()),
            _ => return None,
        };
        let operator = if self.dice.happens(700) { Operator::In } else { Operator::NotIn };
        Some(Condition { key, operator, values: vec![value] })
    }

    fn by_and_by(&mut self) -> AutoUpgrade {
        let rule = Rule {
            region_codes: vec!["All".to_owned()],
            busy_at_most: 100,
            ratio: self.dice.between(1, 100) as u32,
            count: if self.dice.happens(300) { Some(1) } else { None },
        };
        let hours = if self.dice.happens(300) { (22, 6) } else { (0, 24) };
        AutoUpgrade {
            schedule: Schedule {
                from: None,
                until: None,
                start_hour: hours.0,
                end_hour: hours.1,
                offset_s: 8 * 3_600,
                check_s: self.dice.between(1, 60) as u32,
                next_check: LogTime::default(),
            },
            level: if self.dice.happens(500) { UnitLevel::RegionId } else { UnitLevel::Small },
            rules: vec![rule],
        }
    }
}

//! UpgradeApplication: a new version, or a further step of one that exists (ens-api.md §2.3). `oci:` images are read and
//! pinned here, before anything is decided, as at creation.

use super::create_application::workload;
use super::rescale_application::ending;
use super::{Answer, Context, client_token};
use crate::images;
use ensemble_model::command::{AutoUpgrade, Change, UpgradeApplication, WorkloadPatch};
use ensemble_model::id::{AppId, Digest, OperationId, VersionName};
use ensemble_model::matching::{Condition, MatchKey, Operator};
use ensemble_model::permit::Permit;
use ensemble_model::rollout::{Rule, Schedule, UnitLevel};
use ensemble_model::time::{LogTime, WallTime};
use ensemble_wire::action::upgrade_application::{Request, Response};
use ensemble_wire::error::Error;
use ensemble_wire::template::{self, Upgrade};
use std::collections::BTreeMap;

pub(super) async fn handle(context: &Context, permit: Permit, request: Request) -> Result<Answer, Error> {
    let token = client_token(context, request.client_token.as_deref());
    let accepted = match context.answered(&permit, token.as_ref())? {
        Some(accepted) => accepted,
        None => {
            let template = request.template()?;
            let given: Vec<template::Workload> =
                template.workloads.iter().map(|patch| patch.workload.clone()).collect();
            let pins = images::pin(&context.services.engines, &given).await?;
            let change = Change::Upgrade(Box::new(change(template, pins.digests.clone(), &request)));
            let accepted = context.submit(permit.clone(), change, token).await?;
            drop(pins);
            accepted
        }
    };
    let task_id = task_of(context, &permit, &accepted.operation);
    let response = Response { request_id: accepted.operation.to_string(), task_id };
    Ok(Answer::accepted(&response, &accepted))
}

/// A token that came again is answered with the first one's.
fn task_of(context: &Context, permit: &Permit, operation: &OperationId) -> String {
    let state = context.state();
    let found = state.account(permit).operation(operation);
    found.and_then(|found| found.rollout.as_ref()?.task.clone()).unwrap_or_default()
}

fn change(asked: Upgrade, pins: BTreeMap<String, Digest>, request: &Request) -> UpgradeApplication {
    UpgradeApplication {
        app: AppId::new(request.app_id.clone()),
        to: VersionName::new(asked.to),
        description: asked.description,
        workloads: asked.workloads.into_iter().map(patch).collect(),
        pins,
        from: asked.from.map(condition),
        only: asked.only.into_iter().map(condition).collect(),
        auto: asked.auto.map(auto),
        task: uuid::Uuid::new_v4().to_string(),
        timeout_s: request.timeout_s,
        on_timeout: ending(request.on_timeout),
        if_revision: request.if_revision,
    }
}

fn patch(asked: template::WorkloadPatch) -> WorkloadPatch {
    WorkloadPatch {
        workload: workload(asked.workload),
        gives_pod_count: asked.gives_pod_count,
        gives_service_config: asked.gives_service_config,
        gives_pod_spec: asked.gives_pod_spec,
    }
}

fn condition(asked: template::Condition) -> Condition {
    let key = match asked.key {
        template::MatchKey::RegionId => MatchKey::RegionId,
        template::MatchKey::Isp => MatchKey::Isp,
        template::MatchKey::InstanceId => MatchKey::InstanceId,
        template::MatchKey::AreaCode => MatchKey::AreaCode,
        template::MatchKey::AppVersion => MatchKey::AppVersion,
    };
    let operator = if asked.is_in { Operator::In } else { Operator::NotIn };
    Condition { key, operator, values: asked.values }
}

/// Hours and moments are UTC, as every time of the API is.
fn auto(asked: template::AutoUpgrade) -> AutoUpgrade {
    let rule = |rule: template::Rule| Rule {
        region_codes: rule.region_codes,
        busy_at_most: rule.busy_at_most,
        ratio: rule.ratio,
        count: rule.count,
    };
    AutoUpgrade {
        schedule: Schedule {
            from: asked.from_local_ms.map(WallTime),
            until: asked.until_local_ms.map(WallTime),
            start_hour: asked.start_hour,
            end_hour: asked.end_hour,
            offset_s: 0,
            check_s: asked.check_s,
            next_check: LogTime::default(),
        },
        level: match asked.level {
            "National" => UnitLevel::National,
            "Big" => UnitLevel::Big,
            "Middle" => UnitLevel::Middle,
            "Small" => UnitLevel::Small,
            _ => UnitLevel::RegionId,
        },
        rules: asked.rules.into_iter().map(rule).collect(),
    }
}

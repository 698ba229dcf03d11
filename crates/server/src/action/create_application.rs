//! CreateApplication: an application from a template and, where the template selects some, its first instances
//! (ens-api.md §2.1). `oci:` images are read and pinned here, before anything is decided (`decisions.md` §6.3).

use super::rescale_application::{ending, selector_item};
use super::{Answer, Context, client_token};
use crate::images;
use ensemble_model::application::{ApplicationMeta, Container, Port, ResourceAttribute, Strategy, Workload};
use ensemble_model::command::{Change, CreateApplication};
use ensemble_model::id::{AppId, Digest, SpecName, VersionName};
use ensemble_model::permit::Permit;
use ensemble_model::port::{PortRange, Protocol};
use ensemble_model::probe::{Probe, Question};
use ensemble_model::selector::Level;
use ensemble_wire::action::create_application::{Request, Response};
use ensemble_wire::error::Error;
use ensemble_wire::template::{self, AreaLevel, Template};
use std::collections::BTreeMap;

pub(super) async fn handle(context: &Context, permit: Permit, request: Request) -> Result<Answer, Error> {
    let token = client_token(context, request.client_token.as_deref());
    let accepted = match context.answered(&permit, token.as_ref())? {
        Some(accepted) => accepted,
        None => {
            let template = request.template()?;
            let pins = images::pin(&context.services.engines, &template.workloads).await?;
            let digests = pins.digests.clone();
            let change = Change::Create(Box::new(change(template, digests, &request)?));
            let accepted = context.submit(permit, change, token).await?;
            drop(pins);
            accepted
        }
    };
    Ok({
        let response = Response {
            app_id: accepted.app.as_ref().map(ToString::to_string).unwrap_or_default(),
            request_id: accepted.operation.to_string(),
        };
        Answer::accepted(&response, &accepted)
    })
}

fn change(
    template: Template,
    pins: BTreeMap<String, Digest>,
    request: &Request,
) -> Result<CreateApplication, Error> {
    let selector = template.selector.items()?.into_iter().map(selector_item).collect();
    Ok(CreateApplication {
        app: AppId::new(uuid::Uuid::new_v4().to_string()),
        version: VersionName::new(template.app_version),
        workloads: template.workloads.into_iter().map(workload).collect(),
        pins,
        level: level(template.resources.area_level),
        selector,
        timeout_s: request.timeout_s,
        on_timeout: ending(request.on_timeout),
        meta: ApplicationMeta {
            name: template.app_name,
            cluster: template.cluster_name,
            app_type: template.app_type.to_owned(),
            description: template.description,
        },
        resources: resources(template.resources),
    })
}

/// CreateApplication reads its items as AreaIspCode unless `areaLevel` is `RegionId` (`decisions.md` §1.7).
fn level(area_level: AreaLevel) -> Level {
    match area_level {
        AreaLevel::National | AreaLevel::Big | AreaLevel::Middle | AreaLevel::Small => Level::AreaIspCode,
        AreaLevel::RegionId => Level::RegionId,
    }
}

fn resources(asked: template::ResourceAttribute) -> ResourceAttribute {
    ResourceAttribute {
        resource_type: asked.resource_type.to_owned(),
        resource_agent: asked.resource_agent,
        instance_spec: SpecName::new(asked.instance_spec),
        system_disk_gb: asked.system_disk_gb,
        data_disk_gb: asked.data_disk_gb,
        bandwidth_out_mbit: asked.bandwidth_out_mbit,
        area_level: asked.area_level.as_str().to_owned(),
        strategy: match asked.strategy {
            template::Strategy::Disperse => Strategy::Disperse,
            template::Strategy::Concentrate => Strategy::Concentrate,
        },
        ip_type: asked.ip_type.to_owned(),
        image_id: asked.image_id,
        net_security_strategy: asked.net_security_strategy,
        init_config: asked.init_config,
        min_ready: asked.min_ready,
    }
}

pub(super) fn workload(asked: template::Workload) -> Workload {
    Workload {
        name: asked.name,
        pod_count: asked.pod_count,
        service_config: asked.service_config,
        ports: asked.bound_ports.into_iter().map(port_range).collect(),
        containers: asked.containers.into_iter().map(container).collect(),
    }
}

fn port_range(asked: template::BoundPorts) -> PortRange {
    let template::BoundPorts { protocol, node, container, count } = asked;
    let protocol = if protocol == Protocol::Udp.as_str() { Protocol::Udp } else { Protocol::Tcp };
    PortRange { protocol, node, container, count }
}

fn container(asked: template::Container) -> Container {
    Container {
        name: asked.name,
        image: asked.image,
        command: asked.command,
        args: asked.args,
        env: asked.env,
        working_dir: asked.working_dir,
        ports: asked
            .ports
            .into_iter()
            .map(|port| Port { container_port: port.container_port, protocol: port.protocol.to_owned() })
            .collect(),
        readiness: asked.readiness.map(probe),
    }
}

fn probe(asked: template::Probe) -> Probe {
    Probe {
        question: match asked.question {
            template::Question::Http { port, path } => Question::Http { port, path },
            template::Question::Tcp { port } => Question::Tcp { port },
        },
        initial_delay_s: asked.initial_delay_s,
        period_s: asked.period_s,
        timeout_s: asked.timeout_s,
        success_threshold: asked.success_threshold,
        failure_threshold: asked.failure_threshold,
    }
}

//! DescribeDeviceService: instances of an application, typed (ens-api.md §4.2). What is given narrows; `RegionId`
//! counts only where it is an edge node, because old SDKs always send one (§1).

use super::{Answer, Context, unknown_instance, unknown_operation};
use crate::view::device;
use ensemble_model::application::Application;
use ensemble_model::id::{AppId, InstanceId, OperationId};
use ensemble_model::instance::Instance;
use ensemble_model::operation::Operation;
use ensemble_model::permit::Permit;
use ensemble_model::state::AccountView;
use ensemble_wire::action::describe_device_service::{Request, Response};
use ensemble_wire::error::Error;
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) fn handle(context: &Context, permit: &Permit, request: &Request) -> Result<Answer, Error> {
    let state = context.state();
    let account = state.account(permit);
    let fleet = state.fleet();
    let region = request.region_id.as_deref().filter(|id| fleet.node(id).is_some());
    let asked = Asked::find(&account, request)?;
    if asked.selects_nothing() && region.is_none() {
        return Err(Error::missing_parameter("AppId"));
    }
    let application = asked.application();
    let applications: Vec<&Arc<Application>> = match application {
        Some(application) => vec![application],
        None if asked.selects_nothing() => account.applications().collect(),
        // What was asked for has been of an application that is gone.
        None => Vec::new(),
    };
    let order: Option<BTreeSet<&InstanceId>> =
        asked.order.map(|order| order.targets.iter().map(|target| &target.instance).collect());
    let mut found = Vec::new();
    for application in applications {
        for instance in account.instances(&application.id) {
            let is_asked = asked.instance.is_none_or(|asked| asked.id == instance.id)
                && order.as_ref().is_none_or(|order| order.contains(&instance.id))
                && region.is_none_or(|region| region == instance.node.as_str());
            if is_asked {
                found.push((application, instance));
            }
        }
    }
    // An instance's id is drawn at random: what stands side by side here is what is side by side.
    found.sort_by_key(|(application, instance)| {
        (&application.id, &instance.node, &instance.isp, instance.created_at, &instance.id)
    });
    Ok(Answer::of(&Response {
        request_id: context.request_id.clone(),
        resource_detail_infos: Vec::new(),
        app_status: application.map(|application| device::status(application)),
        app_meta_data: application.map(|application| device::meta_data(application)),
        resource_infos: found
            .into_iter()
            .map(|(application, instance)| device::resource_info(application, instance, fleet))
            .collect(),
    }))
}

/// What the parameters name, looked up.
struct Asked<'a> {
    app: Option<&'a Arc<Application>>,
    instance: Option<&'a Arc<Instance>>,
    order: Option<&'a Arc<Operation>>,
    /// The application of the instance or the order, where no AppId is given.
    implied: Option<&'a Arc<Application>>,
}

impl<'a> Asked<'a> {
    fn find(account: &AccountView<'a>, request: &Request) -> Result<Self, Error> {
        let app = request.app_id.as_ref().map(|id| {
            account.application(&AppId::new(id.clone())).ok_or_else(|| Error::unknown_application(id))
        });
        let instance = request
            .instance_id
            .as_ref()
            .map(|id| account.instance(&InstanceId::new(id.clone())).ok_or_else(|| unknown_instance(id)));
        let order = request.order_id.as_ref().map(|id| {
            let id = OperationId::new(id.clone());
            account.operation(&id).ok_or_else(|| unknown_operation(&id))
        });
        let (app, instance, order) = (app.transpose()?, instance.transpose()?, order.transpose()?);
        let of_instance = instance.map(|instance| &instance.app);
        let of_order = order.and_then(|order| order.subject.app());
        let implied = of_instance.or(of_order).and_then(|id| account.application(id));
        Ok(Self { app, instance, order, implied })
    }

    fn selects_nothing(&self) -> bool {
        self.app.is_none() && self.instance.is_none() && self.order.is_none()
    }

    fn application(&self) -> Option<&'a Arc<Application>> {
        self.app.or(self.implied)
    }
}

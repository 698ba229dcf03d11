//! Which handler answers which action: a line for each, which reads the request and opens the permit.

use super::{
    Answer, Context, advance_clock, cancel_operation, change_edge_node, confirm_restore, create_application,
    delete_app_version, delete_application, describe_application, describe_application_resource_summary,
    describe_device_service, describe_edge_nodes, describe_images, describe_instance_logs,
    describe_instances, describe_operation, exec_instance, explain_instance, list_applications,
    list_operations, modify_application_attribute, plan_rescale_application, protect_instances, prune_images,
    rebalance_application, regions, release_instance, rescale_application, rollback_application,
    run_instances, upgrade_application, watch,
};
use ensemble_model::command::Protection;
use ensemble_model::permit::Permit;
use ensemble_wire::action as wire;
use ensemble_wire::error::Error;
use ensemble_wire::parameters::Parameters;

/// Calls the action that `context` names. The form is checked before the permission is asked for
/// (`decisions.md` §3), so the permit comes as a result that each handler's line opens after reading its request.
pub(crate) async fn call(
    context: Context,
    permit: Result<Permit, Error>,
    parameters: &Parameters,
) -> Result<Answer, Error> {
    match context.action.name {
        "CreateApplication" => {
            let request = wire::create_application::Request::read(parameters)?;
            create_application::handle(&context, permit?, request).await
        }
        "RescaleApplication" => {
            let request = wire::rescale_application::Request::read(parameters)?;
            rescale_application::handle(&context, permit?, request).await
        }
        "UpgradeApplication" => {
            let request = wire::upgrade_application::Request::read(parameters)?;
            upgrade_application::handle(&context, permit?, request).await
        }
        "RollbackApplication" => {
            let request = wire::rollback_application::Request::read(parameters)?;
            rollback_application::handle(&context, permit?, request).await
        }
        "DeleteApplication" => {
            let request = wire::delete_application::Request::read(parameters)?;
            delete_application::handle(&context, permit?, request).await
        }
        "ModifyApplicationAttribute" => {
            let request = wire::modify_application_attribute::Request::read(parameters)?;
            modify_application_attribute::handle(&context, permit?, request).await
        }
        "RebalanceApplication" => {
            let request = wire::rebalance_application::Request::read(parameters)?;
            rebalance_application::handle(&context, permit?, request).await
        }
        "CancelOperation" => {
            let request = wire::cancel_operation::Request::read(parameters)?;
            cancel_operation::handle(&context, permit?, request).await
        }
        "DescribeInstanceLogs" => {
            let request = wire::describe_instance_logs::Request::read(parameters)?;
            describe_instance_logs::handle(&context, permit?, request).await
        }
        "ConfirmRestore" => {
            let request = wire::confirm_restore::Request::read(parameters)?;
            confirm_restore::handle(&context, permit?, request).await
        }
        "AdvanceClock" => {
            let request = wire::advance_clock::Request::read(parameters)?;
            advance_clock::handle(&context, permit?, request).await
        }
        "DescribeImages" => {
            let request = wire::describe_images::Request::read(parameters)?;
            describe_images::handle(&context, permit?, request).await
        }
        "PruneImages" => {
            let request = wire::prune_images::Request::read(parameters)?;
            prune_images::handle(&context, permit?, request).await
        }
        "ExecInstance" => {
            let request = wire::exec_instance::Request::read(parameters)?;
            exec_instance::handle(&context, permit?, request).await
        }
        "Watch" => {
            let request = wire::watch::Request::read(parameters)?;
            watch::handle(&context, permit?, request).await
        }
        _ => instances_and_nodes(&context, permit, parameters).await,
    }
}

/// The writes about single versions and instances, and about edge nodes.
async fn instances_and_nodes(
    context: &Context,
    permit: Result<Permit, Error>,
    parameters: &Parameters,
) -> Result<Answer, Error> {
    match context.action.name {
        "DeleteAppVersion" => {
            let request = wire::delete_app_version::Request::read(parameters)?;
            delete_app_version::handle(context, permit?, request).await
        }
        "RunInstances" => {
            let request = wire::run_instances::Request::read(parameters)?;
            run_instances::handle(context, permit?, request).await
        }
        "ReleaseInstance" => {
            let request = wire::release_instance::Request::read(parameters)?;
            release_instance::handle(context, permit?, request).await
        }
        "ProtectInstances" => {
            let request = wire::protect_instances::Request::read(parameters)?;
            protect_instances::handle(context, permit?, request, Protection::On).await
        }
        "UnprotectInstances" => {
            let request = wire::protect_instances::Request::read(parameters)?;
            protect_instances::handle(context, permit?, request, Protection::Off).await
        }
        "DrainEdgeNode" | "ResumeEdgeNode" | "LoseEdgeNode" => {
            let request = wire::change_edge_node::Request::read(parameters)?;
            change_edge_node::handle(context, permit?, request).await
        }
        _ => read(context, permit, parameters),
    }
}

/// The actions that only look at the state.
fn read(context: &Context, permit: Result<Permit, Error>, parameters: &Parameters) -> Result<Answer, Error> {
    match context.action.name {
        "DescribeApplication" => {
            let request = wire::describe_application::Request::read(parameters)?;
            describe_application::handle(context, &permit?, &request)
        }
        "ListApplications" => {
            let request = wire::list_applications::Request::read(parameters)?;
            list_applications::handle(context, &permit?, &request)
        }
        "DescribeDeviceService" => {
            let request = wire::describe_device_service::Request::read(parameters)?;
            describe_device_service::handle(context, &permit?, &request)
        }
        "DescribeApplicationResourceSummary" => {
            let request = wire::describe_application_resource_summary::Request::read(parameters)?;
            Ok(describe_application_resource_summary::handle(context, &permit?, &request))
        }
        "PlanRescaleApplication" => {
            let request = wire::plan_rescale_application::Request::read(parameters)?;
            plan_rescale_application::handle(context, &permit?, request)
        }
        "PlanRebalanceApplication" => {
            let request = wire::rebalance_application::Request::read(parameters)?;
            rebalance_application::plan(context, &permit?, request)
        }
        "DescribeInstances" => {
            let request = wire::describe_instances::Request::read(parameters)?;
            describe_instances::handle(context, &permit?, &request)
        }
        "DescribeInstanceTypes" => {
            permit?;
            Ok(describe_instances::types(context))
        }
        "DescribeEdgeNodes" => {
            let request = wire::describe_edge_nodes::Request::read(parameters)?;
            describe_edge_nodes::handle(context, &permit?, &request)
        }
        "DescribeOperation" => {
            let request = wire::describe_operation::Request::read(parameters)?;
            describe_operation::handle(context, &permit?, request)
        }
        "ExplainInstance" => {
            let request = wire::explain_instance::Request::read(parameters)?;
            explain_instance::handle(context, &permit?, request)
        }
        "ListOperations" => {
            let request = wire::list_operations::Request::read(parameters)?;
            list_operations::handle(context, &permit?, &request)
        }
        _ => regions::read(context, permit, parameters),
    }
}

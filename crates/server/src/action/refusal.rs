//! From the core's refusals to the API's errors, in one table (`decisions.md` §3). What a refusal says becomes the
//! `Detail`; the documented code and message are chosen here and nowhere else.

use ensemble_model::refusal::Refusal;
use ensemble_wire::error::{Code, Error, Reason, sentence};

/// The documented error for a refusal.
pub(crate) fn to_wire(refusal: Refusal) -> Error {
    let detail = sentence(&refusal.to_string());
    match refusal {
        Refusal::UnknownApplication { app } => Error::unknown_application(app.as_str()),
        Refusal::Busy { .. } | Refusal::BeingDeleted { .. } => {
            Error::interface_error(Reason::OperationInProgress, detail)
        }
        Refusal::StaleRevision { .. } => {
            Error::invalid_parameter("IfRevision", detail).with_reason(Reason::StaleRevision)
        }
        Refusal::UnknownVersion { .. } => {
            Error::invalid_parameter("ToAppVersion", detail).with_reason(Reason::UnknownVersion)
        }
        Refusal::Version { parameter, .. } => {
            Error::invalid_parameter(parameter, detail).with_reason(Reason::UnknownVersion)
        }
        Refusal::PlanChanged { .. } => {
            Error::invalid_parameter("IfPlan", detail).with_reason(Reason::PlanChanged)
        }
        Refusal::TokenReused { .. } => {
            Error::invalid_parameter("ClientToken", detail).with_reason(Reason::ClientTokenReused)
        }
        Refusal::NameTaken { .. } => {
            invalid(&refusal.to_string(), detail).with_reason(Reason::ApplicationExists)
        }
        Refusal::Shortage { .. } => {
            invalid(&refusal.to_string(), detail).with_reason(Reason::CapacityShortage)
        }
        Refusal::TooMany { .. } => {
            invalid(&refusal.to_string(), detail).with_reason(Reason::NotEnoughInstances)
        }
        Refusal::UnknownOperation { .. } => Error::interface_error(Reason::UnknownOperation, detail),
        Refusal::UnknownInstance { .. } => Error::interface_error(Reason::UnknownInstance, detail),
        Refusal::InstanceInTheWay { .. } => {
            invalid(&refusal.to_string(), detail).with_reason(Reason::InstanceInTheWay)
        }
        Refusal::NotCancelable { .. } => Error::interface_error(Reason::NotCancelable, detail),
        Refusal::UnknownNode { .. } => {
            Error::invalid_parameter("EnsRegionId", detail).with_reason(Reason::UnknownEdgeNode)
        }
        Refusal::NodeInTheWay { .. } => Error::interface_error(Reason::EdgeNodeInTheWay, detail),
        Refusal::UnknownSpec { .. } => Error::invalid_parameter("InstanceType", detail),
        Refusal::MovesChanged { .. } => {
            Error::invalid_parameter("IfPlan", detail).with_reason(Reason::PlanChanged)
        }
        Refusal::NothingToMove { .. } => Error::interface_error(Reason::NothingToMove, detail),
        Refusal::Selector { .. } | Refusal::Template { .. } => invalid(&refusal.to_string(), detail),
        Refusal::EngineDown { .. } => Error::call_interface(detail).with_reason(Reason::EngineUnavailable),
        Refusal::NonceUsed { .. } => Error::new(Code::SignatureNonceUsed).with_detail(detail),
        // No request installs a fleet; should one ever be refused so, it was not the caller's fault.
        Refusal::NodesInUse { .. } | Refusal::EngineInUse { .. } => {
            Error::new(Code::InternalError).with_detail(detail)
        }
        Refusal::RestoreUnconfirmed => Error::interface_error(Reason::RestoreUnconfirmed, detail),
        Refusal::Overloaded => Error::new(Code::ServiceUnavailable).with_detail(detail),
    }
}

/// `InvalidParameter` with the whole text, both in the published sentence and as the detail.
fn invalid(text: &str, detail: String) -> Error {
    Error::invalid(text).with_detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ensemble_model::id::{AppId, EdgeNodeId, OperationId, PlanId, VersionName};
    use ensemble_model::plan::Plan;
    use ensemble_model::time::WallTime;

    #[test]
    fn every_refusal_has_its_documented_code() {
        let app = || AppId::new("app");
        let plan = || Box::new(Plan { id: PlanId::new("p"), items: Vec::new() });
        for (refusal, code, reason) in [
            (
                Refusal::UnknownApplication { app: app() },
                "ens.interface.error",
                Some(Reason::UnknownApplication),
            ),
            (
                Refusal::Busy {
                    app: app(),
                    operation: OperationId::new("O"),
                    action: "RescaleApplication".into(),
                    deadline_at: WallTime(0),
                },
                "ens.interface.error",
                Some(Reason::OperationInProgress),
            ),
            (Refusal::BeingDeleted { app: app() }, "ens.interface.error", Some(Reason::OperationInProgress)),
            (
                Refusal::StaleRevision { app: app(), asked: 1, current: 2 },
                "InvalidParameter.IfRevision",
                Some(Reason::StaleRevision),
            ),
            (
                Refusal::UnknownVersion { app: app(), version: VersionName::new("v9"), known: Vec::new() },
                "InvalidParameter.ToAppVersion",
                Some(Reason::UnknownVersion),
            ),
            (
                Refusal::NameTaken { name: "shop".into(), cluster: "c".into(), app: app() },
                "InvalidParameter",
                Some(Reason::ApplicationExists),
            ),
            (Refusal::Selector { index: 0, text: "no such node".into() }, "InvalidParameter", None),
            (Refusal::Template { path: "workload[0]".into(), text: "no".into() }, "InvalidParameter", None),
            (Refusal::Shortage { plan: plan() }, "InvalidParameter", Some(Reason::CapacityShortage)),
            (Refusal::TooMany { plan: plan() }, "InvalidParameter", Some(Reason::NotEnoughInstances)),
            (Refusal::PlanChanged { plan: plan() }, "InvalidParameter.IfPlan", Some(Reason::PlanChanged)),
            (
                Refusal::TokenReused { token: "t".into() },
                "InvalidParameter.ClientToken",
                Some(Reason::ClientTokenReused),
            ),
            (
                Refusal::EngineDown { node: EdgeNodeId::new("n") },
                "CallInterface",
                Some(Reason::EngineUnavailable),
            ),
            (Refusal::NonceUsed { nonce: "n".into() }, "SignatureNonceUsed", None),
            (Refusal::NodesInUse { nodes: Vec::new() }, "InternalError", None),
            (Refusal::RestoreUnconfirmed, "ens.interface.error", Some(Reason::RestoreUnconfirmed)),
            (Refusal::EngineInUse { nodes: Vec::new() }, "InternalError", None),
            (Refusal::Overloaded, "ServiceUnavailable", None),
        ] {
            let error = to_wire(refusal);

            assert_eq!((&*error.code.as_text(), error.reason), (code, reason));
            assert!(error.detail.is_some_and(|detail| detail.ends_with('.')), "{code}");
        }
    }

    #[test]
    fn the_text_of_a_wrong_selector_stands_in_message_and_detail() {
        let error = to_wire(Refusal::Selector { index: 1, text: "unknown edge node `x`".into() });

        assert_eq!(
            error.message,
            "The errorMessage is selector item 1: unknown edge node `x`. Please check it again."
        );
        assert_eq!(error.detail.unwrap(), "Selector item 1: unknown edge node `x`.");
    }
}

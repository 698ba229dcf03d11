//! ExecInstance: a command in a running container of an instance (`decisions.md` §9.12). Who ran what, and how it ended,
//! stands in the server's log; what is sent and received never does.

use super::container::Container;
use super::{Answer, Context, unknown_instance};
use crate::exec::Session;
use ensemble_engine::Error as EngineError;
use ensemble_engine::exec::{ExecOrder, Stdin, WindowSize};
use ensemble_model::id::InstanceId;
use ensemble_model::permit::Permit;
use ensemble_wire::action::exec_instance::Request;
use ensemble_wire::error::{Code, Error, Reason, sentence};
use ensemble_wire::parameters::Flag;
use ensemble_wire::payload::exec::PROTOCOL;

/// As much of a command stands in the log.
const LOGGED_CHARS_AT_MOST: usize = 1_000;

pub(super) async fn handle(context: &Context, permit: Permit, request: Request) -> Result<Answer, Error> {
    let container = find(context, &permit, &request)?;
    if context.upgrade.as_deref() != Some(PROTOCOL) {
        return Err(Error::invalid(format!(
            "ExecInstance is answered on a connection that goes on with another protocol: send the headers \
             `Connection: Upgrade` and `Upgrade: {PROTOCOL}`, or use `ensemble exec`"
        )));
    }
    let seat = context.services.commands.take().ok_or_else(|| {
        Error::new(Code::Throttling).with_reason(Reason::TooManyCommands).with_detail(
            "As many commands run in containers as may at once (limits.commands); end one, or try again.",
        )
    })?;
    let command: String = format!("{:?}", request.command).chars().take(LOGGED_CHARS_AT_MOST).collect();
    tracing::info!(
        key = permit.key_id(), account = %permit.account(), source = %context.source,
        instance = %request.instance_id, container = %container.name,
        "key {} runs {command} in container {} of {}", permit.key_id(), container.name, request.instance_id
    );
    let order = ExecOrder {
        instance: container.instance,
        workload: container.workload,
        index: container.index,
        container: container.name,
        command: request.command,
        stdin: if request.stdin == Flag::Yes { Stdin::Open } else { Stdin::Closed },
        terminal: (request.tty == Flag::Yes)
            .then_some(WindowSize { rows: request.rows, columns: request.columns }),
    };
    let execution = context.services.engines.exec(&container.engine, order).await.map_err(refusal)?;
    Ok(Answer::Takeover(Box::new(Session::new(
        context.request_id.clone(),
        request.instance_id,
        execution,
        seat,
    ))))
}

fn find(context: &Context, permit: &Permit, request: &Request) -> Result<Container, Error> {
    let state = context.state();
    let account = state.account(permit);
    let id = InstanceId::new(request.instance_id.clone());
    let instance = account.instance(&id).ok_or_else(|| unknown_instance(id.as_str()))?;
    Container::find(&account, instance, request.pod_name.as_deref(), request.container_name.as_deref())
}

/// What an engine said, in the API's words.
fn refusal(error: EngineError) -> Error {
    let told = sentence(&error.to_string());
    match error {
        EngineError::NotRunning { .. } => Error::interface_error(
            Reason::ContainerNotRunning,
            "The container does not run; DescribeInstanceLogs shows what it said last.",
        ),
        EngineError::NoProgram { .. } => Error::invalid_parameter("Command", format!("Command: {error}."))
            .with_reason(Reason::CommandNotFound),
        EngineError::NoExec => Error::interface_error(
            Reason::NotSupported,
            "The edge node is on a simulated engine, which runs no containers; `ensemble serve --engine embedded` \
             runs them.",
        ),
        EngineError::Unreachable { .. } => Error::call_interface(told).with_reason(Reason::EngineUnavailable),
        EngineError::Exec { .. }
        | EngineError::NoLogs { .. }
        | EngineError::Read { .. }
        | EngineError::StaleEpoch { .. } => {
            tracing::warn!("a command could not be started: {error}");
            Error::call_interface(told)
        }
    }
}

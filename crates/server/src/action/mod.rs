//! One file per action: from its typed request to its answer. Reads look at a snapshot of the state, writes build
//! a command and wait until it is durable; every one of them holds a permit.
//! Must not decide, and must not know HTTP: `gateway` calls [`call`] and renders what comes back.

mod advance_clock;
mod cancel_operation;
mod change_edge_node;
mod confirm_restore;
mod container;
mod create_application;
mod delete_app_version;
mod delete_application;
mod describe_application;
mod describe_application_resource_summary;
mod describe_available_resource;
mod describe_available_resource_info;
mod describe_device_service;
mod describe_edge_nodes;
mod describe_ens_net_district;
mod describe_ens_net_level;
mod describe_ens_net_sale_district;
mod describe_ens_regions;
mod describe_images;
mod describe_instance_logs;
mod describe_instances;
mod describe_operation;
mod describe_region_isps;
mod dispatch;
mod exec_instance;
mod explain_instance;
mod list_applications;
mod list_operations;
mod modify_application_attribute;
mod plan_rescale_application;
mod protect_instances;
mod prune_images;
mod rebalance_application;
pub(crate) mod refusal;
mod regions;
mod release_instance;
mod rescale_application;
mod rollback_application;
mod run_instances;
mod upgrade_application;
mod watch;

pub(crate) use dispatch::call;

use crate::clock::Clock;
use crate::control::Control;
use crate::engines::Engines;
use crate::exec::{Commands, Session};
use crate::gateway::listen::Phase;
use crate::metrics::{Look, Metrics};
use crate::random::Seeds;
use crate::restored::Restoration;
use crate::stepper::Stepper;
use bytes::Bytes;
use ensemble_model::census::census;
use ensemble_model::command::{Accepted, Change, ClientToken, Command, Nonce, RequestFacts};
use ensemble_model::decide;
use ensemble_model::id::{AccountId, Digest, OperationId};
use ensemble_model::permit::Permit;
use ensemble_model::state::State;
use ensemble_wire::entry::Action;
use ensemble_wire::error::{Code, Error, Reason};
use futures_util::Stream;
use serde::Serialize;
use serde_json::Value;
use std::convert::Infallible;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Server-sent events, framed.
pub(crate) type EventStream = Pin<Box<dyn Stream<Item = Result<Bytes, Infallible>> + Send>>;

/// What an action answers.
pub(crate) enum Answer {
    Whole(Whole),
    Events(EventStream),
    /// The connection becomes a command's.
    Takeover(Box<Session>),
}

/// A body that is complete.
pub(crate) struct Whole {
    /// Its members as JSON, RequestId among them. Most answers go out as they are; only XML reads them again.
    pub(crate) json: Vec<u8>,
    /// Where it is not that of the call: a repeated ClientToken is answered with the first one.
    pub(crate) request_id: Option<String>,
}

/// What all actions share.
pub(crate) struct Services {
    pub(crate) control: Control,
    pub(crate) engines: Engines,
    pub(crate) restoration: Restoration,
    /// The account that owns the server: what is the machine's is its operator's.
    pub(crate) owner: AccountId,
    /// The bound of each engine's store of images.
    pub(crate) cache_bytes: AtomicU64,
    /// Those that run in containers.
    pub(crate) commands: Arc<Commands>,
    /// Streams end when the server drains.
    pub(crate) phase: tokio::sync::watch::Receiver<Phase>,
    pub(crate) metrics: Arc<Metrics>,
    /// The file of the log.
    pub(crate) log: PathBuf,
    /// The times that changes get.
    pub(crate) clock: Clock,
    /// Where a test steps the time.
    pub(crate) stepper: Option<Stepper>,
    pub(crate) seeds: Seeds,
}

impl Services {
    /// The bound of the image cache, as the configuration in force has it.
    pub(crate) fn cache_bytes(&self) -> u64 {
        self.cache_bytes.load(Ordering::Relaxed)
    }

    /// What is counted, with what is looked up now.
    pub(crate) fn render_metrics(&self) -> String {
        let state = self.control.state();
        self.metrics.render(&Look {
            census: census(&state),
            sequence: state.sequence(),
            queues: self.control.queues(),
            pulled_bytes: self.engines.pulled_bytes(),
        })
    }
}

/// One call, as far as it is the same for every action.
pub(crate) struct Context {
    pub(crate) services: Arc<Services>,
    /// Becomes the operation's id when a write is accepted.
    pub(crate) request_id: String,
    pub(crate) action: &'static Action,
    pub(crate) source: IpAddr,
    /// The protocol that its connection is to go on with.
    pub(crate) upgrade: Option<String>,
    /// What an accepted write keeps of it.
    pub(crate) nonce: Option<Nonce>,
    /// As called, defaults filled in; for the history, so null for a read.
    pub(crate) parameters: Value,
}

impl Answer {
    /// The answer to the call whose RequestId stands in `response`.
    pub(crate) fn of(response: &impl Serialize) -> Self {
        Self::Whole(Whole { json: json(response), request_id: None })
    }

    /// The answer to a write, which was accepted by this call or by an earlier one.
    pub(crate) fn accepted(response: &impl Serialize, accepted: &Accepted) -> Self {
        Self::Whole(Whole { json: json(response), request_id: Some(accepted.operation.to_string()) })
    }
}

fn json(response: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(response).expect("our answers are text, numbers, lists and objects")
}

impl Context {
    /// The newest durable state.
    pub(crate) fn state(&self) -> Arc<State> {
        self.services.control.state()
    }

    /// Lets only the account that owns the server go on.
    ///
    /// # Errors
    /// `NoPermission`.
    fn check_owner(&self, permit: &Permit) -> Result<(), Error> {
        if *permit.account() == self.services.owner {
            return Ok(());
        }
        let name = self.action.name;
        Err(Error::new(Code::NoPermission).with_detail(format!(
            "{name} is about the server's machine, so only the account that owns it may call it."
        )))
    }

    /// What `token` was answered before. A token comes before the content of a request (`decisions.md` §3): content
    /// that is read here, and not by the control loop, is read after this.
    ///
    /// # Errors
    /// `InvalidParameter.ClientToken` when it was used for a call with other parameters.
    fn answered(&self, permit: &Permit, token: Option<&ClientToken>) -> Result<Option<Accepted>, Error> {
        let Some(token) = token else { return Ok(None) };
        decide::answered(&self.state(), permit, self.action.name, token, self.services.clock.now().wall)
            .map_err(refusal::to_wire)
    }

    /// Sends a change to the control loop and waits until it is durable.
    ///
    /// # Errors
    /// The refusal in the API's words, or `ServiceUnavailable`.
    pub(crate) async fn submit(
        &self,
        permit: Permit,
        change: Change,
        client_token: Option<ClientToken>,
    ) -> Result<Accepted, Error> {
        let command = Command {
            permit,
            request: RequestFacts {
                request_id: OperationId::new(self.request_id.clone()),
                action: self.action.name.to_owned(),
                source: self.source.to_string(),
                parameters: self.parameters.clone(),
                client_token,
                nonce: self.nonce.clone(),
            },
            seed: self.services.seeds.next(),
            change,
        };
        match self.services.control.submit(command).await {
            Ok(decided) => decided.map_err(refusal::to_wire),
            Err(unavailable) => {
                Err(Error::new(Code::ServiceUnavailable).with_detail(unavailable.to_string()))
            }
        }
    }
}

/// The token with a digest of everything else that was asked, so that its reuse for another call is seen.
fn client_token(context: &Context, token: Option<&str>) -> Option<ClientToken> {
    let token = token?.to_owned();
    let mut others = context.parameters.clone();
    if let Some(members) = others.as_object_mut() {
        members.shift_remove("ClientToken");
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, others.to_string().as_bytes());
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(ClientToken { token, fingerprint: Digest::new(format!("sha256:{hex}")) })
}

/// An unknown OperationId answers as an unknown AppId does (`decisions.md` §2.12).
fn unknown_operation(id: &OperationId) -> Error {
    let detail = format!("There is no operation {id} in this account; ListOperations shows those there are.");
    Error::interface_error(Reason::UnknownOperation, detail)
}

/// As is an unknown InstanceId.
fn unknown_instance(id: &str) -> Error {
    let detail =
        format!("There is no instance {id} in this account; DescribeDeviceService shows those there are.");
    Error::interface_error(Reason::UnknownInstance, detail)
}

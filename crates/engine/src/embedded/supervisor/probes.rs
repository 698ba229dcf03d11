//! Asks containers whether they are ready: one small task for each that has a probe, from the start of its program to
//! its end. What answers mean is counted by `ensemble_supervision::probing`; decides nothing.

use super::Message;
use crate::embedded::kernel::Linux;
use ensemble_model::probe::Question;
use ensemble_supervision::kernel::Kernel;
use ensemble_supervision::layout::ContainerKey;
use ensemble_supervision::probing::{Probed, Readiness, Tally};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

const AGENT: &str = concat!("ensemble-probe/", env!("CARGO_PKG_VERSION"));

pub(crate) struct Probes {
    messages: mpsc::Sender<Message>,
    /// Made when it is first needed, without connections of its own: each question is a new one.
    client: Option<Client>,
    asked: BTreeMap<ContainerKey, (Probed, AbortHandle)>,
}

impl Probes {
    pub(crate) fn new(messages: mpsc::Sender<Message>) -> Self {
        Self { messages, client: None, asked: BTreeMap::new() }
    }

    /// Asks these and no others.
    pub(super) fn settle(&mut self, probed: Vec<Probed>) {
        let mut before = std::mem::take(&mut self.asked);
        for probed in probed {
            let kept = before.remove(&probed.container);
            if let Some((same, task)) = kept {
                if same == probed {
                    self.asked.insert(probed.container.clone(), (same, task));
                    continue;
                }
                task.abort();
            }
            let Some(client) = self.client() else { continue };
            let task = tokio::spawn(ask_again_and_again(probed.clone(), client, self.messages.clone()));
            self.asked.insert(probed.container.clone(), (probed, task.abort_handle()));
        }
        for (_, task) in before.into_values() {
            task.abort();
        }
    }

    /// One that cannot be made is tried again in the next round.
    fn client(&mut self) -> Option<Client> {
        if self.client.is_none() {
            // Fails only when a provider is installed already. None is used: a probe speaks plain HTTP, and must do so on a
            // machine without certificates.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let built = ClientBuilder::new()
                .tls_certs_only([])
                .no_proxy()
                .redirect(Policy::none())
                .pool_max_idle_per_host(0)
                .user_agent(AGENT)
                .build();
            match built {
                Ok(client) => self.client = Some(client),
                Err(error) => tracing::warn!("containers cannot be asked whether they are ready: {error}"),
            }
        }
        self.client.clone()
    }

    pub(super) fn end(&mut self) {
        self.settle(Vec::new());
    }
}

impl Drop for Probes {
    /// A loop that is cut off asks nobody any more.
    fn drop(&mut self) {
        self.end();
    }
}

async fn ask_again_and_again(probed: Probed, client: Client, messages: mpsc::Sender<Message>) {
    let Probed { container, attempt, address, started_boot_ms, probe } = probed;
    let first = started_boot_ms.saturating_add(u64::from(probe.initial_delay_s) * 1_000);
    tokio::time::sleep(Duration::from_millis(first.saturating_sub(Linux.clocks().boot_ms))).await;
    let timeout = Duration::from_secs(u64::from(probe.timeout_s));
    let mut tally = Tally::default();
    let mut told = Readiness::Unknown;
    loop {
        let answer = tokio::time::timeout(timeout, ask(&client, address, &probe.question)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", probe.timeout_s)));
        let held = tally.count(&probe, answer);
        if *held != told {
            told = held.clone();
            let message = Message::Probed { container: container.clone(), attempt, readiness: told.clone() };
            if messages.send(message).await.is_err() {
                // The loop has ended.
                return;
            }
        }
        tokio::time::sleep(tally.pause(&probe)).await;
    }
}

/// One question; why the answer is a bad one. No body is read.
async fn ask(client: &Client, address: IpAddr, question: &Question) -> Result<(), String> {
    match question {
        Question::Tcp { port } => match TcpStream::connect(SocketAddr::new(address, *port)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("port {port}: {error}")),
        },
        Question::Http { port, path } => {
            let url = format!("http://{}{path}", SocketAddr::new(address, *port));
            let answer =
                client.get(url).send().await.map_err(|error| format!("port {port}: {}", cause(&error)))?;
            let status = answer.status();
            if status.is_success() || status.is_redirection() {
                Ok(())
            } else {
                Err(format!("port {port} answered {}", status.as_u16()))
            }
        }
    }
}

/// The innermost cause: the outer ones name an address that the reader has not asked for.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

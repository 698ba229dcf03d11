//! A link that breaks: stands before a server, passes every connection on, and cuts those that carry a certain action
//! while the answer is on its way, at places that dice choose, also in the middle of an event.

use crate::chaos::dice::Dice;
use anyhow::{Context, Result};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const PIECE: usize = 16 << 10;

/// What is cut.
#[derive(Clone, Copy, Debug)]
pub struct Cutting {
    /// The action whose answers are cut; all others pass.
    pub action: &'static str,
    /// An answer is cut after fewer bytes than this; 0 cuts it before its first one.
    pub bytes_below: u64,
    /// Connections that are cut; later ones pass.
    pub at_most: usize,
    pub seed: u64,
    pub then: Then,
}

/// What becomes of a connection that is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Closed,
    /// It stays open, and nothing comes any more.
    Silent,
}

/// What was cut so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cuts {
    pub all: usize,
    /// Of them, those in the middle of an event.
    pub within_an_event: usize,
}

pub struct Cutter {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    upstream: String,
    cutting: Cutting,
    dice: Mutex<Dice>,
    cuts: Mutex<Cuts>,
}

impl Cutter {
    /// Stands before the server at `http://HOST:PORT`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(url: &str, cutting: Cutting) -> Result<Self> {
        let upstream = url.strip_prefix("http://").context("a plain HTTP server")?.to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            upstream,
            cutting,
            dice: Mutex::new(Dice::new(cutting.seed)),
            cuts: Mutex::new(Cuts::default()),
        });
        let serving = {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                while let Ok((client, _)) = listener.accept().await {
                    let shared = Arc::clone(&shared);
                    // A client that goes away in the middle is its own affair.
                    tokio::spawn(async move { shared.pass(client).await });
                }
            })
        };
        Ok(Self { url, shared, serving })
    }

    pub fn cuts(&self) -> Cuts {
        *held(&self.shared.cuts)
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Shared {
    async fn pass(&self, client: TcpStream) -> Result<()> {
        let upstream = TcpStream::connect(&self.upstream).await?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = upstream.into_split();
        // Whether the action has been asked for on this connection.
        let (asked, is_asked) = watch::channel(false);
        tokio::select! {
            passed = self.requests(from_client, to_server, asked) => passed,
            passed = self.answers(from_server, to_client, is_asked) => passed,
        }
    }

    async fn requests(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        asked: watch::Sender<bool>,
    ) -> Result<()> {
        let header = format!("x-acs-action: {}\r\n", self.cutting.action).to_ascii_lowercase();
        let mut seen = String::new();
        let mut piece = vec![0; PIECE];
        loop {
            let count = from.read(&mut piece).await?;
            if count == 0 {
                // The answer may still be on its way.
                return std::future::pending().await;
            }
            seen.push_str(&String::from_utf8_lossy(&piece[..count]).to_ascii_lowercase());
            if seen.contains(&header) {
                asked.send_replace(true);
            }
            to.write_all(&piece[..count]).await?;
        }
    }

    async fn answers(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        is_asked: watch::Receiver<bool>,
    ) -> Result<()> {
        let mut left: Option<u64> = None;
        let mut last = Vec::new();
        let mut piece = vec![0; PIECE];
        loop {
            let count = from.read(&mut piece).await?;
            if count == 0 {
                to.shutdown().await?;
                return Ok(());
            }
            if left.is_none() && *is_asked.borrow() {
                left = self.budget();
            }
            let passed = left.map_or(count, |left| count.min(usize::try_from(left).unwrap_or(count)));
            to.write_all(&piece[..passed]).await?;
            last.extend_from_slice(&piece[..passed]);
            last.drain(..last.len().saturating_sub(4));
            if let Some(left) = &mut left {
                *left -= passed as u64;
                if passed < count {
                    self.cut(&last);
                    return match self.cutting.then {
                        Then::Closed => Ok(()),
                        Then::Silent => std::future::pending().await,
                    };
                }
            }
        }
    }

    /// How many bytes of an answer pass; nothing when all of it does.
    fn budget(&self) -> Option<u64> {
        let so_far = held(&self.cuts).all;
        (so_far < self.cutting.at_most).then(|| held(&self.dice).below(self.cutting.bytes_below))
    }

    /// An event ends with an empty line, and the piece that carries it with one more end of line.
    fn cut(&self, last: &[u8]) {
        let mut cuts = held(&self.cuts);
        cuts.all += 1;
        let is_between = last.is_empty() || last.ends_with(b"\n\n") || last.ends_with(b"\n\r\n");
        cuts.within_an_event += usize::from(!is_between);
    }
}

fn held<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

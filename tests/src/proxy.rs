//! Stands before a registry on loopback, notes what is asked for and what is sent back, and may cut, slow or hold an
//! answer: what a bad network does. One connection a request.

use anyhow::{Context, Result};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

const BACKLOG: u32 = 128;
const HEAD_BYTES_AT_MOST: usize = 64 << 10;

/// One request that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub range: Option<String>,
    /// Of the answer's body, sent on.
    pub bytes: u64,
}

/// What is done to blobs that are larger than 1 MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// The first so many answers are cut.
    pub cuts: usize,
    /// After so many bytes.
    pub cut_after: u64,
    /// A pause after every 64 KiB.
    pub pause: Duration,
}

pub struct Proxy {
    /// `127.0.0.1:PORT`.
    pub address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    serving: JoinHandle<()>,
}

/// An address that is taken, so that nobody else gets it, and where connections are refused until somebody serves there.
pub struct Place {
    /// `127.0.0.1:PORT`.
    pub address: String,
    socket: TcpSocket,
}

impl Place {
    /// # Errors
    /// When no port is free.
    pub fn take() -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        Ok(Self { address: socket.local_addr()?.to_string(), socket })
    }

    /// Stands there before the registry at `upstream`.
    ///
    /// # Errors
    /// When the kernel does not listen.
    pub fn open(self, upstream: &str, trouble: Trouble) -> Result<Proxy> {
        Ok(Proxy::serve(self.socket.listen(BACKLOG)?, self.address, upstream, trouble))
    }
}

impl Proxy {
    /// Stands before the registry at `upstream`.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(upstream: &str, trouble: Trouble) -> Result<Self> {
        Place::take()?.open(upstream, trouble)
    }

    fn serve(listener: TcpListener, address: String, upstream: &str, trouble: Trouble) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let passage = Arc::new(Passage {
            upstream: upstream.to_owned(),
            trouble,
            cuts: Mutex::new(trouble.cuts),
            seen: Arc::clone(&seen),
        });
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let passage = Arc::clone(&passage);
                // A client that goes away in the middle is its own affair.
                tokio::spawn(async move { passage.pass(client).await });
            }
        });
        Self { address, seen, serving }
    }

    /// What passed so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The requests for blobs of more than 1 MiB, as far as they were answered.
    pub fn large(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.bytes > LARGE).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Answers of fewer bytes pass untouched.
const LARGE: u64 = 1 << 20;
const PIECE: usize = 64 << 10;

struct Passage {
    upstream: String,
    trouble: Trouble,
    cuts: Mutex<usize>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Passage {
    async fn pass(&self, client: TcpStream) -> Result<()> {
        let (read, mut to_client) = client.into_split();
        let head = head(&mut BufReader::new(read)).await?;
        let mut words = head.lines().next().context("a request has a line")?.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let range = field(&head, "range");
        let place = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push(Seen { method: method.into(), path: path.into(), range, bytes: 0 });
            seen.len() - 1
        };
        let mut upstream = TcpStream::connect(&self.upstream).await?;
        let kept = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
        let request = kept.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\r\n");
        upstream.write_all(format!("{request}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
        let mut answer = BufReader::new(upstream);
        let answered = self::head(&mut answer).await?;
        to_client.write_all(answered.as_bytes()).await?;
        let length: u64 = field(&answered, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let limit = if length > LARGE { self.cut() } else { None };
        let mut piece = vec![0; PIECE];
        let mut sent = 0;
        while limit.is_none_or(|limit| sent < limit) {
            let count = answer.read(&mut piece).await?;
            if count == 0 {
                break;
            }
            to_client.write_all(&piece[..count]).await?;
            sent += count as u64;
            self.seen.lock().unwrap_or_else(PoisonError::into_inner)[place].bytes = sent;
            if length > LARGE {
                tokio::time::sleep(self.trouble.pause).await;
            }
        }
        to_client.shutdown().await?;
        Ok(())
    }

    fn cut(&self) -> Option<u64> {
        let mut cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_cut = *cuts > 0;
        *cuts = cuts.saturating_sub(1);
        is_cut.then_some(self.trouble.cut_after)
    }
}

/// Up to and with the empty line.
async fn head(reader: &mut (impl AsyncBufReadExt + Unpin)) -> Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        anyhow::ensure!(head.len() < HEAD_BYTES_AT_MOST, "a head without an end");
        anyhow::ensure!(reader.read_line(&mut head).await? > 0, "a head that was cut");
    }
    Ok(head)
}

fn field(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
}

//! A registry on loopback that answers as it is told to: honestly, or with the wrong bytes, half of them, no end of
//! them, an error, or slowly. Serves images that it is given; nothing can be pushed to it.

use crate::image::{Built, digest};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const HEAD_BYTES_AT_MOST: usize = 64 << 10;
const PIECE: usize = 16 << 10;
const SLOW_PAUSE: Duration = Duration::from_millis(40);
/// Where a body that has no end ends after all, so that a client that reads on for ever does not keep the test.
const ENDLESS_PIECES: usize = 64 << 10;
const ENDLESS_AT_MOST: Duration = Duration::from_secs(20);

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Honest,
    WrongDigest,
    CutBody,
    EndlessBody,
    ServerError,
    Slow,
}

impl Mood {
    pub const ALL: [Self; 6] =
        [Self::Honest, Self::WrongDigest, Self::CutBody, Self::EndlessBody, Self::ServerError, Self::Slow];

    pub fn word(self) -> &'static str {
        match self {
            Self::Honest => "honest",
            Self::WrongDigest => "wrong digest",
            Self::CutBody => "cut body",
            Self::EndlessBody => "endless body",
            Self::ServerError => "500",
            Self::Slow => "slow",
        }
    }

    fn place(self) -> usize {
        Self::ALL.iter().position(|mood| *mood == self).expect("every mood stands in the list")
    }
}

pub struct Liar {
    /// `127.0.0.1:PORT`.
    pub address: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    mood: AtomicUsize,
    /// Answers to blobs and manifests, by mood.
    answered: [AtomicU64; Mood::ALL.len()],
    /// By `manifests/TAG`, `manifests/DIGEST` and `blobs/DIGEST`.
    documents: BTreeMap<String, Document>,
}

#[derive(Clone)]
struct Document {
    media_type: &'static str,
    bytes: Arc<Vec<u8>>,
}

impl Liar {
    /// Serves each image under its tag, as `ADDRESS/chaos/hello:TAG`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(images: &[(String, Built)]) -> Result<Self> {
        let mut documents = BTreeMap::new();
        for (tag, built) in images {
            let manifest = Document { media_type: built.media_type, bytes: Arc::new(built.manifest.clone()) };
            documents.insert(format!("manifests/{}", digest(&built.manifest)), manifest.clone());
            documents.insert(format!("manifests/{tag}"), manifest);
            for blob in &built.blobs {
                let blob_document =
                    Document { media_type: "application/octet-stream", bytes: Arc::new(blob.clone()) };
                documents.insert(format!("blobs/{}", digest(blob)), blob_document);
            }
        }
        let shared = Arc::new(Shared {
            mood: AtomicUsize::new(Mood::Honest.place()),
            answered: Default::default(),
            documents,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let served = Arc::clone(&shared);
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let served = Arc::clone(&served);
                // A client that goes away in the middle is its own affair.
                tokio::spawn(async move { served.serve(client).await });
            }
        });
        Ok(Self { address, shared, serving })
    }

    /// The reference of an image of its.
    pub fn reference(&self, tag: &str) -> String {
        format!("{}/chaos/hello:{tag}", self.address)
    }

    pub fn set(&self, mood: Mood) {
        self.shared.mood.store(mood.place(), Ordering::Relaxed);
    }

    /// How many answers of this kind it gave.
    pub fn answered(&self, mood: Mood) -> u64 {
        self.shared.answered[mood.place()].load(Ordering::Relaxed)
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Shared {
    async fn serve(&self, client: TcpStream) -> Result<()> {
        let (read, mut write) = client.into_split();
        let head = head(&mut BufReader::new(read)).await?;
        let mut words = head.lines().next().context("a request has a line")?.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mood = Mood::ALL[self.mood.load(Ordering::Relaxed)];
        let Some(name) = path.strip_prefix("/v2/chaos/hello/") else {
            return answer(&mut write, "200 OK", "", b"{}").await;
        };
        self.answered[mood.place()].fetch_add(1, Ordering::Relaxed);
        if mood == Mood::ServerError {
            return answer(&mut write, "500 Internal Server Error", "", b"{\"errors\":[]}").await;
        }
        let Some(document) = self.documents.get(name) else {
            return answer(&mut write, "404 Not Found", "", b"{\"errors\":[]}").await;
        };
        let about = format!(
            "Content-Type: {}\r\nDocker-Content-Digest: {}\r\n",
            document.media_type,
            digest(&document.bytes)
        );
        if method == "HEAD" {
            let length = document.bytes.len();
            let head =
                format!("HTTP/1.1 200 OK\r\n{about}Content-Length: {length}\r\nConnection: close\r\n\r\n");
            return Ok(write.write_all(head.as_bytes()).await?);
        }
        match mood {
            Mood::Honest | Mood::ServerError => answer(&mut write, "200 OK", &about, &document.bytes).await,
            Mood::WrongDigest => {
                let mut bytes = document.bytes.to_vec();
                if let Some(last) = bytes.last_mut() {
                    *last ^= 0x20;
                }
                answer(&mut write, "200 OK", &about, &bytes).await
            }
            Mood::CutBody => {
                begin(&mut write, "200 OK", &about, document.bytes.len()).await?;
                Ok(write.write_all(&document.bytes[..document.bytes.len() / 2]).await?)
            }
            Mood::EndlessBody => {
                let without_end = endless(&mut write, &about, &document.bytes);
                Ok(tokio::time::timeout(ENDLESS_AT_MOST, without_end).await??)
            }
            Mood::Slow => {
                begin(&mut write, "200 OK", &about, document.bytes.len()).await?;
                for piece in document.bytes.chunks(PIECE) {
                    write.write_all(piece).await?;
                    tokio::time::sleep(SLOW_PAUSE).await;
                }
                Ok(())
            }
        }
    }
}

async fn begin(
    write: &mut (impl AsyncWriteExt + Unpin),
    status: &str,
    about: &str,
    length: usize,
) -> Result<()> {
    let head = format!("HTTP/1.1 {status}\r\n{about}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    Ok(write.write_all(head.as_bytes()).await?)
}

async fn answer(
    write: &mut (impl AsyncWriteExt + Unpin),
    status: &str,
    about: &str,
    body: &[u8],
) -> Result<()> {
    begin(write, status, about, body.len()).await?;
    write.write_all(body).await?;
    Ok(write.shutdown().await?)
}

/// The right bytes, and then ever more.
async fn endless(write: &mut (impl AsyncWriteExt + Unpin), about: &str, body: &[u8]) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\n{about}Connection: close\r\n\r\n");
    write.write_all(head.as_bytes()).await?;
    write.write_all(body).await?;
    let piece = vec![0_u8; PIECE];
    for _ in 0..ENDLESS_PIECES {
        write.write_all(&piece).await?;
    }
    Ok(())
}

/// Up to and with the empty line.
async fn head(reader: &mut (impl AsyncBufReadExt + Unpin)) -> Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        ensure!(head.len() < HEAD_BYTES_AT_MOST, "a head without an end");
        ensure!(reader.read_line(&mut head).await? > 0, "a head that was cut");
    }
    Ok(head)
}

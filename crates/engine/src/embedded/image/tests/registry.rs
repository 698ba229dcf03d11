//! A registry of a test's own on loopback: it answers what it is told to, notes what it is asked, and can be as wrong,
//! slow or short as no sound one is. One connection a request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::sample::{OCI_MANIFEST, SampleLayout};

/// One request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) authorization: Option<String>,
    /// How often this path was asked for before.
    pub(crate) before: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The connection breaks after so many bytes of the body, though its length was announced.
    pub(crate) cut_after: Option<usize>,
}

pub(crate) struct FakeRegistry {
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    serving: JoinHandle<()>,
}

impl Answer {
    pub(crate) fn of(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), cut_after: None }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn cut_after(mut self, bytes: usize) -> Self {
        self.cut_after = Some(bytes);
        self
    }

    /// The part of the body that was asked for, as a registry that knows ranges answers.
    pub(crate) fn ranged(mut self, asked: &Asked) -> Self {
        let Some(range) = &asked.range else { return self };
        let from: usize = range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
        let whole = self.body.len();
        if from >= whole {
            return Self::of(416, "");
        }
        self.status = 206;
        self.body = self.body.split_off(from);
        self.header("Content-Range", format!("bytes {from}-{}/{whole}", whole - 1))
    }
}

impl FakeRegistry {
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, noted) = (Arc::new(answer), Arc::clone(&asked));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, noted) = (Arc::clone(&answer), Arc::clone(&noted));
                tokio::spawn(async move { serve(stream, &*answer, &noted).await });
            }
        });
        Self { address, asked, serving }
    }

    /// One with the only image of the layout under `edge/web:v1`, answered as `change` says.
    pub(crate) async fn with(
        layout: &SampleLayout,
        change: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let shelf = shelf(layout);
        Self::start(move |asked| {
            let found = shelf.get(&asked.path).cloned();
            change(asked, found.unwrap_or_else(|| Answer::of(404, r#"{"errors":[]}"#)))
        })
        .await
    }

    pub(crate) fn image(&self) -> String {
        format!("{}/edge/web:v1", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How often blobs were asked for.
    pub(crate) fn blobs(&self) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.path.contains("/blobs/")).collect()
    }
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// What a registry answers for every path of the layout's only image.
pub(crate) fn shelf(layout: &SampleLayout) -> HashMap<String, Answer> {
    let mut shelf = HashMap::new();
    for (hex, bytes) in &layout.blobs {
        let answer = Answer::of(200, bytes.clone());
        shelf.insert(format!("/v2/edge/web/blobs/sha256:{hex}"), answer.clone());
        shelf.insert(
            format!("/v2/edge/web/manifests/sha256:{hex}"),
            answer.header("Content-Type", OCI_MANIFEST),
        );
    }
    if let Some(entry) = layout.entries.first() {
        let digest = entry["digest"].as_str().unwrap();
        let mut tagged = shelf[&format!("/v2/edge/web/manifests/{digest}")].clone();
        tagged.headers = vec![("Content-Type".into(), entry["mediaType"].as_str().unwrap().into())];
        shelf.insert("/v2/edge/web/manifests/v1".into(), tagged);
    }
    shelf
}

async fn serve(
    mut stream: TcpStream,
    answer: &(impl Fn(&Asked) -> Answer + Send + Sync),
    noted: &Mutex<Vec<Asked>>,
) {
    let mut asked = Asked::default();
    let mut lines = BufReader::new(&mut stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.is_empty() {
            break;
        }
        match line.split_once(": ") {
            None => asked.path = line.split(' ').nth(1).unwrap_or_default().to_owned(),
            Some((name, value)) if name.eq_ignore_ascii_case("range") => asked.range = Some(value.into()),
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                asked.authorization = Some(value.into());
            }
            Some(_) => {}
        }
    }
    {
        let mut noted = noted.lock().unwrap();
        asked.before = noted.iter().filter(|before| before.path == asked.path).count();
        noted.push(asked.clone());
    }
    let answer = answer(&asked);
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !answer.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding")) {
        head.push_str(&format!("Content-Length: {}\r\n", answer.body.len()));
    }
    head.push_str("\r\n");
    let body = &answer.body[..answer.cut_after.unwrap_or(answer.body.len())];
    // A client that goes away in the middle is its own affair.
    let _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
    let _ = stream.shutdown().await;
}

//! Debian's `docker-registry` on loopback, with a directory and a port of its own, and pushes to it. Ends by its process
//! id when dropped; the service of the package is left alone.

use crate::image::{Built, digest};
use anyhow::{Context, Result, bail, ensure};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const START_AT_MOST: Duration = Duration::from_secs(20);
/// Somebody else may take the port that was free a moment ago.
const STARTS_AT_MOST: usize = 5;

/// User and password of a registry that asks for them.
pub const USER: &str = "edge";
pub const PASSWORD: &str = "s3cret";
/// The password, as `htpasswd -B` writes it.
const HTPASSWD: &str = "edge:$2b$04$XrdnsAXDpDxMzwQwpZ4DTeOk1lXS7dAQ1gzcipYOA.ohl812xBJKG\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Anybody,
    /// [`USER`] with [`PASSWORD`].
    WithPassword,
}

pub struct Registry {
    process: Child,
    access: Access,
    _directory: TempDir,
    /// `127.0.0.1:PORT`.
    pub address: String,
    http: reqwest::Client,
}

/// Whether the registry is installed. Where not, says so in the form that `scripts/test` counts.
pub fn is_installed() -> bool {
    let found =
        Command::new("docker-registry").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let is_installed = found.is_ok_and(|status| status.success());
    if !is_installed {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("registry_test");
        println!("SKIPPED {name}: `docker-registry` is not installed; scripts/setup-debian does it");
    }
    is_installed
}

impl Registry {
    /// Starts one with nothing in it, and returns once it answers.
    ///
    /// # Errors
    /// When it does not answer within 20 s.
    pub async fn start(access: Access) -> Result<Self> {
        // Fails only when a provider is installed already, and then there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        for _ in 1..STARTS_AT_MOST {
            if let Ok(registry) = Self::try_start(access).await {
                return Ok(registry);
            }
        }
        Self::try_start(access).await
    }

    async fn try_start(access: Access) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("ensemble-registry-").tempdir()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let configuration = directory.path().join("config.yml");
        std::fs::write(&configuration, configuration_of(directory.path(), &address, access)?)?;
        let mut serve = Command::new("docker-registry");
        serve.arg("serve").arg(&configuration);
        // What a shell says to a registry of its own is not meant for this one.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("REGISTRY_")) {
            serve.env_remove(name);
        }
        let process = serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        let mut registry = Self { process, access, _directory: directory, address, http };
        let began = Instant::now();
        loop {
            if let Some(status) = registry.process.try_wait()? {
                bail!("the registry ended with {status}");
            }
            match registry.http.get(format!("http://{}/v2/", registry.address)).send().await {
                Ok(_) => return Ok(registry),
                Err(error) if began.elapsed() > START_AT_MOST => {
                    return Err(error).context("no registry answers");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Pushes an image, and answers its digest.
    ///
    /// # Errors
    /// When the registry refuses.
    pub async fn push(&self, repository: &str, tag: &str, built: &Built) -> Result<String> {
        for blob in &built.blobs {
            self.put_blob(repository, blob).await?;
        }
        self.put_manifest(repository, tag, built.media_type, &built.manifest).await
    }

    /// Puts a manifest or index whose parts are there, under a tag or its digest; answers the digest.
    ///
    /// # Errors
    /// When the registry refuses.
    pub async fn put_manifest(
        &self,
        repository: &str,
        tag: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<String> {
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.address);
        let request = self.signed(self.http.put(url).header("content-type", media_type).body(bytes.to_vec()));
        let response = request.send().await?;
        let status = response.status();
        ensure!(status == 201, "manifest refused with {status}: {}", response.text().await?);
        Ok(digest(bytes))
    }

    /// Puts bytes that are only named, such as an attestation, as a blob and as a manifest.
    ///
    /// # Errors
    /// When the registry refuses.
    pub async fn push_document(&self, repository: &str, bytes: &[u8]) -> Result<()> {
        self.put_blob(repository, bytes).await
    }

    async fn put_blob(&self, repository: &str, bytes: &[u8]) -> Result<()> {
        let begin =
            self.signed(self.http.post(format!("http://{}/v2/{repository}/blobs/uploads/", self.address)));
        let response = begin.send().await?;
        ensure!(response.status() == 202, "upload refused with {}", response.status());
        let location =
            response.headers().get("location").context("an upload has a place")?.to_str()?.to_owned();
        let separator = if location.contains('?') { '&' } else { '?' };
        let place = format!("{location}{separator}digest={}", digest(bytes));
        let put =
            self.http.put(place).header("content-type", "application/octet-stream").body(bytes.to_vec());
        let response = self.signed(put).send().await?;
        ensure!(response.status() == 201, "blob refused with {}", response.status());
        Ok(())
    }

    fn signed(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match self.access {
            Access::Anybody => request,
            Access::WithPassword => request.basic_auth(USER, Some(PASSWORD)),
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // Already ended is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn configuration_of(directory: &Path, address: &str, access: Access) -> Result<String> {
    let storage = directory.join("storage");
    let auth = match access {
        Access::Anybody => String::new(),
        Access::WithPassword => {
            let file = directory.join("htpasswd");
            std::fs::write(&file, HTPASSWD)?;
            format!("auth: {{htpasswd: {{realm: registry, path: {}}}}}\n", file.display())
        }
    };
    Ok(format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
         http: {{addr: '{address}'}}\n{auth}",
        storage.display()
    ))
}

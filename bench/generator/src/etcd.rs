//! Puts to etcd: a value of so many bytes under one of the connection's keys after the other.

use crate::{Answer, Writer};
use anyhow::{Context, Result};
use etcd_client::Client;
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Target {
    /// `127.0.0.1:PORT`.
    address: String,
    /// Of a key and its value together.
    bytes: usize,
    keys: usize,
}

pub(crate) struct Puts {
    client: Client,
    keys: Vec<String>,
    bytes: usize,
    count: usize,
}

impl Puts {
    pub(crate) async fn connect(target: &Target, index: usize, connections: usize) -> Result<Self> {
        let client = Client::connect([&target.address], None).await.context("etcd does not answer")?;
        let keys = (index..target.keys).step_by(connections).map(|key| format!("shop-{key:06}"));
        Ok(Self { client, keys: keys.collect(), bytes: target.bytes, count: 0 })
    }
}

impl Writer for Puts {
    async fn write(&mut self) -> Result<Answer> {
        let key = &self.keys[self.count % self.keys.len()];
        // Another value each time, as a log's records are.
        let length = self.bytes - key.len();
        let value = format!("{:0length$}", self.count);
        self.count += 1;
        self.client.put(key.as_str(), value, None).await?;
        Ok(Answer::Durable)
    }

    fn has_instance(&self) -> Vec<bool> {
        Vec::new()
    }
}

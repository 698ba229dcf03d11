//! What a server says in the end of one account: every operation, every application, every instance that is held.
//! Read through the API like any client does; believed in nothing.

use super::clients::Ledger;
use super::verdict::{Account, Application, Operation};
use crate::client::{Client, instances};
use anyhow::{Context, Result};
use serde_json::Value;

/// # Errors
/// When the server does not answer, or not in the documented form.
pub async fn account(client: &Client, ledger: &Ledger) -> Result<Account> {
    let mut account = Account::default();
    let listed = client.ask("ListOperations", &[]).await?;
    for shown in listed["Operations"].as_array().context("`Operations` is a list")? {
        let operation = Operation {
            app: text(shown, "AppId")?,
            status: text(shown, "Status")?,
            wanted: shown["Wanted"].as_u64().context("`Wanted` is a number")?,
            ready: shown["Ready"].as_u64().context("`Ready` is a number")?,
        };
        account.operations.insert(text(shown, "OperationId")?, operation);
    }
    let known = ledger.applications();
    let listed = client.ask("ListApplications", &[]).await?;
    let clusters = listed["Applications"]["Application"].as_array().cloned().unwrap_or_default();
    for cluster in &clusters {
        for shown in cluster["AppList"]["App"].as_array().context("`App` is a list")? {
            let id = text(shown, "AppId")?;
            let mut application = Application::default();
            if let Some(known) = known.iter().find(|known| known.id == id) {
                application.containers.clone_from(&known.shape.containers);
                application.pods_of_an_instance = known.shape.pods;
            }
            let described = client.ask("DescribeDeviceService", &[("AppId", &id)]).await?;
            for instance in instances(&described) {
                if instance["InstanceStatus"] != "Releasing" {
                    application.instances.insert(text(instance, "InstanceId")?);
                }
            }
            account.applications.insert(id, application);
        }
    }
    Ok(account)
}

fn text(of: &Value, name: &str) -> Result<String> {
    of[name].as_str().map(str::to_owned).with_context(|| format!("`{name}` is a text: {of}"))
}

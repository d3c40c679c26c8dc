//! The task that writes.

use std::sync::{Arc, Weak};
use std::time::Duration;

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use super::super::custom_resources::resource;
use super::{Next, Statuses, Write};
use crate::crd::KINDS;
use crate::server::cluster;

/// Who writes, in `metadata.managedFields`.
const MANAGER: &str = "podgraft";

/// Between two writes: ten thousand presets that are new must not be a burden.
const PACE: Duration = Duration::from_millis(50);

/// The same, where the API server has too much to do or is not well.
const PACE_OF_ONE_WHO_IS_ILL: Duration = Duration::from_secs(1);

/// Before anything is written again, where nobody answered.
const AGAIN: Duration = Duration::from_secs(10);

/// Writes one after the other, while there is somebody to write for.
pub(super) async fn write(client: Client, statuses: Weak<Statuses>, wake: Arc<Notify>) {
    // When a failure was last said: ten thousand that fail are not ten thousand lines.
    let mut said: Option<Instant> = None;
    loop {
        let Some(next) = statuses.upgrade().map(|statuses| statuses.next(Instant::now())) else { return };
        match next {
            Next::Wait(None) => wake.notified().await,
            Next::Wait(Some(until)) => {
                // Either will do.
                let _ = timeout_at(until, wake.notified()).await;
            }
            Next::Write(write) => {
                let answer = send(&client, &write).await;
                let Some(statuses) = statuses.upgrade() else { return };
                let rest = match answer {
                    Ok(status) => {
                        statuses.was_written(&write, status, Instant::now());
                        PACE
                    }
                    Err(failure) => match failure.status() {
                        // It is gone, or another one by now.
                        Some(404 | 409) => Duration::ZERO,
                        Some(status) => {
                            let quiet = said.is_none_or(|when| when.elapsed() >= AGAIN);
                            if statuses.was_refused(&write, quiet, Instant::now()) {
                                said = Some(Instant::now());
                                tracing::warn!(preset = %write.key, why = %failure, "the status of a custom resource cannot be written");
                            }
                            if matches!(status, 429 | 500..) { PACE_OF_ONE_WHO_IS_ILL } else { PACE }
                        }
                        None => {
                            if said.is_none_or(|when| when.elapsed() >= AGAIN * 60) {
                                said = Some(Instant::now());
                                tracing::warn!(why = %failure, "no status of custom resources can be written, nobody answers");
                            }
                            statuses.is_due_again(write.key);
                            AGAIN
                        }
                    },
                };
                drop(statuses);
                sleep(rest).await;
            }
        }
    }
}

/// Gives what is written then.
async fn send(client: &Client, write: &Write) -> Result<Value, cluster::Failure> {
    let Write { object, status, .. } = write;
    let api: Api<DynamicObject> = match &object.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource(&KINDS[0])),
        None => Api::all_with(client.clone(), &resource(&KINDS[1])),
    };
    let body = json!({
        "apiVersion": object.api_version,
        "kind": object.kind,
        // Another object of that name is not meant.
        "metadata": {"name": object.name, "uid": object.uid},
        "status": status,
    });
    let params = PatchParams::apply(MANAGER).force();
    let mut written = cluster::answered(api.patch_status(&object.name, &params, &Patch::Apply(&body))).await?;
    Ok(written.data.get_mut("status").map(Value::take).unwrap_or_default())
}

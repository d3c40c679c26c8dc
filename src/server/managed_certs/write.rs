//! Writes the Secret and the bundles, so that nobody's change in between is lost.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, Client, Resource};
use serde_json::{Value, json};

use super::Kept;
use super::decide::{Step, bundle, ours};
use super::edit;
use super::lease;
use crate::server::cluster::{Failure, answered};
use crate::server::config::Lives;
use crate::server::identity::trust::{Authority, Registration, Webhook};
use crate::server::identity::{PairError, unix_now};
use crate::server::{secret_certs, webhook_config};

/// Owns the `caBundle` fields, and nothing else (server-side apply).
const FIELD_MANAGER: &str = "podgraft-ca-bundle";

/// Owns the Secret.
const MANAGER: &str = "podgraft";

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Of the Lease.
    #[error("no turn to write: {0}")]
    Lease(Failure),
    /// Of the Secret.
    #[error("the Secret: {0}")]
    Secret(Failure),
    /// Of a webhook configuration.
    #[error("the caBundle of {0}: {1}")]
    Bundle(&'static str, Failure),
    /// Nothing to write could be made.
    #[error(transparent)]
    Made(#[from] PairError),
}

/// See the module.
#[derive(Debug)]
pub struct Writer {
    secrets: Api<Secret>,
    mutating: Api<MutatingWebhookConfiguration>,
    validating: Api<ValidatingWebhookConfiguration>,
    secret: String,
    configuration: Option<String>,
    /// Names of the certificate.
    names: Vec<String>,
}

/// The two webhook configurations as they are now.
#[derive(Debug)]
pub struct Configurations {
    mutating: Result<Option<MutatingWebhookConfiguration>, Failure>,
    validating: Result<Option<ValidatingWebhookConfiguration>, Failure>,
}

impl Configurations {
    /// What they say; the mutating one decides whether anything is known.
    #[must_use]
    pub fn registration(&self) -> Registration {
        match &self.mutating {
            Err(failure) => Registration::Unreadable(failure.to_string()),
            Ok(mutating) => {
                let mut webhooks = mutating.as_ref().map(webhook_config::mutating).unwrap_or_default();
                if let Ok(Some(validating)) = &self.validating {
                    webhooks.extend(webhook_config::validating(validating));
                }
                Registration::Read(webhooks)
            }
        }
    }
}

impl Writer {
    /// Writes for these.
    #[must_use]
    pub fn new(client: &Client, kept: &Kept, names: Vec<String>) -> Writer {
        Writer {
            secrets: Api::namespaced(client.clone(), &kept.namespace),
            mutating: Api::all(client.clone()),
            validating: Api::all(client.clone()),
            secret: kept.secret.clone(),
            configuration: kept.configuration.clone(),
            // Who is called by localhost's name is no Service.
            names: names.into_iter().filter(|name| name != "localhost").collect(),
        }
    }

    /// The Secret as it is now.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn read(&self) -> Result<Option<Secret>, Trouble> {
        answered(self.secrets.get_opt(&self.secret)).await.map_err(Trouble::Secret)
    }

    /// The webhook configurations as they are now.
    pub async fn configurations(&self) -> Configurations {
        let Some(name) = &self.configuration else { return Configurations { mutating: Ok(None), validating: Ok(None) } };
        let (mutating, validating) = tokio::join!(answered(self.mutating.get_opt(name)), answered(self.validating.get_opt(name)));
        Configurations { mutating, validating }
    }

    /// Does a step that changes the Secret; `false` where somebody else changed it meanwhile, which is to be looked at first.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn secret(&self, step: &Step, before: Option<Secret>, lives: Lives) -> Result<bool, Trouble> {
        let content = before.clone().map(secret_certs::content);
        let after = edit::after(step, content.as_ref(), &self.names, lives, unix_now())?;
        let new = before.is_none();
        let mut secret = before.unwrap_or_else(|| Secret {
            metadata: ObjectMeta { name: Some(self.secret.clone()), ..ObjectMeta::default() },
            type_: Some("kubernetes.io/tls".to_owned()),
            ..Secret::default()
        });
        secret.data = Some(after.data.into_iter().map(|(key, value)| (key, ByteString(value))).collect());
        secret.metadata.annotations = Some(after.annotations);
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let written = if new {
            answered(self.secrets.create(&params, &secret)).await
        } else {
            // With the version that was read: a change in between is a conflict.
            answered(self.secrets.replace(&self.secret, &params, &secret)).await
        };
        match written {
            // What others cannot use yet they will replace: whoever takes a turn is asked for his clock before he writes.
            Ok(made) if new => lease::on_time(&made.metadata, unix_now()).map(|()| true).map_err(Trouble::Secret),
            Ok(_) => Ok(true),
            Err(failure) if failure.status() == Some(409) => Ok(false),
            Err(failure) => Err(Trouble::Secret(failure)),
        }
    }

    /// Writes the bundles of the webhooks that call by this name, and no other field. A configuration that changed meanwhile is to be looked
    /// at first.
    ///
    /// # Errors
    /// One cannot be written.
    pub async fn bundles(&self, now: &Configurations, name: &str, wanted: &[Authority], trim: bool) -> Result<(), Trouble> {
        if let Ok(Some(there)) = &now.mutating {
            let webhooks = webhook_config::mutating(there);
            let done = apply(&self.mutating, there, &ours(&webhooks, name).collect::<Vec<_>>(), wanted, trim).await;
            done.map_err(|failure| Trouble::Bundle("the MutatingWebhookConfiguration", failure))?;
        }
        if let Ok(Some(there)) = &now.validating {
            let webhooks = webhook_config::validating(there);
            let done = apply(&self.validating, there, &ours(&webhooks, name).collect::<Vec<_>>(), wanted, trim).await;
            done.map_err(|failure| Trouble::Bundle("the ValidatingWebhookConfiguration", failure))?;
        }
        Ok(())
    }
}

async fn apply<K>(api: &Api<K>, there: &K, webhooks: &[&Webhook], wanted: &[Authority], trim: bool) -> Result<(), Failure>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    if webhooks.is_empty() {
        return Ok(());
    }
    let meta = there.meta();
    let name = meta.name.clone().unwrap_or_default();
    let patch = patch(&K::kind(&()), &name, meta.resource_version.as_deref(), webhooks, wanted, trim);
    // Whoever else states a bundle is overruled: nobody but us knows what it has to be.
    match answered(api.patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&patch))).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.status() == Some(409) => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// What is applied: the bundle of each webhook, by its name, and nothing else.
fn patch(kind: &str, name: &str, version: Option<&str>, webhooks: &[&Webhook], wanted: &[Authority], trim: bool) -> Value {
    let webhooks: Vec<Value> = webhooks
        .iter()
        .map(|webhook| {
            let bundle = bundle(wanted, &webhook.bundle, trim, unix_now());
            let pem: String = bundle.iter().map(|authority| authority.pem.as_str()).collect();
            json!({"name": webhook.name, "clientConfig": {"caBundle": ByteString(pem.into_bytes())}})
        })
        .collect();
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, "resourceVersion": version},
        "webhooks": webhooks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::identity::trust::tests::{made, webhook};

    #[test]
    fn nothing_but_bundles_is_applied() {
        let ((one, _), (other, _)) = (made(10), made(10));
        let patch =
            |trim| patch("MutatingWebhookConfiguration", "podgraft", Some("7"), &[&webhook(&[&other])], std::slice::from_ref(&one), trim);
        let read = |patch: &Value| {
            let bundle: ByteString = serde_json::from_value(patch["webhooks"][0]["clientConfig"]["caBundle"].clone()).unwrap();
            Authority::all_in(&bundle.0)
        };
        assert_eq!(read(&patch(true)), std::slice::from_ref(&one));
        // These authorities are valid in the year 2027 only, so what is there has not expired.
        assert_eq!(read(&patch(false)), [&one, &other].map(Clone::clone));
        let mut rest = patch(true);
        rest["webhooks"][0]["clientConfig"]["caBundle"].take();
        let wanted = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "podgraft", "resourceVersion": "7"},
            "webhooks": [{"name": "pods.podgraft.dev", "clientConfig": {"caBundle": null}}],
        });
        assert_eq!(rest, wanted);
    }
}

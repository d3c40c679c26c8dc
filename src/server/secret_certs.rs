//! The Secret with the certificate, watched through the API: no waiting until a kubelet changes a mount.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::sync::watch;

use super::identity::secret::{Content, Seen};
use super::named::{Glimpse, follow};
use super::poll::Bell;

/// Watches it for ever, and rings when it changes.
pub async fn watch(client: Client, namespace: String, name: String, seen: watch::Sender<Seen>, bell: Bell) {
    let api: Api<Secret> = Api::namespaced(client, &namespace);
    // What was said last, so that it is said once.
    let mut said = None;
    follow(api, &name, |glimpse| {
        let (next, why) = match glimpse {
            Glimpse::Is(secret) => (Some(Seen::There(Arc::new(content(*secret)))), None),
            Glimpse::Absent => (Some(Seen::Absent), None),
            Glimpse::Refused(why) | Glimpse::Away(why) => (None, Some(why)),
        };
        if let Some(why) = why.filter(|why| said.as_ref() != Some(why)) {
            tracing::warn!(secret = format!("{namespace}/{name}"), why, "cannot be watched, what was seen last stays");
            if matches!(*seen.borrow(), Seen::Unread(_)) {
                seen.send_replace(Seen::Unread(Some(why.clone())));
            }
            said = Some(why);
        }
        if let Some(next) = next {
            said = None;
            seen.send_replace(next);
        }
        bell.ring();
    })
    .await;
}

/// What a Secret holds.
#[must_use]
pub fn content(secret: Secret) -> Content {
    let data: BTreeMap<String, Vec<u8>> = secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
    Content { data, annotations: secret.metadata.annotations.unwrap_or_default() }
}

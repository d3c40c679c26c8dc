//! The Secret with the certificate, watched through the API: no waiting until a kubelet changes a mount.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::sync::watch;

use super::identity::secret::{Content, Seen};
use super::named::{self, Glimpse};
use super::poll::Bell;
use super::watch::{Around, Watch};

/// Watches it for ever, and rings when it changes. Needs a tokio runtime.
#[must_use]
pub fn watch(client: Client, namespace: &str, name: &str, around: &Around, seen: watch::Sender<Seen>, bell: Bell) -> Watch {
    let api: Api<Secret> = Api::namespaced(client, namespace);
    named::watch("certificate_secret", api, name, around, move |glimpse| {
        match glimpse {
            Glimpse::Is(secret) => drop(seen.send_replace(Seen::There(Arc::new(content(*secret))))),
            Glimpse::Absent => drop(seen.send_replace(Seen::Absent)),
            // What was seen last stays.
            Glimpse::Refused(why) | Glimpse::Away(why) => drop(seen.send_if_modified(|seen| {
                let unread = matches!(seen, Seen::Unread(_));
                if unread {
                    *seen = Seen::Unread(Some(why));
                }
                unread
            })),
        }
        bell.ring();
    })
}

/// What a Secret holds.
#[must_use]
pub fn content(secret: Secret) -> Content {
    let data: BTreeMap<String, Vec<u8>> = secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
    Content { data, annotations: secret.metadata.annotations.unwrap_or_default() }
}

//! The webhook configurations that send the API server to Podgraft: watched, since a new certificate waits for their bundles.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig};
use kube::{Api, Client};
use tokio::sync::watch;

use super::identity::target::Target;
use super::identity::trust::{Authority, Registration, Webhook};
use super::named::{self, Glimpse};
use super::poll::Bell;
use super::watch::{Around, Watch};

/// An API server that has just started refuses what it will permit in a moment: what was read before counts for this long.
const REFUSED: Duration = Duration::from_secs(60);

/// What one of the two configurations has.
#[derive(Clone, Debug, Default)]
enum Half {
    #[default]
    Unread,
    Refused(String),
    Read(Vec<Webhook>),
}

/// Watches the mutating and the validating configuration of one name for ever, and rings when they change. Needs a tokio runtime.
#[must_use]
pub fn watch(client: &Client, name: &str, around: &Around, known: &watch::Sender<Arc<Registration>>, bell: &Bell) -> [Watch; 2] {
    let halves: Arc<Mutex<[Half; 2]>> = Arc::default();
    let put = |index: usize| {
        let (halves, known, bell) = (Arc::clone(&halves), known.clone(), bell.clone());
        move |half: Half| {
            let mut halves = halves.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = halves.get_mut(index) {
                *place = half;
            }
            known.send_replace(Arc::new(together(&halves)));
            bell.ring();
        }
    };
    [
        named::watch(
            "mutating_configuration",
            Api::<MutatingWebhookConfiguration>::all(client.clone()),
            name,
            around,
            told(put(0), mutating),
        ),
        named::watch(
            "validating_configuration",
            Api::<ValidatingWebhookConfiguration>::all(client.clone()),
            name,
            around,
            told(put(1), validating),
        ),
    ]
}

/// Takes what is seen of one of them.
fn told<K, P: Fn(Half)>(put: P, webhooks: fn(&K) -> Vec<Webhook>) -> impl FnMut(Glimpse<K>) + use<K, P> {
    let (mut read, mut refused) = (false, None);
    move |glimpse| match glimpse {
        Glimpse::Is(configuration) => {
            (read, refused) = (true, None);
            put(Half::Read(webhooks(&configuration)));
        }
        Glimpse::Absent => {
            (read, refused) = (true, None);
            put(Half::Read(Vec::new()));
        }
        Glimpse::Refused(why) => {
            let since: Instant = *refused.get_or_insert_with(Instant::now);
            if !read || since.elapsed() > REFUSED {
                read = false;
                put(Half::Refused(why));
            }
        }
        Glimpse::Away(why) => tracing::debug!(why, "the webhook configuration cannot be watched at the moment"),
    }
}

/// The mutating configuration decides: without it nothing is known. The validating one may be kept from us.
fn together(halves: &[Half; 2]) -> Registration {
    match halves {
        [Half::Refused(why), _] => Registration::Unreadable(why.clone()),
        [Half::Unread, _] | [_, Half::Unread] => Registration::Unread,
        [Half::Read(mutating), Half::Read(validating)] => Registration::Read([mutating.clone(), validating.clone()].concat()),
        [Half::Read(mutating), Half::Refused(_)] => Registration::Read(mutating.clone()),
    }
}

/// The webhooks of a mutating configuration.
#[must_use]
pub fn mutating(configuration: &MutatingWebhookConfiguration) -> Vec<Webhook> {
    let name = format!("MutatingWebhookConfiguration {}", configuration.metadata.name.as_deref().unwrap_or_default());
    configuration.webhooks.iter().flatten().map(|webhook| called(&name, &webhook.name, &webhook.client_config)).collect()
}

/// The webhooks of a validating configuration.
#[must_use]
pub fn validating(configuration: &ValidatingWebhookConfiguration) -> Vec<Webhook> {
    let name = format!("ValidatingWebhookConfiguration {}", configuration.metadata.name.as_deref().unwrap_or_default());
    configuration.webhooks.iter().flatten().map(|webhook| called(&name, &webhook.name, &webhook.client_config)).collect()
}

fn called(configuration: &str, name: &str, client: &WebhookClientConfig) -> Webhook {
    let service = client.service.as_ref().map(|service| (service.namespace.as_str(), service.name.as_str(), service.port.map(i64::from)));
    let target = Target::of(client.url.as_deref(), service);
    let server_name = target.map(|target| target.server_name()).unwrap_or_default();
    let bundle = client.ca_bundle.as_ref().map(|bundle| bundle.0.as_slice()).unwrap_or_default();
    // Without one the API server asks those that its machine trusts; no such authority vouches for the name of a Service.
    let public = client.service.is_none() && bundle.is_empty();
    let bundle = Authority::all_in(bundle);
    Webhook { configuration: configuration.to_owned(), name: name.to_owned(), server_name, bundle, public }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use k8s_openapi::api::admissionregistration::v1::ServiceReference;

    use super::*;
    use crate::server::identity::make;

    #[test]
    fn a_webhook_is_called_by_the_name_of_its_service_or_the_host_of_its_url() {
        let authority = make::authority(1_800_000_000, 1000).unwrap();
        let service = ServiceReference { name: "podgraft".to_owned(), namespace: "grafting".to_owned(), ..ServiceReference::default() };
        let mut client = WebhookClientConfig { service: Some(service), ..WebhookClientConfig::default() };
        client.ca_bundle = Some(ByteString(format!("{0}{0}", authority.certificate).into_bytes()));
        let webhook = called("MutatingWebhookConfiguration podgraft", "pods.podgraft.dev", &client);
        assert_eq!((webhook.server_name.as_str(), webhook.bundle.len()), ("podgraft.grafting.svc", 1));
        client.ca_bundle = None;
        assert!(!called("", "", &client).public, "nobody public vouches for a Service");
        for (url, expected) in [
            ("https://127.0.0.1:8443/mutate", "127.0.0.1"),
            ("https://[::1]:8443/mutate", "::1"),
            ("https://podgraft.example", "podgraft.example"),
            ("https://podgraft.example?x", "podgraft.example"),
        ] {
            let client = WebhookClientConfig { url: Some(url.to_owned()), ..WebhookClientConfig::default() };
            let webhook = called("", "", &client);
            assert_eq!((webhook.server_name.as_str(), webhook.bundle.len(), webhook.public), (expected, 0, true));
            let client = WebhookClientConfig { ca_bundle: Some(ByteString(b"garbage".to_vec())), ..client };
            assert!(!called("", "", &client).public, "what cannot be read is not as nothing");
        }
    }

    #[test]
    fn nothing_is_known_until_both_were_read_and_the_mutating_one_decides() {
        let (read, refused) = (|| Half::Read(vec![called("", "", &WebhookClientConfig::default())]), || Half::Refused("no".to_owned()));
        assert!(matches!(together(&[Half::Unread, read()]), Registration::Unread));
        assert!(matches!(together(&[read(), Half::Unread]), Registration::Unread));
        assert!(matches!(together(&[refused(), Half::Unread]), Registration::Unreadable(_)));
        assert!(matches!(together(&[read(), refused()]), Registration::Read(webhooks) if webhooks.len() == 1));
        assert!(matches!(together(&[read(), read()]), Registration::Read(webhooks) if webhooks.len() == 2));
    }

    #[test]
    fn what_was_read_survives_a_refusal_of_a_moment() {
        let put: Mutex<Vec<&str>> = Mutex::default();
        let note = |half: Half| {
            put.lock().unwrap().push(match half {
                Half::Unread => "unread",
                Half::Refused(_) => "refused",
                Half::Read(_) => "read",
            });
        };
        let mut told = told(&note, mutating);
        told(Glimpse::Refused(String::new()));
        told(Glimpse::Is(Box::default()));
        told(Glimpse::Refused(String::new()));
        told(Glimpse::Away(String::new()));
        told(Glimpse::Absent);
        assert_eq!(*put.lock().unwrap(), ["refused", "read", "read"]);
    }
}

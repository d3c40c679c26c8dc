//! What is to be done next about managed certificates: a function of what is seen, without a clock of its own and without doing anything.
//!
//! A rotation is made before it is broken: the next authority is put into the bundles first; when it has been in all of them long enough for
//! every API server to know, it signs; the old one is trusted until the last certificate of it has expired. Each step is one write, and what is
//! to follow is seen from what there is then: whoever takes over in the middle goes on from there.

use std::time::Duration;

use super::material::{Asked, Material};
use crate::server::config::Lives;
use crate::server::identity::Pair;
use crate::server::identity::trust::{self, Authority, Registration, Webhook};

/// How long everything must have been in all bundles before anybody relies on it: every API server learns of a bundle by a watch of its own.
const PROPAGATION: i64 = 10;

/// Looks at the clock at least this often, in seconds: a machine may sleep, or its clock be set.
const GLANCE: i64 = 30;

/// What is seen.
#[derive(Debug)]
pub struct Scene<'s> {
    /// Unix time.
    pub now: i64,
    /// How long what is made is valid.
    pub lives: Lives,
    /// The name that the API server expects.
    pub name: &'s str,
    /// What the Secret holds; `None`: there is no Secret.
    pub material: Option<&'s Material>,
    /// The registration.
    pub registration: &'s Registration,
    /// What this replica shows.
    pub shown: Option<&'s Pair>,
    /// How long all bundles have had all that is wanted, without a change of what is wanted and shown; `None`: they have not.
    pub settled: Option<Duration>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing for so many seconds, unless something changes.
    Nothing(i64),
    /// Make the Secret, with an authority and a certificate.
    Create,
    /// A new authority and a certificate of it at once, as there is nothing to rely on; why.
    Replace(String),
    /// A new certificate of the authority that there is; why.
    Issue(String),
    /// Make the next authority; why.
    Prepare(String),
    /// The next authority signs from now on.
    Promote,
    /// Take authorities out of the Secret whose last certificate is gone.
    Prune,
    /// Write the bundles: something is missing.
    Restore,
    /// Write the bundles: something is too much.
    Trim,
}

/// Decides.
#[must_use]
pub fn decide(scene: &Scene<'_>) -> Step {
    let Scene { now, lives, name, registration, .. } = *scene;
    let Some(material) = scene.material else { return Step::Create };
    let signer = material.authorities.first().filter(|first| material.signs && first.valid_at(now));
    let pair = match material.usable(name, now) {
        Ok(pair) => pair,
        // There is nobody to convince first: what there is convinces nobody.
        Err(why) if signer.is_some() => return Step::Issue(why),
        Err(_) if material.next.as_ref().is_some_and(|next| next.valid_at(now)) => return Step::Promote,
        Err(why) => return Step::Replace(why),
    };
    // Whoever signs is trusted as he was before: nothing has to be waited for, whatever a change of authority is waiting for.
    if let Some(why) = signer.and_then(|signer| leaf_due(scene, material, signer, pair)) {
        return Step::Issue(why);
    }
    let wanted = wanted(scene);
    if missing(&wanted, name, registration) {
        return Step::Restore;
    }
    let settled = scene.settled.is_some_and(|settled| settled >= Duration::from_secs(u64::try_from(propagation(lives)).unwrap_or(0)));
    match &material.next {
        Some(next) if next.valid_at(now) => {
            // With no bundle that could be read, nobody could be known to trust it.
            let known = matches!(registration, Registration::Read(_));
            if known && settled {
                return Step::Promote;
            }
        }
        _ => {
            if let Some(why) = authority_due(scene, material, signer, pair) {
                return Step::Prepare(why);
            }
        }
    }
    if !material.over(now).is_empty() {
        return Step::Prune;
    }
    if settled && excess(&wanted, name, registration) {
        return Step::Trim;
    }
    let ends = [due(pair.not_before, pair.not_after, lives.leaf), pair.not_after + 1];
    let authorities = material.authorities.first().map(|first| due(first.not_before, first.not_after, lives.authority));
    let soonest = ends.into_iter().chain(authorities).filter(|at| *at > now).min().unwrap_or(now + GLANCE);
    // While something has to settle, it is looked at again when it may have.
    let settling = if material.next.is_some() || excess(&wanted, name, registration) { 1 } else { GLANCE };
    Step::Nothing((soonest - now).clamp(1, settling))
}

/// Why there has to be a new certificate of the authority that there is.
fn leaf_due(scene: &Scene<'_>, material: &Material, signer: &Authority, pair: &Pair) -> Option<String> {
    if material.asked == Some(Asked::Leaf) {
        return Some("somebody asked for it".to_owned());
    }
    // One that lives as long as its authority is followed by that of another.
    let longer = pair.not_after < signer.not_after;
    let due = longer && scene.now >= due(pair.not_before, pair.not_after, scene.lives.leaf);
    due.then(|| "a third of its life is left".to_owned())
}

/// Why there has to be a next authority.
fn authority_due(scene: &Scene<'_>, material: &Material, signer: Option<&Authority>, pair: &Pair) -> Option<String> {
    let Scene { now, lives, .. } = *scene;
    if material.asked == Some(Asked::Authority) {
        return Some("somebody asked for it".to_owned());
    }
    let Some(signer) = signer else {
        // A certificate that somebody brought, without the authority's key: it is good until it has to be renewed.
        let renew = due(pair.not_before, pair.not_after, lives.leaf);
        return (now >= renew).then(|| "the certificate has to be renewed, and there is no key of its authority".to_owned());
    };
    (now >= due(signer.not_before, signer.not_after, lives.authority)).then(|| "a third of the authority's life is left".to_owned())
}

/// Everybody who is to be in the bundles: whoever the Secret says, and whoever vouches for what is shown while the Secret has gone on already.
#[must_use]
pub fn wanted(scene: &Scene<'_>) -> Vec<Authority> {
    let mut wanted = scene.material.map(Material::trusted).unwrap_or_default();
    let Registration::Read(webhooks) = scene.registration else { return wanted };
    let Some(shown) = scene.shown.filter(|shown| trust::verify(&wanted, shown, scene.name, scene.now).is_err()) else { return wanted };
    for authority in ours(webhooks, scene.name).flat_map(|webhook| &webhook.bundle) {
        let vouches = trust::verify(std::slice::from_ref(authority), shown, scene.name, scene.now).is_ok();
        if vouches && !wanted.contains(authority) {
            wanted.push(authority.clone());
        }
    }
    wanted
}

/// What a webhook's bundle is to be: all that is wanted; but for trimming also whoever is in it already, as somebody may need him.
#[must_use]
pub fn bundle(wanted: &[Authority], there: &[Authority], trim: bool, now: i64) -> Vec<Authority> {
    let mut bundle = wanted.to_vec();
    if !trim {
        bundle.extend(there.iter().filter(|authority| authority.not_after >= now && !wanted.contains(authority)).cloned());
    }
    bundle
}

/// The webhooks that call us by our name. What others in the same configuration hold is theirs.
pub fn ours<'w>(webhooks: &'w [Webhook], name: &'w str) -> impl Iterator<Item = &'w Webhook> {
    webhooks.iter().filter(move |webhook| webhook.server_name == name)
}

/// Whether a bundle of ours lacks somebody who is wanted.
#[must_use]
pub fn missing(wanted: &[Authority], name: &str, registration: &Registration) -> bool {
    let Registration::Read(webhooks) = registration else { return false };
    ours(webhooks, name).any(|webhook| wanted.iter().any(|authority| !webhook.bundle.contains(authority)))
}

/// Whether a bundle of ours has somebody who is not wanted.
fn excess(wanted: &[Authority], name: &str, registration: &Registration) -> bool {
    let Registration::Read(webhooks) = registration else { return false };
    ours(webhooks, name).any(|webhook| webhook.bundle.iter().any(|authority| !wanted.contains(authority)))
}

/// When a third of the life is left: of what it is meant to be, or of what it was made for where that is less. Being backdated does not count.
fn due(not_before: i64, not_after: i64, life: i64) -> i64 {
    not_after - life.min(not_after - not_before) / 3
}

/// Shorter where lives are short, so that a rotation is over before what it replaces is.
fn propagation(lives: Lives) -> i64 {
    PROPAGATION.min(lives.authority / 20)
}

#[cfg(test)]
mod tests;

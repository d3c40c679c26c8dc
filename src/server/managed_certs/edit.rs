//! The steps that change the Secret: what it is to hold afterwards.

use std::collections::BTreeMap;

use super::decide::Step;
use super::material::{AUTHORITY_KEY, Asked, Material, NEXT, NEXT_KEY, RETIRED, ROTATE, print, write_retired};
use crate::server::config::Lives;
use crate::server::identity::secret::{AUTHORITIES, CERTIFICATE, Content, KEY};
use crate::server::identity::trust::Authority;
use crate::server::identity::{PairError, make};

/// Content after a step; keys and annotations that are not ours stay. Steps that do not change the Secret change nothing.
///
/// # Errors
/// A certificate cannot be made.
pub fn after(step: &Step, before: Option<&Content>, names: &[String], lives: Lives, now: i64) -> Result<Content, PairError> {
    let mut content = before.cloned().unwrap_or_else(|| Content { data: BTreeMap::new(), annotations: BTreeMap::new() });
    let material = Material::read(&content);
    let text = |name: &str| String::from_utf8_lossy(before.map_or(&[], |content| content.value(name))).into_owned();
    match step {
        Step::Create | Step::Replace(_) => {
            let authority = make::authority(now, lives.authority)?;
            sign(&mut content, &material, &authority, names, lives, now)?;
        }
        Step::Promote => {
            let next = make::Made { certificate: text(NEXT), key: text(NEXT_KEY) };
            sign(&mut content, &material, &next, names, lives, now)?;
        }
        Step::Issue(_) => {
            let leaf = make::leaf(&text(AUTHORITIES), &text(AUTHORITY_KEY), names, now, lives.leaf)?;
            put(&mut content, &[(CERTIFICATE, leaf.certificate), (KEY, leaf.key)]);
            // Who asked for another authority has not got one.
            if material.asked != Some(Asked::Authority) {
                content.annotations.remove(ROTATE);
            }
        }
        Step::Prepare(_) => {
            let next = make::authority(now, lives.authority)?;
            put(&mut content, &[(NEXT, next.certificate), (NEXT_KEY, next.key)]);
            content.annotations.remove(ROTATE);
        }
        Step::Prune => {
            let over = material.over(now);
            let stay = material.authorities.iter().filter(|authority| !over.contains(authority));
            let (stay, retired) = (stay.collect::<Vec<_>>(), material.retired.clone());
            trust(&mut content, &stay, retired);
        }
        Step::Nothing(_) | Step::Restore | Step::Trim => {}
    }
    Ok(content)
}

/// An authority signs from now on. Those of before are trusted until what they signed last has expired.
fn sign(content: &mut Content, material: &Material, by: &make::Made, names: &[String], lives: Lives, now: i64) -> Result<(), PairError> {
    let leaf = make::leaf(&by.certificate, &by.key, names, now, lives.leaf)?;
    let mut retired = material.retired.clone();
    if let Some(first) = material.authorities.first() {
        // A replica that the API server cannot be reached from may still show a certificate of it.
        let last = material.pair.as_ref().map_or(now, |pair| pair.not_after).max(now + lives.leaf);
        retired.insert(print(first), last.min(first.not_after));
    }
    let signer = Authority::all_in(by.certificate.as_bytes());
    let old = material.authorities.iter().filter(|authority| authority.not_after >= now && !signer.contains(authority));
    let all: Vec<&Authority> = signer.iter().chain(old).collect();
    put(content, &[(CERTIFICATE, leaf.certificate), (KEY, leaf.key), (AUTHORITY_KEY, by.key.clone())]);
    trust(content, &all, retired);
    content.data.remove(NEXT);
    content.data.remove(NEXT_KEY);
    content.annotations.remove(ROTATE);
    Ok(())
}

/// Sets who is trusted, and forgets about those who are not until when they were to be.
fn trust(content: &mut Content, authorities: &[&Authority], mut retired: BTreeMap<String, i64>) {
    let bundle: String = authorities.iter().map(|authority| authority.pem.as_str()).collect();
    put(content, &[(AUTHORITIES, bundle)]);
    retired.retain(|known, _| authorities.iter().skip(1).any(|authority| print(authority) == *known));
    if retired.is_empty() {
        content.annotations.remove(RETIRED);
    } else {
        content.annotations.insert(RETIRED.to_owned(), write_retired(&retired));
    }
}

fn put(content: &mut Content, values: &[(&str, String)]) {
    for (key, value) in values {
        content.data.insert((*key).to_owned(), value.clone().into_bytes());
    }
}

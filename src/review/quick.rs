//! Reading a review as an API server sends it. Anything else, and anything wrong, is `None`, and read again by [`super::EnvelopeSeed`].

use std::borrow::Cow;

use super::{AdmissionRequest, UNREAD};
use crate::tree::{NodeId, Scanner, Text, Tree, View};

/// Reads a review that is well and complete. `memory` is an empty tree whose memory is used again; it is not empty afterwards.
pub(super) fn decode<'a>(body: &'a str, memory: &mut Tree<'a>) -> Option<AdmissionRequest<'a>> {
    let mut scanner = Scanner::new(body);
    let (mut version, mut kind, mut request) = (None, None, None);
    scanner.begin_object()?;
    let (mut first, mut others) = (true, Others::default());
    while scanner.next_member(first)? {
        first = false;
        let member = scanner.name()?;
        match &*member {
            "apiVersion" => once(&mut version, text(&mut scanner)?)?,
            "kind" => once(&mut kind, text(&mut scanner)?)?,
            "request" => once(&mut request, read_request(&mut scanner, memory)?)?,
            _ => {
                let Cow::Borrowed(name) = member else { return None };
                others.once(name)?;
                scanner.skip()?;
            }
        }
    }
    let fine = scanner.is_at_end() && version.as_deref() == Some("admission.k8s.io/v1") && kind.as_deref() == Some("AdmissionReview");
    request.filter(|request| fine && !request.uid.is_empty())
}

fn read_request<'a>(scanner: &mut Scanner<'a>, memory: &mut Tree<'a>) -> Option<AdmissionRequest<'a>> {
    let mut request = AdmissionRequest::default();
    let (mut uid, mut operation, mut sub_resource, mut name, mut namespace) = (None, None, None, None, None);
    let (mut resource, mut object, mut dry_run) = (None, None, None);
    scanner.begin_object()?;
    let (mut first, mut others) = (true, Others::default());
    while scanner.next_member(first)? {
        first = false;
        let member = scanner.name()?;
        match &*member {
            "uid" => once(&mut uid, text(scanner)?)?,
            "operation" => once(&mut operation, text(scanner)?)?,
            "subResource" => once(&mut sub_resource, text(scanner)?)?,
            "name" => once(&mut name, text(scanner)?)?,
            "namespace" => once(&mut namespace, text(scanner)?)?,
            "dryRun" => once(&mut dry_run, if scanner.null()? { false } else { scanner.boolean()? })?,
            "resource" => once(&mut resource, read_resource(scanner)?)?,
            "object" => once(&mut object, scanner.tree(memory, Text::Borrowed("object"), UNREAD)?)?,
            _ => {
                let Cow::Borrowed(name) = member else { return None };
                others.once(name)?;
                scanner.skip()?;
            }
        }
    }
    if object.is_some() {
        match memory.view(NodeId::ROOT) {
            View::Object => request.object = Some(std::mem::take(memory)),
            View::Null => {}
            _ => return None,
        }
    }
    request.uid = uid.unwrap_or_default();
    request.operation = operation.unwrap_or_default();
    request.sub_resource = sub_resource.unwrap_or_default();
    request.name = name.unwrap_or_default();
    request.namespace = namespace.unwrap_or_default();
    request.dry_run = dry_run.unwrap_or_default();
    request.resource = resource.unwrap_or_default();
    Some(request)
}

fn read_resource<'a>(scanner: &mut Scanner<'a>) -> Option<[Cow<'a, str>; 3]> {
    let (mut group, mut version, mut resource) = (None, None, None);
    scanner.begin_object()?;
    let (mut first, mut others) = (true, Others::default());
    while scanner.next_member(first)? {
        first = false;
        let member = scanner.name()?;
        match &*member {
            "group" => once(&mut group, text(scanner)?)?,
            "version" => once(&mut version, text(scanner)?)?,
            "resource" => once(&mut resource, text(scanner)?)?,
            _ => {
                let Cow::Borrowed(name) = member else { return None };
                others.once(name)?;
                scanner.skip()?;
            }
        }
    }
    Some([group.unwrap_or_default(), version.unwrap_or_default(), resource.unwrap_or_default()])
}

/// The names of members that are read over: more than an API server sends, or one twice, are left to the other reader.
#[derive(Default)]
struct Others<'a> {
    names: [&'a str; 12],
    count: usize,
}

impl<'a> Others<'a> {
    fn once(&mut self, name: &'a str) -> Option<()> {
        if self.names.get(..self.count)?.contains(&name) {
            return None;
        }
        *self.names.get_mut(self.count)? = name;
        self.count += 1;
        Some(())
    }
}

/// A string, or the null that stands for an empty one.
fn text<'a>(scanner: &mut Scanner<'a>) -> Option<Cow<'a, str>> {
    if scanner.null()? { Some(Cow::Borrowed("")) } else { scanner.string() }
}

/// A member that is there twice is an error.
fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

//! AdmissionReview on the wire (`admission.k8s.io/v1`): what is read of a request, what is written of a response.
//!
//! Own types, for the request's object is read straight into a [`Tree`], and the patch is written as base64 straight into the answer.

pub mod change;
mod quick;
pub mod refusal;
mod response;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

pub use response::AdmissionResponse;

use crate::tree::{NodeId, Text, Tree, TreeSeed, Unread, View};

/// A body that is not a review that can be answered: HTTP 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error} (at {at})")]
pub struct BadReview {
    /// What is wrong, and what must be there.
    pub error: String,
    /// A JSON path, or `byte N`.
    pub at: String,
}

/// What is read of an AdmissionRequest. Fields that are absent or null are empty.
#[derive(Debug, Default)]
pub struct AdmissionRequest<'a> {
    /// Echoed in the response.
    pub uid: Cow<'a, str>,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: Cow<'a, str>,
    /// `resource.group`, `resource.version`, `resource.resource`.
    pub resource: [Cow<'a, str>; 3],
    /// `ephemeralcontainers`, `binding`, ...
    pub sub_resource: Cow<'a, str>,
    /// The object's name; empty where it is generated.
    pub name: Cow<'a, str>,
    /// The namespace of the request; the object's may be empty.
    pub namespace: Cow<'a, str>,
    /// Nothing is to be done beyond answering.
    pub dry_run: bool,
    /// The object, without `metadata.managedFields` and `status`.
    pub object: Option<Tree<'a>>,
}

/// Members of the object that no preset can touch, and that are large.
const UNREAD: &[(&str, &str)] = &[("metadata", "managedFields"), ("object", "status")];

impl<'a> AdmissionRequest<'a> {
    /// Reads a review. `memory` is an empty tree whose memory is used again.
    ///
    /// # Errors
    /// Where the body is not a review that can be answered; says where.
    pub fn decode(body: &'a str, mut memory: Tree<'a>) -> Result<AdmissionRequest<'a>, BadReview> {
        if let Some(request) = quick::decode(body, &mut memory) {
            return Ok(request);
        }
        memory.clear();
        AdmissionRequest::decode_any(body, memory)
    }

    /// As [`AdmissionRequest::decode`], without the reader for what API servers send.
    ///
    /// # Errors
    /// As [`AdmissionRequest::decode`].
    pub fn decode_any(body: &'a str, memory: Tree<'a>) -> Result<AdmissionRequest<'a>, BadReview> {
        let mut reader = serde_json::Deserializer::from_str(body);
        let mut envelope = Envelope { memory: Some(memory), ..Envelope::default() };
        let read = EnvelopeSeed { envelope: &mut envelope, level: Level::Review }.deserialize(&mut reader).and_then(|()| reader.end());
        if let Some(wrong) = envelope.wrong {
            return Err(wrong);
        }
        read.map_err(|error| bad_json(body, &error))?;
        let bad = |at: &str, error: &str| Err(BadReview { error: error.to_owned(), at: at.to_owned() });
        if envelope.api_version != "admission.k8s.io/v1" {
            return bad("apiVersion", "must be admission.k8s.io/v1");
        }
        if envelope.kind != "AdmissionReview" {
            return bad("kind", "must be AdmissionReview");
        }
        if !envelope.has_request {
            return bad("request", "must be there");
        }
        if envelope.request.uid.is_empty() {
            return bad("request.uid", "must not be empty");
        }
        Ok(envelope.request)
    }

    /// Whether it is the creation of a Pod.
    #[must_use]
    pub fn is_pod_create(&self) -> bool {
        self.operation == "CREATE" && self.sub_resource.is_empty() && self.resource.iter().map(|part| &**part).eq(["", "v1", "pods"])
    }
}

fn bad_json(body: &str, error: &serde_json::Error) -> BadReview {
    let line_start = body.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
    let offset = line_start + error.column();
    let text = error.to_string();
    let sentence = text.rsplit_once(" at line ").map_or(text.as_str(), |(sentence, _)| sentence);
    BadReview { error: format!("the body is not JSON that can be read: {sentence}"), at: format!("byte {offset}") }
}

#[derive(Default)]
struct Envelope<'a> {
    api_version: Cow<'a, str>,
    kind: Cow<'a, str>,
    has_request: bool,
    request: AdmissionRequest<'a>,
    memory: Option<Tree<'a>>,
    wrong: Option<BadReview>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Review,
    Request,
    Resource,
}

impl Level {
    fn prefix(self) -> &'static str {
        match self {
            Level::Review => "",
            Level::Request => "request.",
            Level::Resource => "request.resource.",
        }
    }

    fn members(self) -> &'static [&'static str] {
        match self {
            Level::Review => &["apiVersion", "kind", "request"],
            Level::Request => &["uid", "operation", "resource", "subResource", "name", "namespace", "dryRun", "object"],
            Level::Resource => &["group", "version", "resource"],
        }
    }
}

struct EnvelopeSeed<'e, 'a> {
    envelope: &'e mut Envelope<'a>,
    level: Level,
}

impl<'a> EnvelopeSeed<'_, 'a> {
    /// Notes the first thing that is wrong and stops the reading.
    fn wrong<E: serde::de::Error>(&mut self, member: &str, error: &str) -> E {
        let at = format!("{}{member}", self.level.prefix());
        self.envelope.wrong.get_or_insert(BadReview { error: error.to_owned(), at });
        E::custom(error)
    }

    fn member<A: MapAccess<'a>>(&mut self, member: &'static str, map: &mut A) -> Result<(), A::Error> {
        match (self.level, member) {
            (Level::Review, "request") | (Level::Request, "resource") => {
                let level = if self.level == Level::Review { Level::Request } else { Level::Resource };
                self.envelope.has_request |= level == Level::Request;
                return map.next_value_seed(EnvelopeSeed { envelope: &mut *self.envelope, level });
            }
            (Level::Request, "object") => return self.object(map),
            (Level::Request, "dryRun") => {
                return match map.next_value_seed(ScalarSeed)? {
                    Scalar::Bool(value) => {
                        self.envelope.request.dry_run = value;
                        Ok(())
                    }
                    Scalar::Null => Ok(()),
                    _ => Err(self.wrong(member, "must be true or false")),
                };
            }
            _ => {}
        }
        let text = match map.next_value_seed(ScalarSeed)? {
            Scalar::Text(text) => text,
            Scalar::Null => Cow::Borrowed(""),
            _ => return Err(self.wrong(member, "must be a string")),
        };
        let Envelope { api_version, kind, request, .. } = &mut *self.envelope;
        let place = match (self.level, member) {
            (Level::Review, "apiVersion") => api_version,
            (Level::Review, _) => kind,
            (Level::Request, "uid") => &mut request.uid,
            (Level::Request, "operation") => &mut request.operation,
            (Level::Request, "subResource") => &mut request.sub_resource,
            (Level::Request, "name") => &mut request.name,
            (Level::Request, _) => &mut request.namespace,
            (Level::Resource, "group") => &mut request.resource[0],
            (Level::Resource, "version") => &mut request.resource[1],
            (Level::Resource, _) => &mut request.resource[2],
        };
        *place = text;
        Ok(())
    }

    fn object<A: MapAccess<'a>>(&mut self, map: &mut A) -> Result<(), A::Error> {
        let mut tree = self.envelope.memory.take().unwrap_or_default();
        map.next_value_seed(TreeSeed { tree: &mut tree, parent: None, key: Text::Borrowed("object"), skip: UNREAD })?;
        match tree.view(NodeId::ROOT) {
            View::Object => self.envelope.request.object = Some(tree),
            View::Null => {}
            _ => return Err(self.wrong("object", "must be an object or null")),
        }
        Ok(())
    }
}

impl<'a> DeserializeSeed<'a> for EnvelopeSeed<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for EnvelopeSeed<'_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an object at {}", self.level.prefix().trim_end_matches('.'))
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        let members = self.level.members();
        let mut seen = 0_u32;
        let mut others = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let Some(index) = members.iter().position(|member| *member == key) else {
                map.next_value::<Unread>()?;
                if others.contains(&key) {
                    return Err(self.wrong(&key, "is there twice"));
                }
                others.insert(key);
                continue;
            };
            if seen & (1 << index) != 0 {
                return Err(self.wrong(members[index], "is there twice"));
            }
            seen |= 1 << index;
            self.member(members[index], &mut map)?;
        }
        Ok(())
    }

    fn visit_unit<E: serde::de::Error>(mut self) -> Result<(), E> {
        match self.level {
            Level::Review => Err(self.wrong("", "the body must be an AdmissionReview")),
            Level::Request => {
                self.envelope.has_request = false;
                Ok(())
            }
            Level::Resource => Ok(()),
        }
    }
}

enum Scalar<'a> {
    Null,
    Bool(bool),
    Text(Cow<'a, str>),
    Other,
}

struct ScalarSeed;

impl<'a> DeserializeSeed<'a> for ScalarSeed {
    type Value = Scalar<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Scalar<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for ScalarSeed {
    type Value = Scalar<'a>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_borrowed_str<E>(self, value: &'a str) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: serde::de::SeqAccess<'a>>(self, mut entries: A) -> Result<Scalar<'a>, A::Error> {
        while entries.next_element::<Unread>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<Scalar<'a>, A::Error> {
        while members.next_entry::<IgnoredAny, Unread>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(body: &str) -> Result<AdmissionRequest<'_>, BadReview> {
        AdmissionRequest::decode(body, Tree::new())
    }

    #[test]
    fn a_request_is_read_and_what_is_not_needed_is_not() {
        let body = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u\u002d1","resource":{"group":"","version":"v1","resource":"pods"},
            "operation":"CREATE","namespace":"shop","subResource":null,"userInfo":{"uid":1},"object":{"metadata":{"name":"a","managedFields":[{}]},"spec":{},"status":{}},"oldObject":null,"dryRun":true}}"#;
        let request = decode(body).unwrap();
        assert_eq!((&*request.uid, &*request.namespace, request.dry_run, request.is_pod_create()), ("u-1", "shop", true, true));
        let mut object = String::new();
        request.object.unwrap().write(NodeId::ROOT, &mut object);
        assert_eq!(object, r#"{"metadata":{"name":"a"},"spec":{}}"#);
    }

    #[test]
    fn what_cannot_be_answered_says_where() {
        let request = |inner: &str| format!(r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{inner}}}"#);
        for (body, at) in [
            ("{".to_owned(), "byte 1"),
            ("[]".to_owned(), "byte"),
            ("null".to_owned(), ""),
            (r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{"uid":"a"}}"#.to_owned(), "apiVersion"),
            (r#"{"apiVersion":"admission.k8s.io/v1","kind":"Pod","request":{"uid":"a"}}"#.to_owned(), "kind"),
            (request("null"), "request"),
            (request("{}"), "request.uid"),
            (request(r#"{"uid":7}"#), "request.uid"),
            (request(r#"{"uid":"a","uid":"b"}"#), "request.uid"),
            (request(r#"{"uid":"a","dryRun":"yes"}"#), "request.dryRun"),
            (request(r#"{"uid":"a","object":[]}"#), "request.object"),
            (request(r#"{"uid":"a","resource":{"group":{}}}"#), "request.resource.group"),
            (request(r#"{"uid":"a","object":{"metadata":{"a":1,"a":2}}}"#), "byte"),
            (request(r#"{"uid":"a"}"#) + "x", "byte"),
        ] {
            let wrong = decode(&body).unwrap_err();
            assert!(wrong.at.starts_with(at), "{body}: {wrong:?}");
        }
    }

    #[test]
    fn patch_and_patch_type_come_together_or_not_at_all() {
        let response =
            AdmissionResponse { uid: "a\"b", refused: None, patch: Some("[]"), warnings: &[], audit_annotations: &[("presets", "")] };
        let mut out = String::new();
        response.encode(&mut out);
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["response"], serde_json::json!({"uid": "a\"b", "allowed": true, "patchType": "JSONPatch", "patch": "W10="}));
    }
}

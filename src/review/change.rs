//! A review of an object that holds presets, as `/validate` gets it: what is written, what was there, and who writes it.
//!
//! Such reviews are rare, so the whole of one is read into a tree, and then what is asked for.

use std::collections::BTreeMap;

use super::{BadReview, bad_json};
use crate::tree::{NodeId, Tree, View, parse};

/// Who sends a request: `request.userInfo` (`authentication.k8s.io/v1`, UserInfo).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Author {
    /// The name that the API server knows them by.
    pub username: String,
    /// What tells them from others who had the name before.
    pub uid: String,
    /// The groups they are in.
    pub groups: Vec<String>,
    /// What else the authenticator says of them.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What is read of a review. Fields that are absent or null are empty.
#[derive(Debug)]
pub struct Change<'a> {
    /// Echoed in the response.
    pub uid: String,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: String,
    /// `resource.group`, `resource.version`, `resource.resource`.
    pub resource: [String; 3],
    /// `status`, ...
    pub sub_resource: String,
    /// The object's name.
    pub name: String,
    /// The namespace of the request; empty for an object of none.
    pub namespace: String,
    /// Who writes.
    pub author: Author,
    review: Tree<'a>,
    object: Option<NodeId>,
    old: Option<NodeId>,
}

impl<'a> Change<'a> {
    /// Reads a review.
    ///
    /// # Errors
    /// Where the body is not a review that can be answered; says where.
    pub fn decode(body: &'a str) -> Result<Change<'a>, BadReview> {
        let review = parse(body).map_err(|error| bad_json(body, &error))?;
        let reader = Reader { tree: &review };
        if review.view(NodeId::ROOT) != View::Object {
            return Err(bad("", "the body must be an AdmissionReview"));
        }
        for (member, expected) in [("apiVersion", "admission.k8s.io/v1"), ("kind", "AdmissionReview")] {
            if reader.text(NodeId::ROOT, "", member)? != expected {
                return Err(bad(member, &format!("must be {expected}")));
            }
        }
        let Some(request) = reader.object(NodeId::ROOT, "", "request")? else { return Err(bad("request", "must be there")) };
        let text = |member: &str| reader.text(request, "request.", member);
        let uid = text("uid")?;
        if uid.is_empty() {
            return Err(bad("request.uid", "must not be empty"));
        }
        let resource = match reader.object(request, "request.", "resource")? {
            None => <[String; 3]>::default(),
            Some(resource) => {
                let part = |member: &str| reader.text(resource, "request.resource.", member);
                [part("group")?, part("version")?, part("resource")?]
            }
        };
        let (operation, sub_resource, name, namespace) = (text("operation")?, text("subResource")?, text("name")?, text("namespace")?);
        let author = match reader.object(request, "request.", "userInfo")? {
            None => Author::default(),
            Some(user) => reader.author(user)?,
        };
        let (object, old) = (reader.object(request, "request.", "object")?, reader.object(request, "request.", "oldObject")?);
        Ok(Change { uid, operation, resource, sub_resource, name, namespace, author, object, old, review })
    }

    /// The tree that the objects are in.
    #[must_use]
    pub fn tree(&self) -> &Tree<'a> {
        &self.review
    }

    /// What is written; `None` for a deletion.
    #[must_use]
    pub fn object(&self) -> Option<NodeId> {
        self.object
    }

    /// What was there; `None` for a creation.
    #[must_use]
    pub fn old(&self) -> Option<NodeId> {
        self.old
    }
}

struct Reader<'t> {
    tree: &'t Tree<'t>,
}

impl Reader<'_> {
    fn text(&self, node: NodeId, prefix: &str, member: &str) -> Result<String, BadReview> {
        match self.tree.present(node, member).map(|value| self.tree.view(value)) {
            None => Ok(String::new()),
            Some(View::String(text)) => Ok(text.to_owned()),
            Some(_) => Err(bad(&format!("{prefix}{member}"), "must be a string")),
        }
    }

    fn object(&self, node: NodeId, prefix: &str, member: &str) -> Result<Option<NodeId>, BadReview> {
        let value = self.tree.present(node, member);
        match value.map(|value| self.tree.view(value)) {
            None | Some(View::Object) => Ok(value),
            Some(_) => Err(bad(&format!("{prefix}{member}"), "must be an object or null")),
        }
    }

    fn texts(&self, list: NodeId, at: &str) -> Result<Vec<String>, BadReview> {
        if self.tree.view(list) != View::List {
            return Err(bad(at, "must be a list of strings"));
        }
        let entry = |entry: NodeId| self.tree.str(entry).map(str::to_owned).ok_or_else(|| bad(at, "must be a list of strings"));
        self.tree.children(list).map(entry).collect()
    }

    fn author(&self, user: NodeId) -> Result<Author, BadReview> {
        const AT: &str = "request.userInfo.";
        let groups = match self.tree.present(user, "groups") {
            None => Vec::new(),
            Some(groups) => self.texts(groups, "request.userInfo.groups")?,
        };
        let mut extra = BTreeMap::new();
        for member in self.object(user, AT, "extra")?.into_iter().flat_map(|extra| self.tree.children(extra)) {
            extra.insert(self.tree.key(member).to_owned(), self.texts(member, "request.userInfo.extra")?);
        }
        Ok(Author { username: self.text(user, AT, "username")?, uid: self.text(user, AT, "uid")?, groups, extra })
    }
}

fn bad(at: &str, error: &str) -> BadReview {
    BadReview { error: error.to_owned(), at: at.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(inner: &str) -> String {
        format!(r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{inner}}}"#)
    }

    #[test]
    fn a_change_and_its_author_are_read() {
        let body = request(
            r#"{"uid":"u","operation":"UPDATE","resource":{"group":"","version":"v1","resource":"configmaps"},"subResource":null,"name":"p",
            "namespace":"shop","userInfo":{"username":"ann","uid":"7","groups":["a","b"],"extra":{"scopes":["x","y"]}},
            "object":{"data":{}},"oldObject":null,"unknown":[1]}"#,
        );
        let change = Change::decode(&body).unwrap();
        assert_eq!((change.uid.as_str(), change.operation.as_str(), change.namespace.as_str()), ("u", "UPDATE", "shop"));
        assert_eq!(change.resource, ["", "v1", "configmaps"]);
        assert!(change.object().is_some() && change.old().is_none());
        let Author { username, uid, groups, extra } = change.author;
        assert_eq!((username.as_str(), uid.as_str(), groups), ("ann", "7", vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(extra["scopes"], ["x", "y"]);
    }

    #[test]
    fn what_cannot_be_answered_says_where() {
        for (body, at) in [
            ("{".to_owned(), "byte"),
            ("[]".to_owned(), ""),
            (r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"}"#.to_owned(), "apiVersion"),
            (r#"{"apiVersion":"admission.k8s.io/v1","kind":"Pod"}"#.to_owned(), "kind"),
            (request("null"), "request"),
            (request("{}"), "request.uid"),
            (request(r#"{"uid":7}"#), "request.uid"),
            (request(r#"{"uid":"a","uid":"b"}"#), "byte"),
            (request(r#"{"uid":"a","object":[]}"#), "request.object"),
            (request(r#"{"uid":"a","userInfo":"ann"}"#), "request.userInfo"),
            (request(r#"{"uid":"a","userInfo":{"username":1}}"#), "request.userInfo.username"),
            (request(r#"{"uid":"a","userInfo":{"groups":"admins"}}"#), "request.userInfo.groups"),
            (request(r#"{"uid":"a","userInfo":{"groups":[1]}}"#), "request.userInfo.groups"),
            (request(r#"{"uid":"a","userInfo":{"extra":{"scopes":"x"}}}"#), "request.userInfo.extra"),
        ] {
            let wrong = Change::decode(&body).unwrap_err();
            assert!(wrong.at.starts_with(at), "{body}: {wrong:?}");
        }
    }
}

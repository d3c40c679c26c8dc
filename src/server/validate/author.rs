//! Whether the author of a preset may create Pods where it would change them.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

use crate::review::change::Author;
use crate::server::cluster::{Failure, answered};

/// Whom to ask about authors.
pub enum Authors {
    /// Nobody: there is no cluster to ask, everybody may.
    Unasked,
    /// The API server, with a SubjectAccessReview (`authorization.k8s.io/v1`).
    Cluster(Client),
}

impl std::fmt::Debug for Authors {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Authors::Unasked => "Unasked",
            Authors::Cluster(_) => "Cluster",
        })
    }
}

impl Authors {
    /// Asks. Who may write a preset here is decided by what they may do themselves, never by what Podgraft may.
    ///
    /// # Errors
    /// The API server cannot be asked.
    pub async fn may_create_pods(&self, author: &Author, namespace: &str) -> Result<bool, Failure> {
        let Authors::Cluster(client) = self else { return Ok(true) };
        let api: Api<SubjectAccessReview> = Api::all(client.clone());
        let review = question(author, namespace);
        let answer = answered(api.create(&PostParams::default(), &review)).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

fn question(author: &Author, namespace: &str) -> SubjectAccessReview {
    let Author { username, uid, groups, extra } = author;
    let stated = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: stated(username),
            uid: stated(uid),
            groups: (!groups.is_empty()).then(|| groups.clone()),
            extra: (!extra.is_empty()).then(|| extra.clone()),
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(namespace.to_owned()),
                verb: Some("create".to_owned()),
                version: Some("v1".to_owned()),
                resource: Some("pods".to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_known_of_the_author_is_asked_with() {
        let author = Author {
            username: "ann".to_owned(),
            uid: "7".to_owned(),
            groups: vec!["a".to_owned()],
            extra: [("scopes".to_owned(), vec!["x".to_owned()])].into(),
        };
        let asked = serde_json::to_value(question(&author, "shop")).unwrap();
        assert_eq!(
            asked["spec"],
            serde_json::json!({"user": "ann", "uid": "7", "groups": ["a"], "extra": {"scopes": ["x"]},
                "resourceAttributes": {"namespace": "shop", "verb": "create", "version": "v1", "resource": "pods"}})
        );
        let nobody = serde_json::to_value(question(&Author::default(), "shop")).unwrap();
        assert_eq!(nobody["spec"].as_object().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn without_a_cluster_nobody_is_asked() {
        assert!(Authors::Unasked.may_create_pods(&Author::default(), "shop").await.unwrap());
    }
}

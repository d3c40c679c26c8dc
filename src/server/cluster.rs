//! The cluster's API server: how it is reached, and how long anybody waits for it.

mod proxy;

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, Error};

use super::units;

/// For a connection to come about. The API server is near.
const CONNECT: Duration = Duration::from_secs(5);

/// For an answer to one request, and for the header of a watch.
pub const ANSWER: Duration = Duration::from_secs(20);

/// No client can be made: says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot reach the cluster: {0}")]
pub struct NoCluster(String);

/// A person's client: for the current context of the kubeconfig (`KUBECONFIG`, `~/.kube/config`), else for the cluster that this process runs
/// in.
///
/// # Errors
/// Where there is neither, or what there is cannot be used. Whether anybody answers is not asked.
pub async fn connect() -> Result<Client, NoCluster> {
    let mut config =
        Config::infer().await.map_err(|error| if is_anywhere() { NoCluster(said(&error)) } else { NoCluster(NOWHERE.to_owned()) })?;
    proxy::choose(&mut config);
    client(config)
}

/// What a person is told who never said where a cluster is.
const NOWHERE: &str = "there is no kubeconfig (KUBECONFIG, ~/.kube/config), and this is no Pod";

fn is_anywhere() -> bool {
    let stated = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let at_home = std::env::home_dir().is_some_and(|home| home.join(".kube/config").exists());
    stated("KUBECONFIG") || stated("KUBERNETES_SERVICE_HOST") || at_home
}

/// The client of `serve`: as the Pod's service account, or as the file that `KUBECONFIG` names says. What a person keeps at home
/// (`~/.kube/config`) does not count. Errors are not retried by the client, as whoever asks has a back-off of its own.
///
/// # Errors
/// As [`connect`].
pub async fn connect_from_within() -> Result<Client, NoCluster> {
    let stated = std::env::var_os("KUBECONFIG").is_some_and(|path| !path.is_empty());
    let mut config = if stated {
        let options = KubeConfigOptions::default();
        let mut config = Config::from_kubeconfig(&options).await.map_err(|error| NoCluster(format!("KUBECONFIG: {}", said(&error))))?;
        proxy::choose(&mut config);
        config
    } else {
        Config::incluster().map_err(|error| NoCluster(said(&error)))?
    };
    config.default_retry = false;
    client(config)
}

/// As [`connect`], with the kubeconfig and the context that a person names.
///
/// # Errors
/// As [`connect`].
pub async fn connect_as(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Client, NoCluster> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let mut config = match kubeconfig {
        Some(path) => {
            let read = Kubeconfig::read_from(path).map_err(|error| NoCluster(said(&error)))?;
            Config::from_custom_kubeconfig(read, &options).await.map_err(|error| NoCluster(said(&error)))?
        }
        None if context.is_some() => Config::from_kubeconfig(&options).await.map_err(|error| NoCluster(said(&error)))?,
        None => return connect().await,
    };
    proxy::choose(&mut config);
    client(config)
}

fn client(mut config: Config) -> Result<Client, NoCluster> {
    config.connect_timeout = Some(CONNECT);
    Client::try_from(config).map_err(|error| NoCluster(said(&error)))
}

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The API server said so.
    #[error("{message} ({status})")]
    Answered {
        /// The HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// It could not be asked, or said something that cannot be read.
    #[error("{0}")]
    Unreachable(String),
}

impl Failure {
    /// The HTTP status of an answer; `None` where there was none.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Failure::Answered { status, .. } => Some(*status),
            Failure::Unreachable(_) => None,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(status) => {
                let message = if status.message.is_empty() { status.reason } else { status.message };
                Failure::Answered { status: status.code, message }
            }
            error => Failure::Unreachable(said(&error)),
        }
    }
}

/// Waits for the answer to one request, for [`ANSWER`] and no longer: a connection that nobody answers on any more is given up.
///
/// # Errors
/// No answer, or one that says no.
pub async fn answered<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    within(ANSWER, request).await
}

async fn within<T>(limit: Duration, request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(limit, request).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failure::Unreachable(format!("no answer within {}", units::written(limit)))),
    }
}

/// An error with its causes, each said once.
#[must_use]
pub fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let words = deeper.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = deeper.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_said_with_its_causes_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot connect")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("connection refused"));
        assert_eq!(said(&error), "cannot connect: connection refused");
        assert_eq!(said(&std::io::Error::other(error)), "cannot connect: connection refused");
    }

    #[tokio::test]
    async fn nobody_is_waited_for_for_ever() {
        let never = std::future::pending::<kube::Result<()>>();
        let failure = within(Duration::from_millis(5), never).await.unwrap_err();
        assert_eq!((failure.status(), failure.to_string()), (None, "no answer within 5ms".to_owned()));
    }
}

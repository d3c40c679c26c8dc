//! What the tests of the server make: folders, presets, reviews, certificates.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A folder that is removed when it is dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("podgraft-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// With one file.
    pub fn holding(name: &str, text: &str) -> Folder {
        let folder = Folder::new();
        folder.write(name, text);
        folder
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// Writes a file as an editor does: all of it, then moved to its place.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let beside = self.0.join(format!(".{name}.new"));
        fs::write(&beside, text).unwrap();
        fs::rename(beside, self.0.join(name)).unwrap();
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.0.join(name)).unwrap();
    }

    pub fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Writes files as kubelet does (`pkg/volume/util/atomic_writer.go`): a new folder, `..data` swapped to it by a rename, links to what is
    /// in it, and the old folder removed.
    pub fn mount(&self, files: &[(&str, &str)]) {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let (data, new) = (self.0.join("..data"), format!("..2026_11_26_{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let old = fs::read_link(&data).ok();
        fs::create_dir(self.0.join(&new)).unwrap();
        for (name, text) in files {
            fs::write(self.0.join(&new).join(name), text).unwrap();
        }
        symlink(&new, self.0.join("..data_tmp")).unwrap();
        fs::rename(self.0.join("..data_tmp"), &data).unwrap();
        for (name, _) in files {
            let link = self.0.join(name);
            if fs::symlink_metadata(&link).is_err() {
                symlink(Path::new("..data").join(name), link).unwrap();
            }
        }
        if let Some(old) = old {
            fs::remove_dir_all(self.0.join(old)).unwrap();
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A `ClusterPodPreset` for every Pod, which gives it a label.
pub fn labelling(name: &str, value: &str) -> String {
    format!(
        "apiVersion: podgraft.dev/v1beta1\nkind: ClusterPodPreset\nmetadata: {{name: {name}}}\nspec:\n  selector: {{}}\n  \
         template: {{metadata: {{labels: {{{name}: \"{value}\"}}}}}}\n"
    )
}

/// A review of a Pod with one container.
pub fn review(uid: &str) -> String {
    review_of(
        uid,
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","labels":{"app":"web"}},"spec":{"containers":[{"name":"app","image":"nginx"}]}}"#,
    )
}

/// A review of this Pod.
pub fn review_of(uid: &str, pod: &str) -> String {
    format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"{uid}","resource":{{"group":"","version":"v1","resource":"pods"}},"operation":"CREATE","namespace":"shop","name":"web","object":{pod}}}}}"#
    )
}

/// A review whose body has about so many bytes, in one annotation.
pub fn large_review(uid: &str, bytes: usize) -> String {
    let filling = "x".repeat(bytes);
    review_of(
        uid,
        &format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"web","annotations":{{"note":"{filling}"}}}},"spec":{{"containers":[{{"name":"app","image":"nginx"}}]}}}}"#
        ),
    )
}

/// A review with so many values of every kind: its tree has many nodes.
pub fn wide_review(uid: &str, variables: usize) -> String {
    let env: Vec<String> = (0..variables).map(|number| format!(r#"{{"name":"V{number}","value":"{number}"}}"#)).collect();
    review_of(
        uid,
        &format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"web"}},"spec":{{"containers":[{{"name":"app","image":"nginx","env":[{}]}}]}}}}"#,
            env.join(",")
        ),
    )
}

/// The Pod's labels that an answer's patch adds, as `name=value`, sorted.
pub fn labels_added(answer: &serde_json::Value) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    for operation in patch(answer).as_array().unwrap() {
        match operation["path"].as_str().unwrap() {
            "/metadata/labels" => labels
                .extend(operation["value"].as_object().unwrap().iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap()))),
            path => {
                labels.extend(path.strip_prefix("/metadata/labels/").map(|name| format!("{name}={}", operation["value"].as_str().unwrap())))
            }
        }
    }
    labels.sort();
    labels
}

/// The patch of an answer; an empty one where there is none.
pub fn patch(answer: &serde_json::Value) -> serde_json::Value {
    use base64::Engine;
    let response = &answer["response"];
    assert_eq!(response["patch"].is_string(), response["patchType"] == "JSONPatch", "{answer}");
    match response["patch"].as_str() {
        Some(text) => serde_json::from_slice(&base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap(),
        None => serde_json::json!([]),
    }
}

/// Seconds since 1970.
pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// A certificate that signs itself, with its key.
pub struct Made {
    pub cert: String,
    pub key: String,
    pub der: Vec<u8>,
}

/// Valid from and until so many seconds from now.
pub fn certificate(from: i64, until: i64) -> Made {
    let mut params = rcgen::CertificateParams::new(vec!["podgraft.podgraft.svc".to_owned(), "localhost".to_owned()]).unwrap();
    params.not_before = time::OffsetDateTime::from_unix_timestamp(now() + from).unwrap();
    params.not_after = time::OffsetDateTime::from_unix_timestamp(now() + until).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    Made { cert: made.pem(), key: key.serialize_pem(), der: made.der().to_vec() }
}

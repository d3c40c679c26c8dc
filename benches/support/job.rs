//! The job that is measured: a Deployment's Pod in a review gets 5 variables and 2 mounts in each of its 2 containers, 2 volumes, a sidecar and
//! an annotation from the one preset of N that selects it. The same as in `make bench`, in the gates and in `tests/allocations.rs`.

use std::fmt::Write;
use std::sync::Arc;

use podgraft::admit::{self, Outcome, Scratch, World};
use podgraft::document::{self, ReadOptions, Reading};
use podgraft::preset::{Preset, PresetSet, PresetSpec};
use podgraft::selector::{Requirement, Selector};

/// A review as kube-apiserver 1.36 sends it for a Deployment's Pod: managedFields, probes, the projected token volume.
pub const TYPICAL: &str = include_str!("../data/typical.json");

/// The operations that the job's patch has: 2 containers of 7, the list of variables that one of them has not, 2 volumes, the sidecar, the
/// annotation, the record.
const OPERATIONS: usize = 19;

/// A review of 900 KB: the typical one with 240 KB of annotations that hold escaped JSON, 64 variables that hold configuration files of 8 KB,
/// and 1,400 short ones.
pub fn large() -> String {
    let mut annotations = String::new();
    for annotation in 0..12 {
        let _ = write!(annotations, r#""example.com/rendered-{annotation}":"{{"#);
        for line in 0..300 {
            let _ = write!(annotations, r#"\"setting-{line}\":{{\"enabled\":true,\"description\":\"of part {line}\"}},"#);
        }
        annotations.push_str(r#"\"end\":true}","#);
    }
    let mut variables = String::new();
    for file in 0..64 {
        let _ = write!(variables, r#"{{"name":"CONFIGURATION_{file}","value":""#);
        for line in 0..164 {
            let _ = write!(variables, r"server.location.{line}.upstream = http://backend-{line}\n");
        }
        variables.push_str(r#""},"#);
    }
    for variable in 0..1400 {
        let _ = write!(variables, r#"{{"name":"FEATURE_FLAG_{variable:05}","value":"rollout of feature {variable:05} to 10 percent"}},"#);
    }
    TYPICAL.replacen(r#""annotations":{"#, &format!(r#""annotations":{{{annotations}"#), 1).replacen(
        r#""env":["#,
        &format!(r#""env":[{variables}"#),
        1,
    )
}

/// The preset number `number`, as a document; number 0 selects the Pod of the reviews.
pub fn document(number: usize) -> String {
    let app = if number == 0 { "web".to_owned() } else { format!("app-{number}") };
    format!(
        r#"---
apiVersion: podgraft.dev/v1beta1
kind: PodPreset
metadata:
  name: {app}-settings
  namespace: shop
spec:
  selector:
    matchLabels: {{app: {app}, tier: frontend}}
  env:
  - {{name: GRAFTED_REGION, value: eu-central-1}}
  - {{name: GRAFTED_DATABASE, value: "postgres://db.{app}.svc:5432/{app}"}}
  - {{name: GRAFTED_CACHE, value: "redis://cache.{app}.svc:6379"}}
  - {{name: GRAFTED_NAMESPACE, valueFrom: {{fieldRef: {{fieldPath: metadata.namespace}}}}}}
  - {{name: GRAFTED_TOKEN, valueFrom: {{secretKeyRef: {{name: {app}-token, key: token}}}}}}
  volumeMounts:
  - {{name: grafted-logs, mountPath: /var/log/{app}}}
  - {{name: grafted-config, mountPath: /etc/{app}, readOnly: true}}
  volumes:
  - {{name: grafted-logs, emptyDir: {{}}}}
  - {{name: grafted-config, configMap: {{name: {app}-config}}}}
  template:
    metadata:
      annotations: {{example.com/grafted: {app}}}
    spec:
      containers:
      - name: log-shipper
        image: registry.example/fluent-bit:3.1
        args: [--config, /etc/fluent-bit/fluent-bit.conf]
        resources: {{requests: {{cpu: 10m, memory: 32Mi}}, limits: {{memory: 64Mi}}}}
        volumeMounts: [{{name: grafted-logs, mountPath: /var/log/{app}, readOnly: true}}]
        securityContext: {{runAsNonRoot: true, allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
"#
    )
}

/// A set of `number` presets of which one selects the Pod. From the third on they are copies with another name and label: reading ten thousand
/// documents would be most of the work.
pub fn presets(number: usize) -> PresetSet {
    let other = read(1);
    let compiled = (0..number).map(|number| match number {
        0 => Arc::new(Preset::compile(read(0))),
        number => {
            let mut spec = other.clone();
            spec.key.name = format!("app-{number}-settings");
            spec.selector = Selector {
                requirements: vec![
                    Requirement::In("app".to_owned(), vec![format!("app-{number}")]),
                    Requirement::In("tier".to_owned(), vec!["frontend".to_owned()]),
                ],
            };
            Arc::new(Preset::compile(spec))
        }
    });
    PresetSet::new(compiled.collect())
}

fn read(number: usize) -> PresetSpec {
    let mut documents = document::read("job", &document(number), &ReadOptions { default_namespace: "default" });
    match documents.remove(0).reading {
        Reading::Preset(spec) => *spec,
        other => panic!("the job's preset is not one: {other:?}"),
    }
}

/// A review, presets, and the memory that a worker uses again.
pub struct Job {
    pub body: String,
    pub presets: PresetSet,
    exempt: Vec<String>,
    scratch: Scratch,
}

impl Job {
    pub fn new(body: String, presets: PresetSet) -> Job {
        let exempt = ["kube-system", "kube-public", "kube-node-lease", "podgraft"].map(str::to_owned).to_vec();
        Job { body, presets, exempt, scratch: Scratch::default() }
    }

    /// From the body of a review to the body of its answer, as the server does it.
    pub fn answer(&mut self, out: &mut String) {
        let labels = |namespace: &str| Some(vec![("kubernetes.io/metadata.name".to_owned(), namespace.to_owned())]);
        let world = World { exempt_namespaces: &self.exempt, namespace_labels: &labels };
        out.clear();
        let admission = admit::answer(&self.body, &self.presets, &world, &mut self.scratch, out).expect("the job can be answered");
        assert_eq!((admission.outcome, admission.operations), (Outcome::Mutated, OPERATIONS));
    }
}

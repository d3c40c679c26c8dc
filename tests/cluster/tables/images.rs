//! The pull policy that each recorded image reference stands for.

use std::fs;

use serde_json::{Value, json};

use super::places::Asked;
use super::{Table, fails_with};
use crate::harness::story::Story;

pub fn all(story: &Story) {
    let Some(table) = Table::of(story) else { return };
    let asked = Asked::of(story);
    let read = |file: &str| serde_json::from_str::<Value>(&fs::read_to_string(file).unwrap()).unwrap();
    let defaults = read("kubernetes/pod-defaults.json");
    let examples = defaults["pull policy"]["examples"].as_object().unwrap();
    let containers = examples.iter().map(|(image, policy)| (image.as_str(), policy.as_str().unwrap(), false));
    let values = read("kubernetes/pod-values.json");
    let volumes = values["values"]["image pull policy of an image volume"].as_array().unwrap();
    let volumes = volumes.iter().map(|row| (row["sent"].as_str().unwrap(), row["returned"].as_str().unwrap(), true));
    let volumes = volumes.filter(|_| !table.off(table.field("Volume.image")));
    let (mut problems, mut number) = (Vec::new(), 0);
    for (image, policy, volume) in containers.chain(volumes) {
        number += 1;
        let image = spelt(image);
        let mut spec = json!({"containers": [{"name": "app", "image": if volume { "app:1" } else { &image }}]});
        let place = if volume { "/spec/volumes/0/image/pullPolicy" } else { "/spec/containers/0/imagePullPolicy" };
        if volume {
            spec["volumes"] = json!([{"name": "v", "image": {"reference": image}}]);
        }
        let answer = asked.pod(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}));
        let got = answer.body.pointer(place).and_then(Value::as_str);
        if got != Some(policy) {
            problems.push(format!("{image}: {got:?}, not {policy} {}", answer.message()));
        }
    }
    fails_with(&problems);
    assert!(number >= 30, "only {number} images were asked");
}

/// As recorded, with `<64 times 0>` spelt out.
fn spelt(text: &str) -> String {
    let Some((before, rest)) = text.split_once('<') else { return text.to_owned() };
    let (inside, after) = rest.split_once('>').unwrap();
    let (count, letter) = inside.split_once(" times ").unwrap();
    format!("{before}{}{after}", letter.repeat(count.parse().unwrap()))
}

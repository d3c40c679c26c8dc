//! Whatever comes in, an answer goes out: no panic, no half of an answer.

use super::*;

/// The recorded reviews.
fn reviews() -> Vec<String> {
    let mut folders = vec![std::path::PathBuf::from("tests/reviews")];
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                texts.push(fs::read_to_string(path).unwrap());
            }
        }
    }
    assert!(texts.len() > 20);
    texts
}

fn any_json() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~\u{e9}\u{1f600}]{0,8}".prop_map(Value::from),
        Just(json!("100000000000000000000000000000m")),
        Just(json!("1e400")),
        Just(json!("true")),
    ];
    let key = prop_oneof![proptest::sample::select(KEYS).prop_map(str::to_owned), "[a-z/~]{0,4}"];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((key.clone(), inner), 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
    .boxed()
}

const KEYS: &[&str] =
    &["name", "env", "value", "containers", "volumes", "spec", "metadata", "labels", "limits", "requests", "cpu", "ports", "mountPath"];

/// Puts something else at a random place of a value, or takes a member away.
fn disturb(value: &mut Value, steps: &[prop::sample::Index], new: Option<&Value>) {
    let Some((step, rest)) = steps.split_first() else {
        *value = new.cloned().unwrap_or_default();
        return;
    };
    match value {
        Value::Object(members) if !members.is_empty() => {
            let key = step.get(&members.keys().cloned().collect::<Vec<_>>()).clone();
            if rest.is_empty() && new.is_none() {
                members.remove(&key);
            } else {
                disturb(members.get_mut(&key).unwrap(), rest, new);
            }
        }
        Value::Array(entries) if !entries.is_empty() => {
            let place = step.index(entries.len());
            disturb(&mut entries[place], rest, new);
        }
        _ => *value = new.cloned().unwrap_or_default(),
    }
}

fn answered(body: &str, set: &PresetSet) -> Held {
    match review(body, set) {
        Ok(text) => {
            let answer: Value = serde_json::from_str(&text).map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
            prop_assert!(answer["response"]["allowed"].is_boolean(), "{}", answer);
        }
        Err(refusal) => {
            prop_assert!(!refusal.is_empty() && !refusal.contains("self-check"), "{refusal}");
            prop_assert!(!refusal.contains(vocabulary::HUSH), "{refusal}");
        }
    }
    Ok(())
}

#[test]
fn a_disturbed_pod_gets_an_answer() {
    let disturbances =
        prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 1..6), prop::option::of(any_json())), 1..4);
    hold(80, &(given(), disturbances), |(mut given, disturbances)| {
        for (steps, new) in &disturbances {
            disturb(&mut given.pod, steps, new.as_ref());
        }
        let set = given.set();
        answered(
            &json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u", "namespace": "default",
                "resource": {"group": "", "version": "v1", "resource": "pods"}, "operation": "CREATE", "object": given.pod}})
            .to_string(),
            &set,
        )
    });
}

#[test]
fn a_disturbed_review_gets_an_answer() {
    let reviews: Vec<Value> = reviews().iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let disturbances =
        prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 1..7), prop::option::of(any_json())), 1..4);
    let strategy = (proptest::sample::select(reviews), made::presets(), disturbances);
    hold(60, &strategy, |(mut review, presets, disturbances)| {
        for (steps, new) in &disturbances {
            disturb(&mut review, steps, new.as_ref());
        }
        answered(&review.to_string(), &PresetSet::new(compile(&presets)))
    });
}

#[test]
fn disturbed_bytes_get_an_answer() {
    let change =
        (any::<prop::sample::Index>(), 0..4_usize, prop_oneof!["[\\[\\]{},:\"\\\\0-9eE+.-]{0,3}", "\\PC{0,3}", Just("\u{0}".to_owned())]);
    let strategy = (proptest::sample::select(reviews()), made::presets(), prop::collection::vec(change, 1..4));
    hold(80, &strategy, |(mut review, presets, changes)| {
        for (place, cut, new) in &changes {
            let bounds: Vec<usize> = review.char_indices().map(|(place, _)| place).collect();
            let start = place.index(bounds.len());
            let end = bounds.get(start + cut).copied().unwrap_or(review.len());
            review.replace_range(bounds[start]..end, new);
        }
        answered(&review, &PresetSet::new(compile(&presets)))
    });
}

#[test]
fn any_text_is_a_review_or_is_not() {
    let texts = prop_oneof![any_json().prop_map(|value| value.to_string()), "\\PC{0,40}", "[\\[\\]{},:\"\\\\0-9eE+. \n-]{0,40}"];
    hold(200, &texts, |text| answered(&text, &PresetSet::default()));
}

#[test]
fn any_text_is_read_as_presets() {
    const PIECES: &[&str] = &[
        "apiVersion: podgraft.dev/v1beta1\nkind: PodPreset\n",
        "metadata: {name: a}\n",
        "spec:\n",
        "  selector: {}\n",
        "  env:\n",
        "  - {name: A, value: hush}\n",
        "  - name: B\n    value: 5\n",
        "---\n",
        "--- ",
        "...\n",
        "&a ",
        "*a ",
        "*b\n",
        "<<: *a\n",
        "!!int ",
        "!x ",
        "|\n",
        ">-2\n",
        "? ",
        ": ",
        "- ",
        "\t",
        "  ",
        "\n",
        "{",
        "}",
        "[",
        "]",
        ",",
        "\"",
        "'",
        "#",
        "%YAML 1.2\n",
        "~",
        "null",
        "0x1f",
        "1e999",
        ".nan",
        "\u{feff}",
        "\u{85}",
        "\r\n",
        "\u{2028}",
        "\u{0}",
        "\\u12",
        "template:\n    spec: ",
        "volumes: [",
        "a: &a [*a]\n",
    ];
    let strategy =
        prop::collection::vec(prop_oneof![4 => proptest::sample::select(PIECES).prop_map(str::to_owned), 1 => "\\PC{0,4}"], 0..16);
    hold(400, &strategy, |pieces| {
        let text = pieces.concat();
        let lines = text.lines().count() + 1;
        for read in document::read("made", &text, &ReadOptions { default_namespace: "default" }) {
            for problem in read.problems {
                prop_assert!(!problem.text.is_empty() && problem.line >= 1, "{problem} of {lines}");
            }
        }
        Ok(())
    });
}

#[test]
fn a_disturbed_preset_is_read_and_grafted() {
    let disturbances =
        prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 1..7), prop::option::of(any_json())), 1..3);
    hold(80, &(given(), disturbances), |(mut given, disturbances)| {
        for (steps, new) in &disturbances {
            disturb(&mut given.presets[0]["spec"], steps, new.as_ref());
        }
        given.graft().map(drop)
    });
}

use serde_json::{Value as Json, json};

use super::*;
use crate::schema::{Default, Zero};
use crate::tree::parse;

/// Whether two objects of a type are equal, asked both ways.
pub(super) fn same_under(of: TypeId, left: &str, right: &str, host_network: bool) -> bool {
    let (left, right) = (parse(left).unwrap(), parse(right).unwrap());
    let (left, right) = (Place::new(&left, NodeId::ROOT), Place::new(&right, NodeId::ROOT));
    let there = equal(Kind::Struct(of), left, right, host_network);
    assert_eq!(there, equal(Kind::Struct(of), right, left, host_network), "not symmetric");
    assert!(equal(Kind::Struct(of), left, left, host_network), "not reflexive");
    there
}

fn same(of: TypeId, left: &str, right: &str) -> bool {
    same_under(of, left, right, false)
}

fn schema() -> Json {
    serde_json::from_str(include_str!("../../kubernetes/pod-schema.json")).unwrap()
}

fn rows(visit: impl Fn(TypeId, &'static Field, &Json)) {
    for (name, row) in schema()["types"].as_object().unwrap() {
        let id = TypeId::named(name).unwrap();
        for (key, row) in row["fields"].as_object().unwrap() {
            visit(id, id.get().field(key).unwrap(), row);
        }
    }
}

#[test]
fn absent_equals_every_default_of_the_table() {
    rows(|id, field, row| {
        let Some(default) = row.get("default") else { return };
        if field.default == Some(Default::Computed) {
            return;
        }
        let stated = json!({ field.name: default }).to_string();
        assert!(same(id, &stated, "{}"), "{} {stated}", id.get().name);
        let other = match default {
            Json::Bool(value) => json!(!value),
            Json::Number(_) => json!(77),
            Json::String(text) if text == "0" => json!("1"),
            Json::String(_) => json!("other"),
            _ => return,
        };
        let other = json!({ field.name: other }).to_string();
        assert!(!same(id, &other, "{}") && !same(id, &other, &stated), "{} {other}", id.get().name);
    });
}

#[test]
fn zero_equals_absent_where_the_table_says_so() {
    rows(|id, field, row| {
        if row.get("zero").is_none() {
            return;
        }
        let (zero, scalar) = match field.kind {
            Kind::Bool => (json!(false), true),
            Kind::Int32 | Kind::Int64 => (json!(0), true),
            Kind::String => (json!(""), true),
            Kind::Quantity => (json!("0"), true),
            Kind::IntOrString | Kind::Opaque => return,
            Kind::StringMap | Kind::QuantityMap => (json!({}), true),
            Kind::List(_) => (json!([]), true),
            Kind::Struct(_) => (json!({}), false),
        };
        let expected = if scalar {
            matches!(field.zero, Zero::Dropped | Zero::Default)
        } else if field.name == "emptyDir" {
            true
        } else {
            !field.member && field.kind != Kind::Struct(TypeId::LABEL_SELECTOR)
        };
        let stated = json!({ field.name: zero }).to_string();
        assert_eq!(same(id, &stated, "{}"), expected, "{} {stated}", id.get().name);
        // Zero and the default are one where zero is taken for absence.
        if let (Zero::Default, Some(Default::Int(_) | Default::Str(_) | Default::Bool(_))) = (field.zero, field.default) {
            let default = json!({ field.name: row["default"] }).to_string();
            assert!(same(id, &stated, &default), "{} {stated} {default}", id.get().name);
        }
        let null = json!({ field.name: null }).to_string();
        assert!(same(id, &null, "{}"), "{} {null}", id.get().name);
    });
}

#[test]
fn computed_defaults() {
    let digest = format!(r#"{{"image":"a@sha256:{0}","imagePullPolicy":"IfNotPresent"}}"#, "0".repeat(64));
    let without = digest.replace(r#","imagePullPolicy":"IfNotPresent""#, "");
    for (of, left, right, equal) in [
        (TypeId::CONTAINER, r#"{"image":"a"}"#, r#"{"image":"a","imagePullPolicy":"Always"}"#, true),
        (TypeId::CONTAINER, r#"{"image":"a"}"#, r#"{"image":"a","imagePullPolicy":"IfNotPresent"}"#, false),
        (TypeId::CONTAINER, r#"{"image":"a:1","imagePullPolicy":""}"#, r#"{"image":"a:1","imagePullPolicy":"IfNotPresent"}"#, true),
        (TypeId::CONTAINER, r#"{"image":"a:1"}"#, r#"{"image":"a:2"}"#, false),
        (TypeId::CONTAINER, "{}", r#"{"imagePullPolicy":"IfNotPresent"}"#, false),
        (TypeId::CONTAINER, &digest, &without, true),
        (TypeId::IMAGE_VOLUME_SOURCE, r#"{"reference":"a"}"#, r#"{"reference":"a","pullPolicy":"Always"}"#, true),
        (TypeId::VOLUME, r#"{"name":"v"}"#, r#"{"name":"v","emptyDir":{}}"#, true),
        (TypeId::VOLUME, r#"{"name":"v","emptyDir":null}"#, r#"{"name":"v","emptyDir":{"medium":""}}"#, true),
        (TypeId::VOLUME, r#"{"name":"v"}"#, r#"{"name":"v","emptyDir":{"sizeLimit":"0"}}"#, false),
        (TypeId::VOLUME, r#"{"name":"v","secret":{}}"#, r#"{"name":"v","emptyDir":{}}"#, false),
        (TypeId::VOLUME, r#"{"name":"v","secret":{}}"#, r#"{"name":"v"}"#, false),
        (TypeId::VOLUME, r#"{"name":"v","secret":{}}"#, r#"{"name":"v","secret":{"defaultMode":420}}"#, true),
        (TypeId::VOLUME, r#"{"name":"v","secret":{}}"#, r#"{"name":"v","secret":{},"emptyDir":{}}"#, false),
        // A source that is not known is one all the same, and an empty directory beside it is what the server adds.
        (TypeId::VOLUME, r#"{"name":"v","future":{"a":1}}"#, r#"{"name":"v","future":{"a":1},"emptyDir":{}}"#, true),
        (TypeId::VOLUME, r#"{"name":"v","future":{"a":1}}"#, r#"{"name":"v","emptyDir":{}}"#, false),
        (TypeId::RESOURCE_REQUIREMENTS, r#"{"limits":{"cpu":"1"}}"#, r#"{"limits":{"cpu":"1"},"requests":{"cpu":"1000m"}}"#, true),
        (TypeId::RESOURCE_REQUIREMENTS, r#"{"limits":{"cpu":"1"}}"#, r#"{"limits":{"cpu":"1"},"requests":{"cpu":"500m"}}"#, false),
        (
            TypeId::RESOURCE_REQUIREMENTS,
            r#"{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"500m"}}"#,
            r#"{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"memory":"1024Mi","cpu":"0.5"}}"#,
            true,
        ),
        (
            TypeId::RESOURCE_REQUIREMENTS,
            r#"{"limits":{"cpu":"1"},"requests":{"cpu":"500m"}}"#,
            r#"{"limits":{"cpu":"1"},"requests":{"memory":"1Gi"}}"#,
            false,
        ),
        (TypeId::RESOURCE_REQUIREMENTS, r#"{"requests":{"cpu":"0"}}"#, "{}", false),
        (TypeId::POD_SPEC, "{}", r#"{"serviceAccountName":"default","serviceAccount":"default"}"#, true),
        (TypeId::POD_SPEC, r#"{"serviceAccount":"robot"}"#, r#"{"serviceAccount":"robot","serviceAccountName":"robot"}"#, true),
        (TypeId::POD_SPEC, r#"{"serviceAccountName":"robot"}"#, r#"{"serviceAccount":"robot","serviceAccountName":"robot"}"#, true),
        (TypeId::POD_SPEC, r#"{"serviceAccountName":"robot"}"#, r#"{"serviceAccountName":"default"}"#, false),
        (TypeId::POD_SPEC, r#"{"serviceAccountName":"robot"}"#, r#"{"serviceAccount":"robot"}"#, true),
        (TypeId::POD_SPEC, r#"{"serviceAccountName":"robot"}"#, r#"{"serviceAccount":"robot","serviceAccountName":""}"#, true),
        (TypeId::POD_SPEC, r#"{"serviceAccountName":"default"}"#, r#"{"serviceAccount":"robot","serviceAccountName":""}"#, false),
        (TypeId::POD_SPEC, "{}", r#"{"priority":0,"preemptionPolicy":"PreemptLowerPriority"}"#, true),
        (TypeId::POD_SPEC, r#"{"priorityClassName":"c"}"#, r#"{"priorityClassName":"c","priority":0}"#, false),
        (TypeId::POD_SPEC, "{}", r#"{"tolerations":[]}"#, true),
        // In the Pod's own resources the containers' requests come before its limits.
        (
            TypeId::POD,
            r#"{"spec":{"resources":{"limits":{"cpu":"1"}}}}"#,
            r#"{"spec":{"resources":{"limits":{"cpu":"1"},"requests":{"cpu":"1"}}}}"#,
            false,
        ),
    ] {
        assert_eq!(same(of, left, right), equal, "{left} {right}");
    }
}

#[test]
fn host_ports_are_container_ports_under_host_network() {
    for (left, right, without, under) in [
        (r#"{"containerPort":80}"#, r#"{"containerPort":80,"hostPort":80}"#, false, true),
        (r#"{"containerPort":80,"hostPort":0}"#, r#"{"containerPort":80,"hostPort":80,"protocol":"TCP"}"#, false, true),
        (r#"{"containerPort":80,"hostPort":0}"#, r#"{"containerPort":80}"#, true, true),
        (r#"{"containerPort":80}"#, r#"{"containerPort":80,"hostPort":81}"#, false, false),
    ] {
        assert_eq!(same_under(TypeId::CONTAINER_PORT, left, right, false), without, "{left} {right}");
        assert_eq!(same_under(TypeId::CONTAINER_PORT, left, right, true), under, "{left} {right}");
    }
}

#[test]
fn unions_selectors_entries_and_nulls() {
    for (of, left, right, equal) in [
        (TypeId::ENV_VAR, r#"{"name":"A"}"#, r#"{"name":"A","value":""}"#, true),
        (TypeId::ENV_VAR, r#"{"name":"A","value":""}"#, r#"{"name":"A","valueFrom":{}}"#, false),
        (
            TypeId::ENV_VAR,
            r#"{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"p"}}}"#,
            r#"{"valueFrom":{"fieldRef":{"fieldPath":"p","apiVersion":"v1"}},"value":"","name":"A"}"#,
            true,
        ),
        (TypeId::LIFECYCLE, r#"{"preStop":{"exec":{}}}"#, r#"{"preStop":{}}"#, false),
        (TypeId::LIFECYCLE, r#"{"preStop":{}}"#, "{}", true),
        (TypeId::LIFECYCLE, r#"{"preStop":{"sleep":{}}}"#, r#"{"preStop":{"sleep":{"seconds":0}}}"#, true),
        (TypeId::PROBE, r#"{"exec":{},"periodSeconds":0}"#, r#"{"exec":{},"periodSeconds":10}"#, true),
        (TypeId::POD_AFFINITY_TERM, r#"{"labelSelector":{}}"#, "{}", false),
        (TypeId::POD_AFFINITY_TERM, r#"{"labelSelector":{}}"#, r#"{"labelSelector":{"matchLabels":{}}}"#, true),
        (TypeId::POD_SPEC, r#"{"affinity":{"podAffinity":{}},"securityContext":{"seLinuxOptions":{"user":""}}}"#, "{}", true),
        (TypeId::POD_SPEC, r#"{"imagePullSecrets":[{}]}"#, "{}", false),
        (TypeId::POD_SPEC, r#"{"imagePullSecrets":[{"name":""}]}"#, r#"{"imagePullSecrets":[null]}"#, true),
        (TypeId::POD_SPEC, r#"{"nodeSelector":{"a":""}}"#, r#"{"nodeSelector":{"a":null}}"#, true),
        (TypeId::POD_SPEC, r#"{"nodeSelector":{"a":""}}"#, r#"{"nodeSelector":{}}"#, false),
        (TypeId::POD_SPEC, r#"{"terminationGracePeriodSeconds":0}"#, "{}", false),
        (TypeId::POD_SPEC, r#"{"terminationGracePeriodSeconds":30}"#, "{}", true),
        (TypeId::CONTAINER, r#"{"args":["","b"]}"#, r#"{"args":[null,"b"]}"#, true),
        (TypeId::CONTAINER, r#"{"args":["a","b"]}"#, r#"{"args":["b","a"]}"#, false),
        (TypeId::CONTAINER, r#"{"securityContext":{"runAsUser":0}}"#, "{}", false),
        (TypeId::CONTAINER, r#"{"securityContext":{"runAsUser":0}}"#, r#"{"securityContext":{"runAsUser":0.0}}"#, true),
        (TypeId::CONTAINER, r#"{"resources":{"limits":{"cpu":null}}}"#, r#"{"resources":{"limits":{"cpu":"0"}}}"#, true),
        (TypeId::CONTAINER, r#"{"resources":{"limits":{"cpu":"1n"}}}"#, r#"{"resources":{"limits":{"cpu":0.001}}}"#, true),
        (TypeId::CONTAINER, r#"{"env":[{"name":"A"},{"name":"B"}]}"#, r#"{"env":[{"name":"B"},{"name":"A"}]}"#, false),
        (TypeId::EMPTY_DIR_VOLUME_SOURCE, r#"{"sizeLimit":"1024Mi"}"#, r#"{"sizeLimit":"1Gi"}"#, true),
        (TypeId::EMPTY_DIR_VOLUME_SOURCE, r#"{"sizeLimit":"1n"}"#, r#"{"sizeLimit":"1m"}"#, false),
        (TypeId::RESOURCE_FIELD_SELECTOR, r#"{"divisor":"0"}"#, "{}", true),
        (TypeId::RESOURCE_FIELD_SELECTOR, r#"{"divisor":"1"}"#, "{}", false),
        (TypeId::RESOURCE_FIELD_SELECTOR, r#"{"divisor":"1000m"}"#, r#"{"divisor":1}"#, true),
        (TypeId::HTTP_GET_ACTION, r#"{"port":80}"#, r#"{"port":"80"}"#, false),
        (TypeId::OBJECT_META, r#"{"finalizers":["a","b"]}"#, r#"{"finalizers":["b","a"]}"#, true),
        (TypeId::OBJECT_META, r#"{"finalizers":["a","b"]}"#, r#"{"finalizers":["a"]}"#, false),
        (TypeId::TOLERATION, r#"{"key":"k","operator":"Equal","value":""}"#, r#"{"key":"k","operator":"Equal"}"#, true),
        (TypeId::TOLERATION, r#"{"key":"k"}"#, r#"{"key":"k","operator":"Equal"}"#, false),
        // What the table does not know.
        (TypeId::CONTAINER, r#"{"future":{"a":1,"b":[2]}}"#, r#"{"future":{"b":[2.0],"a":1,"c":null}}"#, true),
        (TypeId::CONTAINER, r#"{"future":null}"#, "{}", true),
        (TypeId::CONTAINER, r#"{"future":{}}"#, "{}", false),
        (TypeId::CONTAINER, r#"{"future":""}"#, r#"{"future":0}"#, false),
        // Wrong types are nothing but themselves.
        (TypeId::CONTAINER, r#"{"stdin":"false"}"#, r#"{"stdin":false}"#, false),
        (TypeId::CONTAINER, r#"{"env":{"A":"b"}}"#, r#"{"env":[]}"#, false),
        (TypeId::CONTAINER, r#"{"resources":{"requests":[]}}"#, r#"{"resources":{"requests":{}}}"#, false),
    ] {
        assert_eq!(same(of, left, right), equal, "{left} {right}");
    }
}

#[test]
fn a_quantity_below_limits_is_rounded_and_another_is_not() {
    let (fine, coarse) = (r#"{"limits":{"cpu":"1n"},"sizeLimit":"1n"}"#, r#"{"limits":{"cpu":"1m"},"sizeLimit":"1m"}"#);
    let (fine, coarse) = (parse(fine).unwrap(), parse(coarse).unwrap());
    let at = |path: &[&str]| (fine.at(NodeId::ROOT, path).unwrap(), coarse.at(NodeId::ROOT, path).unwrap());
    for (path, rounded) in [(&["limits", "cpu"][..], true), (&["sizeLimit"][..], false)] {
        let (left, right) = at(path);
        assert_eq!(equal(Kind::Quantity, Place::new(&fine, left), Place::new(&coarse, right), false), rounded);
    }
}

#[test]
fn numbers_compare_by_value() {
    for (left, right, equal) in [
        ("1", "1.0", true),
        ("100", "1e2", true),
        ("-0.5", "-5e-1", true),
        ("0", "-0.0", true),
        ("9007199254740993", "9007199254740992.0", false),
        ("18446744073709551616", "1.8446744073709551616e19", true),
        ("1", "-1", false),
    ] {
        assert_eq!(Decimal::of(left) == Decimal::of(right), equal, "{left} {right}");
    }
    assert!(Decimal::of("0x10").is_none() && Decimal::of("").is_none() && Decimal::of(".").is_none());
}

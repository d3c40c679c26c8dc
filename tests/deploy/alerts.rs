//! Alerts, asked of Prometheus' own engine: when each fires, and that it does not where all is well.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::Tests;
use crate::harness::Trouble;
use crate::harness::tools::Tool;
use crate::helm;

pub const TESTS: Tests = &[
    ("are_about_metrics_that_are_there", named),
    ("the_first_calls_that_fail_are_heard_of", first_burst),
    ("a_certificate_is_late_by_its_own_lifetime", certificates),
];

fn rules(values: &[&str]) -> Vec<Value> {
    let objects = helm::objects(&[&["prometheusRule.enabled=true"], values].concat());
    let groups = helm::one(&objects, "PrometheusRule", "podgraft")["spec"]["groups"].as_array().unwrap().clone();
    groups.into_iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// Series in the notation of Prometheus' unit tests, one value a minute; an expression; the minutes at which it is asked.
struct Question<'q> {
    series: &'q [String],
    expression: &'q str,
    minutes: &'q [u32],
}

/// Whether each expression has a result at each of its minutes.
fn ask(questions: &[Question<'_>]) -> Vec<Vec<bool>> {
    let questions: Vec<Value> = questions
        .iter()
        .map(|question| json!({"Series": question.series, "Expr": question.expression, "Minutes": question.minutes}))
        .collect();
    let mut child = Command::new(program()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(json!(questions).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn program() -> &'static Path {
    static PROGRAM: OnceLock<Result<PathBuf, Trouble>> = OnceLock::new();
    let engine = Tool {
        name: "prometheus",
        module: "github.com/prometheus/prometheus",
        package: "./prometheus",
        what: "Its engine is asked when alerts fire.",
        ways: "Install Go (https://go.dev/dl)",
        keep: &[],
        release: None,
    };
    PROGRAM.get_or_init(|| engine.get()).as_deref().unwrap_or_else(|trouble| panic!("{trouble}"))
}

fn named() {
    let rules = rules(&["certificates.mode=secret"]);
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/metrics.rs")).unwrap();
    let mut ours = 0;
    for rule in &rules {
        let words = rule["expr"].as_str().unwrap().split(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
        for metric in words.filter_map(|word| word.strip_prefix("podgraft_")) {
            ours += 1;
            let name = metric.strip_suffix("_total").unwrap_or(metric);
            assert!(source.contains(&format!("\"{name}\"")), "{}: there is no podgraft_{metric}", rule["alert"]);
        }
        for part in ["summary", "action"] {
            assert!(rule["annotations"][part].as_str().is_some_and(|text| text.ends_with('.')), "{}: {part}", rule["alert"]);
        }
    }
    assert!(rules.len() >= 10 && ours >= 6, "{} alerts, {ours} of our metrics", rules.len());
    // Prometheus reads every one of them.
    let expressions: Vec<&str> = rules.iter().map(|rule| rule["expr"].as_str().unwrap()).collect();
    let questions: Vec<Question> = expressions.iter().map(|expression| Question { series: &[], expression, minutes: &[10] }).collect();
    let firing: Vec<&Value> = rules.iter().zip(ask(&questions)).filter(|(_, held)| held[0]).map(|(rule, _)| &rule["alert"]).collect();
    assert_eq!(firing, ["PodgraftDown"], "where there is nothing at all");
}

fn expression<'r>(rules: &'r [Value], alert: &str) -> &'r str {
    let rule = rules.iter().find(|rule| rule["alert"] == alert).unwrap_or_else(|| panic!("no {alert}"));
    rule["expr"].as_str().unwrap()
}

/// An API server has no series of a webhook before its first failure, so whatever it begins with has happened just then.
fn first_burst() {
    let rules = rules(&[]);
    let opened = |webhook: &str, values: &str| {
        vec![format!("apiserver_admission_webhook_fail_open_count{{name=\"{webhook}.podgraft.podgraft.dev\"}} {values}")]
    };
    let refused = |kind: &str, values: &str| {
        vec![format!(
            "apiserver_admission_webhook_rejection_count{{name=\"pods.podgraft.podgraft.dev\",error_type=\"{kind}\",operation=\"CREATE\"}} {values}"
        )]
    };
    let burst = "_x9 40x120";
    let (yes, no) = ([false, true, true, false, false], [false; 5]);
    let cases = [
        ("PodgraftFailedOpen", opened("pods", burst), yes),
        ("PodgraftFailedOpen", opened("configmaps", burst), no),
        ("PodgraftFailedOpen", opened("pods.other", burst), no),
        ("PodgraftPresetUnchecked", opened("configmaps", burst), yes),
        ("PodgraftPresetUnchecked", opened("presets", burst), yes),
        ("PodgraftPresetUnchecked", opened("pods", burst), no),
        ("PodgraftRefused", refused("calling_webhook_error", burst), yes),
        ("PodgraftRefused", refused("apiserver_internal_error", burst), yes),
        // The author's own fault, and ours.
        ("PodgraftRefused", refused("no_error", burst), no),
        // What Prometheus sees first it takes for new, here in the fourth minute; then more of it comes in the tenth.
        ("PodgraftFailedOpen", opened("pods", "3x9 4x120"), [true, true, true, false, false]),
        // Long over; and not read for some minutes.
        ("PodgraftFailedOpen", opened("pods", "40x130"), [true, false, false, false, false]),
        ("PodgraftFailedOpen", opened("pods", "40x20 _x20 40x90"), [true, false, false, false, false]),
    ];
    let minutes = [4, 11, 13, 43, 60];
    let questions: Vec<Question> =
        cases.iter().map(|(alert, series, _)| Question { series, expression: expression(&rules, alert), minutes: &minutes }).collect();
    for ((alert, series, wanted), held) in cases.iter().zip(ask(&questions)) {
        assert_eq!(held, wanted, "{alert}: {series:?}");
    }
}

/// Values; certificate; days that it has left; whether that is late.
type Left = (&'static [&'static str], &'static str, f64, bool);

const LEFT: &[Left] = &[
    // 90 days, renewed at 30.
    (&[], "serving", 29.0, false),
    (&[], "serving", 24.0, true),
    // Five years, renewed at 20 months.
    (&[], "ca", 590.0, false),
    (&[], "ca", 500.0, true),
    (&["certificates.leafLifetime=24h"], "serving", 0.32, false),
    (&["certificates.leafLifetime=24h"], "serving", 0.27, true),
    (&["certificates.leafLifetime=168h"], "serving", 2.3, false),
    (&["certificates.leafLifetime=720h", "certificates.caLifetime=1440h"], "serving", 10.0, false),
    (&["certificates.leafLifetime=720h", "certificates.caLifetime=1440h"], "ca", 19.0, false),
    (&["certificates.leafLifetime=720h", "certificates.caLifetime=1440h"], "ca", 16.0, true),
    // By cert-manager: renewed as it is told; its CA when a third is left, and here with the next certificate.
    (&CERT_MANAGER, "serving", 26.0, false),
    (&CERT_MANAGER, "serving", 24.0, true),
    (&CERT_MANAGER, "ca", 549.0, false),
    (&CERT_MANAGER, "ca", 450.0, true),
    // By others.
    (&["certificates.mode=secret"], "serving", 26.0, false),
    (&["certificates.mode=secret"], "serving", 24.0, true),
    (&["certificates.mode=secret", "prometheusRule.certificateLeft=12h"], "serving", 0.6, false),
    (&["certificates.mode=secret", "prometheusRule.certificateLeft=12h"], "ca", 0.4, true),
];

const CERT_MANAGER: [&str; 2] = ["certificates.mode=secret", "certificates.certManager.enabled=true"];

fn certificates() {
    for (values, certificate, days, late) in LEFT {
        let rules = rules(values);
        let rules = rules.iter().filter(|rule| rule["alert"] == "PodgraftCertificateEnds");
        let labels = format!("job=\"podgraft\",namespace=\"podgraft\",certificate=\"{certificate}\"");
        let series = [format!("podgraft_certificate_not_after_timestamp_seconds{{{labels}}} {}x10", days * 86400.0)];
        let expressions: Vec<String> = rules.map(|rule| rule["expr"].as_str().unwrap().to_owned()).collect();
        assert_eq!(expressions.len(), 2, "{expressions:?}");
        let questions: Vec<Question> =
            expressions.iter().map(|expression| Question { series: &series, expression, minutes: &[0] }).collect();
        let held = ask(&questions).concat();
        assert_eq!(held.contains(&true), *late, "{values:?}: {certificate} with {days} days left, {expressions:?}");
    }
}

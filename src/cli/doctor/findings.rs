//! What the doctor finds.

use serde::Serialize;

use crate::cli::args::ReportOutput;
use crate::cli::one_line;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Fine,
    Warning,
    Problem,
    Unknown,
}

#[derive(Debug, Serialize)]
struct Finding {
    state: State,
    about: &'static str,
    text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    advice: String,
}

/// All of them, in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

#[derive(Serialize)]
struct Report<'f> {
    problems: usize,
    warnings: usize,
    unknown: usize,
    findings: &'f [Finding],
}

impl Findings {
    /// Something is as it should be.
    pub(super) fn fine(&mut self, about: &'static str, text: String) {
        self.0.push(Finding { state: State::Fine, about, text, advice: String::new() });
    }

    /// Something will go wrong, or could be better.
    pub(super) fn warning(&mut self, about: &'static str, text: String, advice: &str) {
        self.0.push(Finding { state: State::Warning, about, text, advice: advice.to_owned() });
    }

    /// Something is wrong.
    pub(super) fn problem(&mut self, about: &'static str, text: String, advice: &str) {
        self.0.push(Finding { state: State::Problem, about, text, advice: advice.to_owned() });
    }

    /// Something could not be examined.
    pub(super) fn unknown(&mut self, about: &'static str, text: String, advice: &str) {
        self.0.push(Finding { state: State::Unknown, about, text, advice: advice.to_owned() });
    }

    /// Puts what was found meanwhile behind the rest.
    pub(super) fn append(&mut self, later: Findings) {
        self.0.extend(later.0);
    }

    /// How many problems there are.
    pub(super) fn problems(&self) -> usize {
        self.count(State::Problem)
    }

    fn count(&self, state: State) -> usize {
        self.0.iter().filter(|finding| finding.state == state).count()
    }

    /// The report.
    pub(super) fn written(&self, output: ReportOutput) -> String {
        let (problems, warnings, unknown) = (self.problems(), self.count(State::Warning), self.count(State::Unknown));
        if output == ReportOutput::Json {
            let report = Report { problems, warnings, unknown, findings: &self.0 };
            return serde_json::to_string_pretty(&report).unwrap_or_default() + "\n";
        }
        let mut out = String::new();
        for Finding { state, about, text, advice } in &self.0 {
            let word = match state {
                State::Fine => "fine",
                State::Warning => "warning",
                State::Problem => "PROBLEM",
                State::Unknown => "unknown",
            };
            out.push_str(&one_line(&format!("{word:<8} {about}: {text}")));
            out.push('\n');
            if *state != State::Fine {
                out.push_str(&one_line(&format!("           do: {advice}")));
                out.push('\n');
            }
        }
        let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
        let things = if unknown == 1 { "thing" } else { "things" };
        out.push_str(&format!(
            "{}, {}; {unknown} {things} could not be examined\n",
            count(problems, "problem"),
            count(warnings, "warning")
        ));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_for_people_and_programs() {
        let mut findings = Findings::default();
        findings.fine("cluster", "answers".to_owned());
        findings.problem("certificate", "expired\nlong ago".to_owned(), "renew it");
        findings.unknown("metrics", "may not be read".to_owned(), "ask somebody who may");
        assert_eq!(
            findings.written(ReportOutput::Text),
            "fine     cluster: answers\nPROBLEM  certificate: expired?long ago\n           do: renew it\nunknown  metrics: may not be read\n           do: ask somebody who may\n\
             1 problem, 0 warnings; 1 thing could not be examined\n"
        );
        let json: serde_json::Value = serde_json::from_str(&findings.written(ReportOutput::Json)).unwrap();
        assert_eq!((&json["problems"], &json["findings"][1]["state"]), (&1.into(), &"problem".into()));
        assert_eq!(json["findings"][1]["advice"], "renew it");
    }
}

//! What was found, and how it is told: a line a finding under a summary, in the manner of Nagios
//! plug-ins. Pure: knows nothing of what is tried.

use std::fmt;

/// As many of one kind are complained of by name.
pub(super) const MOST_NAMED: usize = 20;

/// How bad it is. The order is that of plug-ins: what is known to be bad outweighs what is not
/// known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Ok,
    Unknown,
    Warning,
    Critical,
}

impl Severity {
    const ALL: [Self; 4] = [Self::Critical, Self::Warning, Self::Unknown, Self::Ok];

    /// The exit code that a plug-in says it with.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    severity: Severity,
    text: String,
}

impl Finding {
    /// `text` is made one line that a terminal and a plug-in's reader survive.
    fn new(severity: Severity, text: &str) -> Self {
        let mut line = String::with_capacity(text.len());
        for c in text.chars() {
            // Behind a bar a reader of plug-ins expects numbers.
            if c.is_control() || c == '|' {
                line.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
            } else {
                line.push(c);
            }
        }
        let text = line;
        Self { severity, text }
    }

    /// From the line that it was written as.
    fn read(line: &str) -> Option<Self> {
        let (name, text) = line.split_once(' ')?;
        let severity = Severity::ALL.into_iter().find(|one| one.name() == name)?;
        let text = text.to_owned();
        Some(Self { severity, text })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.severity.name(), self.text)
    }
}

/// All findings, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report(Vec<Finding>);

impl Report {
    /// One more finding.
    pub fn add(&mut self, severity: Severity, text: &str) {
        self.0.push(Finding::new(severity, text));
    }

    /// The findings that another process has written, a line each; what is no finding is what it
    /// said when it broke down.
    pub(super) fn read(&mut self, lines: &str) {
        for line in lines.lines().filter(|line| !line.is_empty()) {
            match Finding::read(line) {
                Some(finding) => self.0.push(finding),
                None => self.add(Severity::Critical, line),
            }
        }
    }

    /// The findings, a line each.
    pub(super) fn lines(&self) -> String {
        self.0
            .iter()
            .map(|finding| format!("{finding}\n"))
            .collect()
    }

    /// The worst of it; nothing is not fine.
    #[must_use]
    pub fn severity(&self) -> Severity {
        let worst = self.0.iter().map(|finding| finding.severity).max();
        worst.unwrap_or(Severity::Unknown)
    }

    /// `2 critical, 1 warning, 12 ok`
    fn counts(&self) -> String {
        let count = |severity: &Severity| {
            let same = self.0.iter().filter(|one| one.severity == *severity);
            match same.count() {
                0 => None,
                count => Some(format!("{count} {}", severity.name())),
            }
        };
        let counts: Vec<String> = Severity::ALL.iter().filter_map(count).collect();
        counts.join(", ")
    }
}

impl fmt::Display for Report {
    /// The summary, with the first of what is worst, then each finding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let worst = self.severity();
        write!(f, "nanoftpd {} -", worst.name().to_uppercase())?;
        let first = self.0.iter().find(|finding| finding.severity == worst);
        match first.filter(|_| worst != Severity::Ok) {
            Some(first) => writeln!(f, " {}; {}", first.text, self.counts())?,
            None => writeln!(f, " {}", self.counts())?,
        }
        f.write_str(&self.lines())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(findings: &[(Severity, &str)]) -> Report {
        let mut report = Report::default();
        for (severity, text) in findings {
            report.add(*severity, text);
        }
        report
    }

    #[test]
    fn the_worst_decides_and_is_said_first() {
        use Severity::{Critical, Ok, Unknown, Warning};
        for (findings, code, first) in [
            (&[][..], 3, "nanoftpd UNKNOWN - "),
            (&[(Ok, "a"), (Ok, "b")], 0, "nanoftpd OK - 2 ok"),
            (
                &[(Ok, "a"), (Unknown, "b")],
                3,
                "nanoftpd UNKNOWN - b; 1 unknown, 1 ok",
            ),
            (
                &[(Unknown, "a"), (Warning, "b"), (Warning, "c")],
                1,
                "nanoftpd WARNING - b; 2 warning, 1 unknown",
            ),
            (
                &[(Warning, "a"), (Critical, "b"), (Ok, "c")],
                2,
                "nanoftpd CRITICAL - b; 1 critical, 1 warning, 1 ok",
            ),
        ] {
            let report = report(findings);
            assert_eq!(report.severity().code(), code);
            assert_eq!(report.to_string().lines().next(), Some(first));
        }
    }

    #[test]
    fn what_is_written_is_read_again_and_broken_lines_are_critical() {
        let written = report(&[(Severity::Ok, "a | b\nc\x1b"), (Severity::Warning, "d")]);
        let lines = written.lines();
        assert_eq!(lines, "ok a \\u{7c} b\\u{a}c\\u{1b}\nwarning d\n");
        let mut read = Report::default();
        read.read(&lines);
        assert_eq!(read, written);
        read.read("\npanicked at x\n");
        assert_eq!(read.severity(), Severity::Critical);
        assert!(read.to_string().ends_with("critical panicked at x\n"));
    }
}

//! Who may come in, as far as it decides what there has to be: domains, a class, trees of files.

use std::collections::BTreeSet;

use super::{Report, Severity};
use crate::auth::Module;
use crate::auth::text::Users;
use crate::config::{AuthModule, Config};

/// What users need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Members {
    /// Somebody needs the default domain.
    pub(super) default_domain: bool,
    /// Somebody's uploads get `defaultclass`.
    pub(super) default_class: bool,
    /// Somebody sees all domains.
    pub(super) all_domains: bool,
    /// Users who are domains.
    pub(super) domains: BTreeSet<Vec<u8>>,
    /// Users who have trees of files.
    pub(super) trees: BTreeSet<Vec<u8>>,
}

impl Members {
    /// From the users file, whose oddities are reported.
    pub(super) fn read(config: &Config, report: &mut Report) -> Self {
        match config.auth.module {
            AuthModule::Text => Self::from_file(config, report),
            // A program knows its users only one by one.
            AuthModule::Exec => Self {
                default_domain: config.mogilefs.domain.is_some(),
                ..Self::default()
            },
        }
    }

    fn from_file(config: &Config, report: &mut Report) -> Self {
        let file = config.auth.text.file.display();
        let mut users = Users::new(config.auth.text.clone(), config.auth.crypt);
        if let Err(error) = users.refresh() {
            report.add(
                Severity::Critical,
                &format!("users {file}: cannot be read, so nobody can log in: {error}"),
            );
            return Self::default();
        }
        let mut members = Self::default();
        let mut count = 0_usize;
        for record in users.records() {
            members.add(record.module, &record.name);
            count += 1;
        }
        let severity = if count == 0 {
            Severity::Warning
        } else {
            Severity::Ok
        };
        report.add(severity, &format!("users {file}: {count} can log in"));
        for odd in users.errors().iter().chain(users.warnings()) {
            report.add(Severity::Warning, &format!("users {odd}"));
        }
        members
    }

    fn add(&mut self, module: Module, name: &[u8]) {
        self.default_domain |= module.needs_domain();
        match module {
            Module::MogileFs => {}
            Module::FlatNs => self.default_class = true,
            Module::DomainNs => self.all_domains = true,
            Module::UserDomain => {
                self.domains.insert(name.to_vec());
            }
            Module::File => {
                self.trees.insert(name.to_vec());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_say_what_is_needed() {
        let mut members = Members::default();
        members.add(Module::File, b"f");
        members.add(Module::UserDomain, b"u");
        assert!(!members.default_domain && !members.all_domains);
        assert!(members.trees.contains(&b"f"[..]) && members.domains.contains(&b"u"[..]));
        members.add(Module::FlatNs, b"x");
        assert!(members.default_domain && members.default_class);
        members.add(Module::DomainNs, b"y");
        assert!(members.all_domains);
        assert_eq!(members.domains.len() + members.trees.len(), 2);
    }
}

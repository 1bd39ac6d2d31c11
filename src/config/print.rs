//! The whole configuration as a file that reads as the same again, each key with its purpose: what
//! -T prints, and for the defaults the file that is installed.
#![forbid(unsafe_code)]

use std::fmt;

use super::Config;
use super::keys::SECTIONS;

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "# The configuration of nanoftpd; nanoftpd.conf(5) says more. Comments are whole lines.\n\
             # Times are seconds (3, 0.5) or carry a unit (500ms, 5m), sizes may carry K, M, G.\n",
        )?;
        for section in SECTIONS {
            write!(f, "\n# {}\n[{}]\n", section.about, section.name)?;
            for key in section.keys {
                write!(f, "\n# {}\n", key.about)?;
                match (key.show)(self).as_str() {
                    "" => writeln!(f, "{} =", key.name)?,
                    value => writeln!(f, "{} = {value}", key.name)?,
                }
            }
        }
        Ok(())
    }
}

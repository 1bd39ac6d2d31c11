//! What trackers and nodes say, turned into what a store says.
#![forbid(unsafe_code)]

use crate::mogilefs;
use crate::store::Error;

impl From<mogilefs::Error> for Error {
    fn from(error: mogilefs::Error) -> Self {
        match error {
            mogilefs::Error::Interrupted => Self::Interrupted,
            mogilefs::Error::Refused { ref code, .. } => match code.as_str() {
                "unknown_key" | "invalid_key" | "class_not_found" | "unreg_domain"
                | "domain_not_found" | "no_domain" => Self::NotFound,
                "key_exists" | "class_exists" | "domain_exists" => Self::Exists,
                "class_has_files" | "domain_has_files" | "domain_has_classes" => Self::NotEmpty,
                "nodel_default_class" | "plugin_aborted" => Self::Denied,
                "unreg_class" => Self::BadName("no such storage class"),
                "no_devices" => Self::Full(error.to_string()),
                "unknown_command" => Self::Unsupported,
                _ => Self::Unavailable(error.to_string()),
            },
            error => Self::Unavailable(error.to_string()),
        }
    }
}

//! Why a command was not carried out, and the reply table: the one place where what a store says
//! becomes a code. The client never sees a cause, only a reference that is in the log.

use std::io;

use super::deflate::Garbled;
use super::reply::Reply;
use super::source::Short;
use crate::{logger, store, text, vigil};

/// How a command ended that did not succeed.
#[derive(Debug)]
pub(super) enum Error {
    /// The client asked for what cannot be.
    Refused(Reply),
    /// Something of ours failed; the cause is for the log.
    Failed(Reply, Cause),
    /// A bystander ended a wait: an ABOR, a client that left, a word from the master.
    Interrupted,
    /// The control connection is lost.
    Gone(io::Error),
}

/// What the log says of a failure, under a reference that the client sees too.
#[derive(Debug)]
pub(super) struct Cause {
    pub(super) reference: String,
    pub(super) text: String,
}

impl Error {
    /// A refusal.
    pub(super) fn refused(code: u16, text: impl Into<Vec<u8>>) -> Self {
        Self::Refused(Reply::new(code, text))
    }

    /// A failure: `text` goes to the client, followed by the reference; `cause` to the log.
    pub(super) fn failed(code: u16, text: &str, cause: impl Into<String>) -> Self {
        let reference = logger::reference();
        Self::Failed(
            Reply::new(code, format!("{text} (ref {reference}).")),
            Cause {
                reference,
                text: cause.into(),
            },
        )
    }

    /// The data connection failed, or was ended.
    pub(super) fn data(error: &io::Error) -> Self {
        if vigil::was_interrupted(error) {
            return Self::Interrupted;
        }
        if vigil::was_caused_by::<Short>(error) {
            return Self::refused(451, "Fewer bytes than ALLO announced; nothing is stored.");
        }
        if vigil::was_caused_by::<Garbled>(error) {
            return Self::refused(451, "The compressed data is damaged; nothing is stored.");
        }
        match error.kind() {
            io::ErrorKind::TimedOut => {
                Self::refused(426, "Data connection stalled; transfer aborted.")
            }
            _ => Self::refused(426, "Data connection lost; transfer aborted."),
        }
    }

    /// Reading from the store failed after it had begun.
    pub(super) fn body(error: &io::Error) -> Self {
        if vigil::was_interrupted(error) {
            return Self::Interrupted;
        }
        if vigil::was_caused_by::<store::Replaced>(error) {
            return Self::failed(451, "The file was replaced meanwhile", error.to_string());
        }
        Self::failed(451, "Storage error", error.to_string())
    }

    /// What a store says of a name under which something is to be stored: RFC 959 has 553 for it.
    pub(super) fn of_new_name(error: store::Error) -> Self {
        match error {
            store::Error::Denied => Self::refused(553, "Permission denied."),
            store::Error::BadName(why) => Self::refused(553, not_allowed(why)),
            store::Error::Exists => Self::refused(553, "The name is taken."),
            store::Error::NotAFile => Self::refused(553, "The name is that of a directory."),
            store::Error::NotFound | store::Error::NotADir => {
                Self::refused(553, "No such directory to store it in.")
            }
            other => other.into(),
        }
    }

    /// What a store says of the target of a renaming; what it says of the source is as ever.
    pub(super) fn of_target(error: store::Error) -> Self {
        match error {
            store::Error::BadName(why) => Self::refused(553, not_allowed(why)),
            store::Error::Exists => Self::refused(553, "The name is taken."),
            other => other.into(),
        }
    }

    /// What a store says of a file that is to be read: RFC 959 has 450 for one that may be had
    /// later.
    pub(super) fn of_reading(error: store::Error) -> Self {
        match error {
            store::Error::Unavailable(cause) => {
                Self::failed(450, "File not available now, try again later", cause)
            }
            other => other.into(),
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        use store::Error as Store;
        match error {
            Store::NotFound => Self::refused(550, "No such file or directory."),
            Store::Called(name) => Self::refused(
                550,
                format!("No such file; call it {}.", text::quoted(&name)),
            ),
            Store::Exists => Self::refused(550, "The name is taken."),
            Store::NotEmpty => Self::refused(550, "Directory not empty."),
            Store::NotAFile => Self::refused(550, "Not a plain file."),
            Store::NotADir => Self::refused(550, "Not a directory."),
            Store::BadName(why) => Self::refused(550, not_allowed(why)),
            Store::Denied => Self::refused(550, "Permission denied."),
            Store::Unsupported => Self::refused(502, "Command not implemented here."),
            Store::BeyondEnd => Self::refused(554, "The offset is beyond the end of the file."),
            Store::Full(cause) => Self::failed(452, "Insufficient storage space", cause),
            Store::TooLarge(cause) => Self::failed(552, "The file is too large", cause),
            Store::Unavailable(cause) => {
                Self::failed(451, "Storage not available now, try again later", cause)
            }
            Store::Broken(cause) => Self::failed(451, "Storage error", cause),
            Store::Source(error) => Self::data(&error),
            Store::TooMany(most) => {
                Self::refused(550, format!("The directory has more than {most} files."))
            }
            Store::Partly { done, all, cause } => {
                let text = format!("Stopped after {done} of {all} files");
                Self::failed(451, &text, cause)
            }
            Store::Cut(limit) => Self::refused(451, format!("Listing cut at {limit} entries.")),
            Store::Interrupted => Self::Interrupted,
        }
    }
}

fn not_allowed(why: &str) -> String {
    format!("Name not allowed: {why}.")
}

#[cfg(test)]
mod tests {
    use store::Error as Store;

    use super::*;

    fn code(error: Error) -> u16 {
        match error {
            Error::Refused(reply) | Error::Failed(reply, _) => reply.code(),
            Error::Interrupted => 426,
            Error::Gone(_) => 0,
        }
    }

    #[test]
    fn each_error_of_a_store_has_its_code() {
        let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
        type Case = (fn() -> Store, [u16; 4]);
        let cases: [Case; 13] = [
            (|| Store::NotFound, [550, 553, 550, 550]),
            (|| Store::Exists, [550, 553, 550, 553]),
            (|| Store::NotEmpty, [550, 550, 550, 550]),
            (|| Store::NotAFile, [550, 553, 550, 550]),
            (|| Store::NotADir, [550, 553, 550, 550]),
            (|| Store::BadName("x"), [550, 553, 550, 553]),
            (|| Store::Denied, [550, 553, 550, 550]),
            (|| Store::Unsupported, [502, 502, 502, 502]),
            (|| Store::BeyondEnd, [554, 554, 554, 554]),
            (|| Store::Full(String::new()), [452, 452, 452, 452]),
            (|| Store::TooLarge(String::new()), [552, 552, 552, 552]),
            (|| Store::Unavailable(String::new()), [451, 451, 450, 451]),
            (|| Store::Broken(String::new()), [451, 451, 451, 451]),
        ];
        for (error, expected) in cases {
            let plain = code(error().into());
            let new_name = code(Error::of_new_name(error()));
            let reading = code(Error::of_reading(error()));
            let target = code(Error::of_target(error()));
            assert_eq!([plain, new_name, reading, target], expected, "{}", error());
        }
        assert_eq!(code(Store::Source(reset()).into()), 426);
    }

    #[test]
    fn the_cause_stays_with_us_and_the_reference_is_shared() {
        let Error::Failed(reply, cause) = Store::Broken("tracker 10.0.0.1 said no".into()).into()
        else {
            panic!("not a failure");
        };
        let text = String::from_utf8(reply.wire()).unwrap();
        assert!(!text.contains("10.0.0.1"), "{text}");
        assert!(text.contains(&cause.reference), "{text}");
        assert_eq!(cause.text, "tracker 10.0.0.1 said no");
    }
}

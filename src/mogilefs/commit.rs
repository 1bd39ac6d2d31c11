//! Committing an upload. The answer to a close can be lost, and a tracker whose worker died closes
//! the same upload twice and then says that there is none. What really became of it is found out
//! before anybody is told.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use super::tracker::{Trackers, is_doubtful};
use super::{Error, Fate, Target};
use crate::figures::{self, Event};
use crate::text::quoted_error;
use crate::vigil;

/// When a fid in doubt is looked at, in milliseconds after the answer to the close; later, each
/// `LATER_LOOKS` milliseconds.
const LOOKS: [u64; 5] = [0, 200, 1000, 3000, 8000];
const LATER_LOOKS: u64 = 5000;

/// How long a close without an answer may still be under way before its upload counts as lost.
/// Trackers may take longer, but storing the same bytes again does no harm.
const UNDER_WAY: Duration = Duration::from_secs(10);

/// How often the same upload is closed at most.
const CLOSES: u32 = 3;

/// An upload whose bytes a node has.
pub(crate) struct Closing<'a> {
    pub(crate) domain: &'a [u8],
    pub(crate) key: &'a [u8],
    pub(crate) fid: u64,
    pub(crate) target: &'a Target,
    pub(crate) size: u64,
    /// Of the bytes, where it is known: the tracker keeps it if the class wants it.
    pub(crate) md5: Option<[u8; 16]>,
}

/// What has become of an upload that was closed.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is stored.
    Committed,
    /// It is not, and never will be; the same bytes may be uploaded again.
    Lost(Error),
    /// It is not, and another try would be refused too.
    Refused(Error),
    /// Nobody could be asked.
    Unknown(Error),
}

impl Trackers {
    /// Commits an upload. Bystanders wait meanwhile: it must not be ended halfway.
    pub(crate) fn commit(&mut self, closing: &Closing<'_>) -> Verdict {
        let _quiet = vigil::undisturbed();
        let verdict = self.commit_at_last(closing);
        figures::count(match &verdict {
            None => Event::CloseOk,
            Some(Verdict::Committed) => Event::CloseCommitted,
            Some(Verdict::Lost(_)) => Event::CloseLost,
            Some(Verdict::Refused(_)) => Event::CloseRefused,
            Some(Verdict::Unknown(_)) => Event::CloseUnknown,
        });
        verdict.unwrap_or(Verdict::Committed)
    }

    /// `None`: the tracker said OK.
    fn commit_at_last(&mut self, closing: &Closing<'_>) -> Option<Verdict> {
        let begun = Instant::now();
        for closes in 1..=CLOSES {
            let Err(error) = self.close(closing) else {
                return None;
            };
            let Some(doubt) = Doubt::of(&error, closes) else {
                return Some(settled(closing, error));
            };
            log::warn!(
                "close-doubt fid={} dev={} error={}",
                closing.fid,
                closing.target.device,
                quoted_error(&error)
            );
            let verdict = self.find_out(closing, doubt, error);
            log::warn!(
                "close-found fid={} verdict={} waited_ms={}",
                closing.fid,
                verdict.as_ref().map_or("open", Verdict::word),
                begun.elapsed().as_millis()
            );
            if verdict.is_some() {
                return verdict;
            }
        }
        Some(Verdict::Unknown(Error::Protocol(format!(
            "fid {} stays open after {CLOSES} closes",
            closing.fid
        ))))
    }

    fn close(&mut self, closing: &Closing<'_>) -> Result<(), Error> {
        let Closing {
            domain,
            key,
            fid,
            target,
            size,
            md5,
        } = closing;
        self.create_close(domain, key, *fid, target, *size, *md5)
    }

    /// Looks until it is known; `None`: the upload is still open and may be closed again.
    fn find_out(&mut self, closing: &Closing<'_>, doubt: Doubt, error: Error) -> Option<Verdict> {
        let answered = Instant::now();
        let patience = self.longest_close();
        let mut cause = error;
        for look in looks() {
            let due = Duration::from_millis(look);
            if due > patience {
                break;
            }
            if vigil::pause(due.saturating_sub(answered.elapsed())).is_err() {
                break;
            }
            match self.file_debug(closing.fid) {
                Ok(Fate::Committed { key, length }) => {
                    let same = key == closing.key && length.is_none_or(|is| is == closing.size);
                    return Some(if same {
                        Verdict::Committed
                    } else {
                        Verdict::Unknown(Error::Protocol(format!(
                            "fid {} was committed as another file",
                            closing.fid
                        )))
                    });
                }
                Ok(Fate::Open) => return None,
                Ok(Fate::Discarded) => return Some(Verdict::Lost(cause)),
                Ok(Fate::Unknown) if doubt == Doubt::Ended || due >= UNDER_WAY.min(patience) => {
                    return Some(Verdict::Lost(cause));
                }
                Ok(Fate::Unknown) => {}
                Err(error) => cause = error,
            }
        }
        Some(Verdict::Unknown(cause))
    }
}

fn looks() -> impl Iterator<Item = u64> {
    let last = LOOKS.last().copied().unwrap_or_default();
    let later = (1..).map(move |look: u64| last.saturating_add(look.saturating_mul(LATER_LOOKS)));
    LOOKS.into_iter().chain(later)
}

/// Why nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// The close may still be under way.
    UnderWay,
    /// The close has ended, one way or the other.
    Ended,
}

impl Doubt {
    fn of(error: &Error, closes: u32) -> Option<Self> {
        if error.is("no_temp_file") {
            // To the first close of ours this is the answer to a second run of it, which begins
            // only when the first is dead.
            return Some(if closes == 1 {
                Self::Ended
            } else {
                Self::UnderWay
            });
        }
        match error {
            Error::NoTracker(_) => Some(Self::Ended),
            Error::Refused { .. } if is_doubtful(error) || error.is("dup") => Some(Self::Ended),
            error if is_doubtful(error) => Some(Self::UnderWay),
            _ => None,
        }
    }
}

/// A refusal that leaves no doubt: the tracker has thrown the bytes away, or has not looked at them.
fn settled(closing: &Closing<'_>, error: Error) -> Verdict {
    let thrown_away = [
        "size_mismatch",
        "size_verify_error",
        "checksum_mismatch",
        "invalid_destdev",
    ];
    if thrown_away.iter().any(|code| error.is(code)) {
        return Verdict::Lost(error);
    }
    if !error.is("plugin_aborted") {
        // It would be refused again: the tracker does not take its own word.
        log::error!(
            "close-refused fid={} dev={} url={} error={}",
            closing.fid,
            closing.target.device,
            closing.target.url,
            quoted_error(&error)
        );
    }
    Verdict::Refused(error)
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Lost(_) => "lost",
            Self::Refused(_) => "refused",
            Self::Unknown(_) => "unknown",
        }
    }
}

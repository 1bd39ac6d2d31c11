//! What the faults that struck a request mean for its transfer.

use std::time::Duration;

use crate::faults::Fault;

/// All faults of one request, put together.
#[derive(Debug, Default)]
pub(super) struct Mischief {
    pub(super) freeze: bool,
    pub(super) reset: bool,
    /// Code, and whether the body is left unread.
    pub(super) status: Option<(u64, bool)>,
    /// Before the headers, or after so many bytes of the body.
    pub(super) stall: Option<Option<u64>>,
    pub(super) cut: Option<u64>,
    pub(super) rst: bool,
    pub(super) slow: Option<(u64, Duration)>,
    pub(super) wrong_length: i64,
    pub(super) short: Option<u64>,
    pub(super) no_length: bool,
    pub(super) no_range: bool,
    pub(super) corrupt: Option<u64>,
    /// Whether it hangs up.
    pub(super) hang_reply: Option<bool>,
    pub(super) lose_put: Option<u64>,
}

impl Mischief {
    pub(super) fn of(faults: &[Fault]) -> Self {
        let mut all = Self::default();
        for fault in faults {
            let at = fault.number("at");
            match fault.name {
                "freeze" => all.freeze = true,
                "reset" => all.reset = true,
                "status" => {
                    let early = fault.number("early") == Some(1);
                    all.status = Some((fault.number("code").unwrap_or(500), early));
                }
                "stall" => all.stall = Some(at),
                "cut" => {
                    all.cut = Some(at.unwrap_or(0));
                    all.rst = fault.number("rst") == Some(1);
                }
                "slow" => {
                    let pause = Duration::from_millis(fault.number("ms").unwrap_or(100));
                    all.slow = Some((fault.number("bytes").unwrap_or(1).max(1), pause));
                }
                "wrong-length" => all.wrong_length = fault.signed("by").unwrap_or(1),
                "short" => all.short = Some(at.unwrap_or(0)),
                "no-length" => all.no_length = true,
                "no-range" => all.no_range = true,
                "corrupt" => all.corrupt = Some(at.unwrap_or(0)),
                "hang-reply" => all.hang_reply = Some(fault.number("close") == Some(1)),
                "lose-put" => all.lose_put = Some(at.unwrap_or(0)),
                _ => {}
            }
        }
        all
    }

    /// The byte of the body at which the transfer stops, if it does.
    pub(super) fn stop(&self) -> Option<u64> {
        let stall = self.stall.flatten();
        match (self.cut, stall) {
            (Some(cut), Some(stall)) => Some(cut.min(stall)),
            (cut, stall) => cut.or(stall),
        }
    }

    /// Nothing here changes how body bytes move.
    pub(super) const fn moves_freely(&self) -> bool {
        self.slow.is_none() && self.corrupt.is_none()
    }
}

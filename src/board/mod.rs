//! The state of the whole, as the master knows it: who works, for whom, since when, and where the
//! trackers are. Pure: it makes no system call and asks no clock; what happens is told to it, and
//! what should be done is read off it.
#![forbid(unsafe_code)]

mod addresses;
mod births;
mod seats;
mod shares;
mod spools;
mod suspects;
mod tally;
mod traffic;

pub use addresses::Addresses;
pub use births::Births;
pub use seats::{Board, Counts, Seat, State};
pub use shares::{Share, Shares};
pub use spools::Spools;
pub use suspects::{LONGEST_TURN, Penalty, Suspects, household};
pub use tally::{Hooks, Tally, Transfers};
pub use traffic::{Traffic, Way};

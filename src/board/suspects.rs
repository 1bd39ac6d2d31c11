//! Addresses and their failed logins: how long the next answer waits, and who is not let in.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use crate::config::Limits;

/// A failed login is held against an address for so long, or for `ban_time` if that is longer.
const MEMORY: Duration = Duration::from_secs(600);

/// The delay grows up to so many times `login_delay`.
const SLOWEST: u32 = 5;

/// However long the delay, the next login from an address waits no longer for its turn.
pub const LONGEST_TURN: Duration = Duration::from_secs(10);

/// So many addresses are remembered.
const MOST: usize = 10_000;

/// Addresses that have failed.
#[derive(Debug, Default)]
pub struct Suspects(BTreeMap<IpAddr, Suspect>);

#[derive(Debug)]
struct Suspect {
    failures: u32,
    last: Instant,
    banned_until: Option<Instant>,
}

/// What follows from a failed login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Penalty {
    /// How long the answer waits.
    pub delay: Duration,
    /// Whether the address is banned from now on.
    pub is_banned: bool,
}

/// Whom an address stands for: a host of IPv6 has a whole network to choose its address from.
#[must_use]
pub fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(network).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Suspects {
    /// A login from `address` failed.
    pub fn failed(&mut self, address: IpAddr, limits: &Limits, now: Instant) -> Penalty {
        let address = household(address);
        if !self.0.contains_key(&address) {
            self.make_room(limits, now);
        }
        let suspect = self.0.entry(address).or_insert(Suspect {
            failures: 0,
            last: now,
            banned_until: None,
        });
        if now.saturating_duration_since(suspect.last) >= memory(limits) {
            suspect.failures = 0;
        }
        suspect.last = now;
        suspect.failures = suspect.failures.saturating_add(1);
        let failures = suspect.failures;
        let is_banned = !limits.ban_time.is_zero()
            && limits.login_attempts > 0
            && usize::try_from(failures).is_ok_and(|failures| failures >= limits.login_attempts);
        if is_banned {
            suspect.failures = 0;
            suspect.banned_until = now.checked_add(limits.ban_time);
        }
        Penalty {
            delay: delay(failures, limits),
            is_banned,
        }
    }

    /// When the next password from `address` is to be looked at, if not at once: not while the answer to
    /// the last wrong one waits, or nobody would wait for that.
    #[must_use]
    pub fn next_turn(&self, address: IpAddr, limits: &Limits, now: Instant) -> Option<Instant> {
        let suspect = self.0.get(&household(address))?;
        let wait = delay(suspect.failures, limits).min(LONGEST_TURN);
        suspect.last.checked_add(wait).filter(|turn| *turn > now)
    }

    /// Whether `address` is not let in.
    #[must_use]
    pub fn is_banned(&self, address: IpAddr, now: Instant) -> bool {
        let suspect = self.0.get(&household(address));
        suspect.is_some_and(|suspect| suspect.is_banned(now))
    }

    /// How many addresses are not let in.
    #[must_use]
    pub fn banned(&self, now: Instant) -> usize {
        let suspects = self.0.values();
        suspects.filter(|suspect| suspect.is_banned(now)).count()
    }

    /// All of them, for another master: address, failures, how long ago the last one was, and how
    /// long the address is still banned.
    pub fn list(
        &self,
        now: Instant,
    ) -> impl Iterator<Item = (IpAddr, u32, Duration, Option<Duration>)> {
        self.0.iter().map(move |(address, suspect)| {
            let left = suspect.banned_until;
            let left = left.map(|until| until.saturating_duration_since(now));
            let age = now.saturating_duration_since(suspect.last);
            (*address, suspect.failures, age, left)
        })
    }

    /// One that another master has told of, as in [`Self::list`].
    pub fn recall(
        &mut self,
        (address, failures, age, left): (IpAddr, u32, Duration, Option<Duration>),
        now: Instant,
    ) {
        if self.0.len() < MOST {
            let suspect = Suspect {
                failures,
                last: now.checked_sub(age).unwrap_or(now),
                banned_until: left.and_then(|left| now.checked_add(left)),
            };
            self.0.insert(address, suspect);
        }
    }

    /// Forgets who has been good for long enough, and then, if it must be, who failed longest ago.
    fn make_room(&mut self, limits: &Limits, now: Instant) {
        if self.0.len() < MOST {
            return;
        }
        let memory = memory(limits);
        self.0.retain(|_, suspect| {
            suspect.is_banned(now) || now.saturating_duration_since(suspect.last) < memory
        });
        while self.0.len() >= MOST {
            // Whoever has many addresses to fail from must not free the ones that are banned.
            let oldest = self
                .0
                .iter()
                .min_by_key(|(_, suspect)| (suspect.is_banned(now), suspect.last))
                .map(|(address, _)| *address);
            let Some(oldest) = oldest else { return };
            self.0.remove(&oldest);
        }
    }
}

impl Suspect {
    fn is_banned(&self, now: Instant) -> bool {
        self.banned_until.is_some_and(|until| until > now)
    }
}

fn delay(failures: u32, limits: &Limits) -> Duration {
    limits.login_delay.saturating_mul(failures.min(SLOWEST))
}

fn memory(limits: &Limits) -> Duration {
    limits.ban_time.max(MEMORY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn limits(ban: u64) -> Limits {
        let mut limits = Config::default().limits;
        limits.login_attempts = 3;
        limits.login_delay = Duration::from_secs(2);
        limits.ban_time = Duration::from_secs(ban);
        limits
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_failure_of_an_address_waits_longer_up_to_a_limit() {
        let (mut suspects, limits, now) = (Suspects::default(), limits(0), Instant::now());
        let mut wait = |address: &str, now| {
            let penalty = suspects.failed(ip(address), &limits, now);
            assert!(!penalty.is_banned);
            penalty.delay.as_secs()
        };
        let waits: Vec<u64> = (0..7).map(|_| wait("192.0.2.1", now)).collect();
        assert_eq!(waits, [2, 4, 6, 8, 10, 10, 10]);
        assert_eq!(wait("192.0.2.2", now), 2);
        assert_eq!(wait("::ffff:192.0.2.2", now), 4);
        assert_eq!(wait("192.0.2.1", now + MEMORY), 2);
    }

    #[test]
    fn the_next_password_from_there_waits_as_long_as_the_answer_to_the_last() {
        let (mut suspects, mut limits, now) = (Suspects::default(), limits(0), Instant::now());
        let after = |seconds| Some(now + Duration::from_secs(seconds));
        assert_eq!(suspects.next_turn(ip("192.0.2.1"), &limits, now), None);
        suspects.failed(ip("192.0.2.1"), &limits, now);
        suspects.failed(ip("192.0.2.1"), &limits, now);
        let turn = |address, at| suspects.next_turn(ip(address), &limits, at);
        assert_eq!(turn("::ffff:192.0.2.1", now), after(4));
        assert_eq!(turn("192.0.2.2", now), None);
        assert_eq!(turn("192.0.2.1", now + Duration::from_secs(4)), None);
        limits.login_delay = Duration::from_secs(60);
        let turn = suspects.next_turn(ip("192.0.2.1"), &limits, now);
        assert_eq!(turn, now.checked_add(LONGEST_TURN));
    }

    #[test]
    fn an_address_is_banned_for_its_time_and_no_longer() {
        let (mut suspects, limits, now) = (Suspects::default(), limits(60), Instant::now());
        let bad = ip("192.0.2.1");
        for expected in [false, false, true] {
            assert!(!suspects.is_banned(bad, now));
            assert_eq!(suspects.failed(bad, &limits, now).is_banned, expected);
        }
        assert!(suspects.is_banned(bad, now) && suspects.banned(now) == 1);
        assert!(!suspects.is_banned(ip("192.0.2.2"), now));
        let later = now + Duration::from_secs(60);
        assert!(!suspects.is_banned(bad, later) && suspects.banned(later) == 0);
        // And begins anew.
        assert!(!suspects.failed(bad, &limits, later).is_banned);
    }

    #[test]
    fn a_network_of_ipv6_is_one_household() {
        assert_eq!(
            household(ip("2001:db8::1:2:3:4")),
            household(ip("2001:db8::ffff:0:0:1"))
        );
        assert_ne!(
            household(ip("2001:db8::1")),
            household(ip("2001:db8:0:1::1"))
        );
        assert_eq!(household(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }

    #[test]
    fn many_addresses_do_not_free_one_that_is_banned() {
        let (mut suspects, limits, now) = (Suspects::default(), limits(3600), Instant::now());
        let bad = ip("192.0.2.1");
        for _ in 0..3 {
            suspects.failed(bad, &limits, now);
        }
        for number in 0..u32::try_from(MOST).unwrap() + 10 {
            let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number);
            suspects.failed(address.into(), &limits, now + Duration::from_secs(1));
        }
        assert!(suspects.is_banned(bad, now + Duration::from_secs(2)));
        assert_eq!(suspects.0.len(), MOST);
    }
}

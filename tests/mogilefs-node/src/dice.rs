//! A small random generator (xorshift) for orders that the real server leaves to chance. It is not
//! for secrets.

/// One stream of numbers.
pub(crate) struct Dice(u64);

impl Dice {
    /// Any seed will do, also 0.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Seeded by the clock and the address of nothing in particular.
    pub(crate) fn of_the_moment() -> Self {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self::new(u64::from(since.subsec_nanos()) ^ since.as_secs() << 30)
    }

    /// The next number below `bound`; 0 where `bound` is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from((self.0 >> 11) % bound).unwrap_or(0)
    }

    /// Fisher and Yates.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for n in (1..items.len()).rev() {
            items.swap(n, self.below(n + 1));
        }
    }
}

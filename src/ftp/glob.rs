//! Patterns of names, as shells have them: `*`, `?`, `[a-z]`, `[!x]`, and `\` before a byte that is
//! to be taken as it is. One pass with one way back, so that no pattern costs more than its length
//! times that of the name, and patterns are short.

#[cfg(any(test, fuzzing))]
thread_local! {
    /// How many bytes of patterns were looked at.
    pub(super) static LOOKS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The longest pattern, in bytes.
pub(super) const LONGEST: usize = 256;

/// Whether `name` has a byte that makes it a pattern.
pub(super) fn is_pattern(name: &[u8]) -> bool {
    name.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

/// What every name begins with that `pattern` means.
pub(super) fn beginning(pattern: &[u8]) -> &[u8] {
    let end = pattern
        .iter()
        .position(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'));
    pattern
        .get(..end.unwrap_or(pattern.len()))
        .unwrap_or_default()
}

/// Whether the whole of `name` is what `pattern` means.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut rest, mut left) = (pattern, name);
    // Where no bracket can close a set any more: to look for one again and again would take long.
    let last_close = pattern.iter().rposition(|&byte| byte == b']');
    let open_end = pattern.len() - last_close.unwrap_or(0);
    // What follows the last star, and what of the name it has not swallowed yet.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        looked();
        if let Some((b'*', after)) = rest.split_first() {
            retry = Some((after, left));
            rest = after;
            continue;
        }
        let step = match left.split_first() {
            None if rest.is_empty() => return true,
            None => return false,
            Some((byte, others)) => one(rest, *byte, open_end).map(|after| (after, others)),
        };
        if let Some((after, others)) = step {
            (rest, left) = (after, others);
            continue;
        }
        let Some((after, swallowed)) = retry else {
            return false;
        };
        let Some((_, others)) = swallowed.split_first() else {
            return false;
        };
        retry = Some((after, others));
        (rest, left) = (after, others);
    }
}

/// What follows the first element of `pattern` (which is no star), if that element means `byte`; no
/// set ends within the last `open_end` bytes.
fn one(pattern: &[u8], byte: u8, open_end: usize) -> Option<&[u8]> {
    match pattern {
        [b'?', after @ ..] => Some(after),
        [b'[', set @ ..] if pattern.len() > open_end => match class(set, byte) {
            Some((true, after)) => Some(after),
            Some((false, _)) => None,
            // Never closed: the bracket itself.
            None => (byte == b'[').then_some(set),
        },
        [b'\\', escaped, after @ ..] => (*escaped == byte).then_some(after),
        [literal, after @ ..] => (*literal == byte).then_some(after),
        [] => None,
    }
}

/// Whether `byte` is in the set that `pattern` begins with (behind its `[`), and what follows it.
fn class(pattern: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (negated, mut rest) = match pattern {
        [b'!' | b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let (mut found, mut first) = (false, true);
    loop {
        looked();
        rest = match rest {
            [b']', after @ ..] if !first => return Some((found != negated, after)),
            [low, b'-', high, after @ ..] if *high != b']' => {
                found |= (*low..=*high).contains(&byte);
                after
            }
            [member, after @ ..] => {
                found |= *member == byte;
                after
            }
            [] => return None,
        };
        first = false;
    }
}

/// Counts, for who checks that the work stays in proportion.
fn looked() {
    #[cfg(any(test, fuzzing))]
    LOOKS.set(LOOKS.get() + 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_to_a_shell() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", ".hidden", true),
            ("", "", true),
            ("", "a", false),
            ("*.jpg", "a.jpg", true),
            ("*.jpg", "a.jpg.txt", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("a**b", "ab", true),
            ("?", "a", true),
            ("?", "", false),
            ("a?c", "abc", true),
            ("[abc]x", "bx", true),
            ("[a-c]x", "dx", false),
            ("[!a-c]x", "dx", true),
            ("[^a]x", "ax", false),
            ("[]a]", "]", true),
            ("[a-]", "-", true),
            ("a[1", "a[1", true),
            ("a[1", "a1", false),
            (r"\*", "*", true),
            (r"\*", "a", false),
            ("100%.*", "100%.jpg", true),
            ("{a,b}", "a", false),
            ("{a,b}", "{a,b}", true),
        ] {
            let found = matches(pattern.as_bytes(), name.as_bytes());
            assert_eq!(found, expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_begins_with_what_means_itself() {
        for (pattern, expected) in [
            ("*.jpg", ""),
            ("img-[0-9]", "img-"),
            ("a?", "a"),
            ("a\\*", "a"),
            ("plain", "plain"),
        ] {
            assert_eq!(beginning(pattern.as_bytes()), expected.as_bytes());
        }
    }

    #[test]
    fn no_pattern_is_slow() {
        let pattern = "a*".repeat(LONGEST / 2);
        let name = format!("{}b", "a".repeat(4096));
        assert!(!matches(format!("{pattern}c").as_bytes(), name.as_bytes()));
    }

    #[test]
    fn brackets_that_are_never_closed_cost_no_more_than_others() {
        for pattern in ["[".repeat(128), "[]".repeat(64), "[!".repeat(64)] {
            let pattern = format!("*{}x", &pattern[..128]);
            let name = "[".repeat(255);
            LOOKS.set(0);
            matches(pattern.as_bytes(), name.as_bytes());
            assert!(LOOKS.get() <= 4 * 256 * 256, "{} {pattern}", LOOKS.get());
        }
    }
}

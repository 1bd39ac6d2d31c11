//! Which word was meant: for errors about misspelt names. Knows no names of its own.
#![forbid(unsafe_code)]

/// The one of `words` that `written` is most likely a misspelling of.
pub(super) fn nearest<'a>(
    written: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = written.to_ascii_lowercase();
    let most = (written.chars().count() / 3).clamp(1, 3);
    words
        .into_iter()
        .map(|word| (distance(&written, word), word))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, word)| word)
}

/// How many letters must be put in, left out or exchanged to make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (to, above) in b.chars().zip(row.iter().skip(1)) {
            left = (left + 1)
                .min(above + 1)
                .min(diagonal + usize::from(from != to));
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_is_recognised_and_a_foreign_one_is_not() {
        let words = ["listen_port", "listen_addr", "low_port", "sep"];
        for (written, meant) in [
            ("listen_prot", Some("listen_port")),
            ("Listen_Port", Some("listen_port")),
            ("listenport", Some("listen_port")),
            ("lowport", Some("low_port")),
            ("spe", None),
            ("se", Some("sep")),
            ("masquerade", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, words), meant, "{written}");
        }
    }
}

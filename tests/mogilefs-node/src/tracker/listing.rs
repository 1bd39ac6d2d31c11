//! list_keys and list_fids.

use super::Call;
use crate::codec::{Answer, count, field, is_true, number, refuse};
use crate::door::lock;
use crate::store::{Check, check};

/// What a limit that was sent comes to.
#[derive(Debug, PartialEq, Eq)]
enum Limit {
    Keys(usize),
    /// Not one that the data base takes.
    Refused,
}

pub(super) fn keys(call: &mut Call<'_>) -> Answer {
    let node = call.node;
    let state = lock(&node.state);
    let domain = call.domain(&state)?.id;
    let prefix = call.args.get("prefix").unwrap_or_default();
    let after = call.args.get("after").unwrap_or_default();
    if !prefix.is_empty() && is_true(after) {
        match check(prefix, after) {
            Check::Fits => {}
            Check::Mismatch => return Err(refuse("after_mismatch")),
            Check::Broken => return Err(call.die("list_keys", "the pattern does not compile")),
        }
    }
    let Limit::Keys(limit) = limit(call.args.get("limit"), state.flavour.mysql) else {
        return Err(call.die("list_keys", "the limit is no limit"));
    };
    if state.flavour.mysql && std::str::from_utf8(after).is_err() {
        return Err(refuse("none_match"));
    }
    let found = state.list(domain, prefix, after, limit, state.like());
    drop(state);
    // The highest by bytes, which need not be the last of the page.
    let next = found
        .iter()
        .max()
        .cloned()
        .ok_or_else(|| refuse("none_match"))?;
    let mut fields = vec![count("key_count", found.len()), field("next_after", next)];
    fields.extend((1..).zip(found).map(|(n, key)| (format!("key_{n}"), key)));
    Ok(fields)
}

/// Missing and 0 are 1000, which is the most; below 0 SQLite has no limit and MariaDB an error; a
/// fraction is an error, and text is 0 keys.
fn limit(sent: Option<&[u8]>, mysql: bool) -> Limit {
    const MOST: usize = 1000;
    let Some(sent) = sent.filter(|sent| is_true(sent)) else {
        return Limit::Keys(MOST);
    };
    let limit = number(sent);
    if limit.fract() != 0.0 {
        return Limit::Refused;
    }
    if limit < 0.0 {
        return if mysql {
            Limit::Refused
        } else {
            Limit::Keys(usize::MAX)
        };
    }
    Limit::Keys(
        usize::try_from(crate::codec::whole(limit))
            .unwrap_or(MOST)
            .min(MOST),
    )
}

pub(super) fn fids(call: &mut Call<'_>) -> Answer {
    const MOST: u64 = 500;
    let wanted = if call.args.truth("to").is_some() {
        call.args.whole("to")
    } else {
        100
    };
    let wanted = usize::try_from(wanted.min(MOST)).unwrap_or(0);
    let node = call.node;
    let state = lock(&node.state);
    let found = state.files_above(call.args.whole("from"), wanted);
    let mut fields = vec![count("fid_count", found.len())];
    for (n, file) in (1..).zip(found) {
        let domain = state.domains.get(&file.domain);
        let class = domain.and_then(|domain| domain.class_with(file.class));
        let (Some(domain), Some(class)) = (domain, class) else {
            return Err(call.die("list_fids", "the class is not there"));
        };
        fields.push(count(&format!("fid_{n}_fid"), file.fid));
        fields.push(field(&format!("fid_{n}_domain"), &domain.name));
        fields.push(field(&format!("fid_{n}_class"), class.name));
        fields.push(field(&format!("fid_{n}_key"), &file.key));
        fields.push(count(&format!("fid_{n}_length"), file.length));
        fields.push(count(&format!("fid_{n}_devcount"), file.copies.len()));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_what_perl_and_the_data_base_make_of_them() {
        for (sent, mysql, expected) in [
            (None, false, Limit::Keys(1000)),
            (Some("0"), false, Limit::Keys(1000)),
            (Some("7"), false, Limit::Keys(7)),
            (Some("5000"), true, Limit::Keys(1000)),
            (Some("-1"), false, Limit::Keys(usize::MAX)),
            (Some("-1"), true, Limit::Refused),
            (Some("abc"), false, Limit::Keys(0)),
            (Some("1.5"), false, Limit::Refused),
        ] {
            assert_eq!(
                limit(sent.map(str::as_bytes), mysql),
                expected,
                "{sent:?} {mysql}"
            );
        }
    }
}

//! Text for logs, titles and the status: nothing that came from outside breaks a line or forges a
//! field, and nothing of it is lost.

use crate::text::{bare, json, quoted};

/// `data`: whatever somebody wants to see in a log.
pub(super) fn text(data: &[u8]) {
    let shown = quoted(data).to_string();
    assert_eq!(unquoted(&shown).as_deref(), Some(data));
    assert_eq!(format!("\"{}\"", bare(data)), shown);
    let json = json(data);
    assert!(!json.contains(char::is_control));
    let inner = json
        .strip_prefix('"')
        .and_then(|json| json.strip_suffix('"'));
    assert!(inner.is_some_and(|inner| !has_bare_quote(inner)));
}

/// Whether a quote stands there that no backslash belongs to.
fn has_bare_quote(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next().is_none() => return true,
            '"' => return true,
            _ => {}
        }
    }
    false
}

/// What `text` shows; `None` where it breaks its line or its quotes.
fn unquoted(text: &str) -> Option<Vec<u8>> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = Vec::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let meant = match c {
            '"' => return None,
            '\\' => match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'x' => {
                    let digits: String = chars.by_ref().take(2).collect();
                    bytes.push(u8::from_str_radix(&digits, 16).ok()?);
                    continue;
                }
                'u' => {
                    let inner = chars.by_ref().skip(1).take_while(|c| *c != '}');
                    char::from_u32(u32::from_str_radix(&inner.collect::<String>(), 16).ok()?)?
                }
                c => c,
            },
            c if c.is_control() => return None,
            c => c,
        };
        bytes.extend_from_slice(meant.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Some(bytes)
}

//! What a tracker answers: a line of any bytes is an answer or none, and what of it makes no sense
//! is left out. What we ask can never be more than one line, whatever name is in it.

use super::answers;
use crate::draw::Draw;
use crate::mogilefs::wire::{self, Fields, Request, taken_raw};
use crate::mogilefs::{Fate, Location};

/// `data`: which answer is expected, and the line that came.
pub(crate) fn tracker(data: &[u8]) {
    let mut draw = Draw(data);
    let (expected, fid) = (draw.byte(), u64::from(draw.byte()));
    let line = draw.0;
    asks(line);
    let Ok(reply) = wire::parse(line) else {
        return;
    };
    match reply.answer {
        Err(refusal) => assert!(!refusal.code.is_empty() && !refusal.code.contains(' ')),
        Ok(fields) => understands(expected % 8, fid, fields, line.len()),
    }
}

/// A request with `name` in it is one line, and is read as what was meant.
fn asks(name: &[u8]) {
    let request = Request::new("file_info")
        .with("domain", b"a b")
        .with("key", name);
    let mut wire = Vec::new();
    request.write_to("1-1", &mut wire);
    let ends = wire
        .iter()
        .filter(|byte| matches!(byte, b'\r' | b'\n'))
        .count();
    let line = wire.strip_suffix(b"\r\n").unwrap_or_default();
    assert!(ends == 2 && line.is_ascii());
    let fields = line.strip_prefix(b"file_info ").unwrap_or_default();
    let echo = wire::parse([b"OK ", fields].concat());
    let Ok(Ok(fields)) = echo.map(|reply| reply.answer) else {
        unreachable!("an echo of what we ask is an answer");
    };
    assert_eq!(fields.bytes("key"), Some(name));
    assert_eq!(fields.bytes("domain"), Some(&b"a b"[..]));
    assert!(taken_raw(name).len() <= name.len());
}

/// No answer becomes more than the line that it came in.
fn understands(expected: u8, fid: u64, mut fields: Fields, length: usize) {
    match expected {
        0 => {
            let object = answers::object(&fields);
            assert!(
                object.is_ok_and(|object| object.class.len() <= length) || fields_lack(&fields)
            );
        }
        1 => {
            let paths = answers::listed(fields, "path", "paths");
            assert!(paths.len() <= length);
            paths.iter().for_each(|url| locates(url));
        }
        2 => {
            let rows = answers::rows(fields);
            assert!(rows.len() <= length / 8, "{rows:?}");
        }
        3 => {
            if let Ok(opened) = answers::opened(&fields) {
                assert!(!opened.targets.is_empty() && opened.targets.len() <= length);
                opened
                    .targets
                    .iter()
                    .for_each(|target| locates(&target.url));
            }
        }
        4 => {
            let named: Option<u64> = fields.number("fid_fid");
            if let Fate::Committed { key, .. } = answers::fate(fields, fid) {
                assert!(named == Some(fid) && key.len() <= length);
            }
        }
        5 => {
            let domain = answers::domain(&mut fields, 1);
            assert!(domain.is_none_or(|domain| domain.classes.len() <= length));
        }
        6 => {
            let _ = answers::device(&fields, 1);
        }
        _ => {
            let keys = answers::listed(fields, "key_", "key_count");
            assert!(keys.len() <= length);
        }
    }
}

fn fields_lack(fields: &Fields) -> bool {
    let number = |name| fields.number::<u64>(name);
    number("fid").is_none() || number("length").is_none()
}

/// What is contacted is an address, and what it is asked for is one word.
fn locates(url: &str) {
    let Some(location) = Location::parse(url) else {
        return;
    };
    let address = location.address.to_string();
    let path = url
        .strip_prefix("http://")
        .and_then(|rest| rest.find('/').and_then(|at| rest.get(at..)));
    assert!(path.is_some_and(|path| path.bytes().all(|byte| byte.is_ascii_graphic())));
    let again = Location::parse(&format!("http://{address}{}", path.unwrap_or_default()));
    assert_eq!(
        again.map(|again| (again.address, again.fid)),
        Some((location.address, location.fid))
    );
}

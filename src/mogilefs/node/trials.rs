//! What a storage node answers: heads in pieces, ranges, and whole bodies over a real connection. A
//! file has as many bytes as the tracker said, or reading it is an error.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::fd::AsFd;
use std::time::Duration;

use ureq::http::{HeaderMap, HeaderValue, header};

use super::early::status;
use super::heads::answer;
use super::{Location, Nodes, content_length, content_range};
use crate::config::Config;
use crate::draw::Draw;
use crate::vigil::{self, Verdict};

/// `data`: the head of an answer, or the value of a header.
pub(crate) fn heads(data: &[u8]) {
    let whole = answer(data);
    // Wherever a packet ends: what the first part says that says anything is final.
    for end in (0..data.len()).take(512) {
        if let Some(first) = data.get(..end).and_then(answer) {
            assert_eq!(
                whole.as_ref().map(|whole| whole.modified),
                Some(first.modified)
            );
            // More came than was asked for.
            assert!(whole.is_some_and(|whole| !whole.is_kept));
            break;
        }
    }
    if let Some(status) = status(data) {
        assert!(data.starts_with(b"HTTP/1.") && status < 1000);
    }
    let Ok(value) = HeaderValue::from_bytes(data) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_LENGTH, value.clone());
    headers.insert(header::CONTENT_RANGE, value);
    if let Some(length) = content_length(&headers) {
        headers.insert(header::CONTENT_LENGTH, length.into());
        assert_eq!(content_length(&headers), Some(length));
    }
    if let Some((first, whole)) = content_range(&headers) {
        let text = format!("bytes {first}-{}/{whole}", whole.saturating_sub(1));
        if let Ok(value) = text.parse() {
            headers.insert(header::CONTENT_RANGE, value);
        }
        assert_eq!(content_range(&headers), Some((first, whole)));
    }
}

thread_local! {
    static DOOR: RefCell<Option<TcpListener>> = const { RefCell::new(None) };
}

/// `data`: what is asked for, and all that the node says before it closes.
pub(crate) fn node(data: &[u8]) {
    let mut draw = Draw(data);
    let (offset, more) = (u64::from(draw.byte() % 4), u64::from(draw.byte()) + 1);
    let (is_twice, said) = (draw.byte() % 2 == 1, draw.0.to_vec());
    let Some(door) = DOOR.with_borrow_mut(|door| match door {
        Some(door) => door.try_clone().ok(),
        None => door
            .insert(TcpListener::bind("127.0.0.1:0").ok()?)
            .try_clone()
            .ok(),
    }) else {
        return;
    };
    let Ok(address) = door.local_addr() else {
        return;
    };
    let Ok(guest) = door.try_clone() else {
        return;
    };
    let mut guests = Vec::new();
    let watch = vigil::watch(door.as_fd(), move || {
        if let Ok((mut stream, _)) = guest.accept() {
            let _ = stream.write_all(&said);
            let _ = stream.shutdown(Shutdown::Write);
            // Kept: the kernel would answer the question with a reset.
            guests.push(stream);
        }
        Verdict::Stay
    });
    let mut settings = Config::default().mogilefs;
    settings.timeout = Duration::from_millis(500);
    settings.read_timeout = Duration::from_millis(500);
    let nodes = Nodes::new(&settings);
    let url = format!("http://{address}/dev1/0/000/000/0000000007.fid");
    let Some(place) = Location::parse(&url) else {
        return;
    };
    for _ in 0..=u8::from(is_twice) {
        if let Ok(mut bytes) = nodes.get(&place, offset, offset + more) {
            let mut body = Vec::new();
            if bytes.read_to_end(&mut body).is_ok() {
                assert_eq!(body.len() as u64, more);
            }
        }
    }
    drop(watch);
}

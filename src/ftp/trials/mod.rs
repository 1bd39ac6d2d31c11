//! What must hold whatever a client sends: of its lines, of the arguments of its commands, of the
//! names in its listings, and of whole sessions.

mod lines;
mod listing;
mod session;

pub(crate) use lines::{address, command};
pub(crate) use listing::listing;
pub(crate) use session::session;

use super::ascii::{FromWire, ToWire};
pub(crate) use super::deflate::trial as deflate;
use super::glob;
use crate::draw::Draw;

/// `data`: how it is cut, and a file or what comes over the wire.
pub(crate) fn ascii(data: &[u8]) {
    let mut draw = Draw(data);
    let mut cut = Draw(draw.bytes());
    let bytes = draw.0;
    let (pieces, wire, text) = (cut.pieces(bytes), to_wire(bytes), from_wire(bytes));
    let (mut converter, mut out) = (ToWire::default(), Vec::new());
    pieces
        .iter()
        .for_each(|piece| converter.convert(piece, &mut out));
    assert_eq!(out, wire);
    let (mut converter, mut out) = (FromWire::default(), Vec::new());
    pieces
        .iter()
        .for_each(|piece| converter.convert(piece, &mut out));
    converter.end(&mut out);
    assert_eq!(out, text);
    // There and back; only a file that has CRLF already comes back as another one.
    if !bytes.windows(2).any(|pair| pair == b"\r\n") {
        assert_eq!(from_wire(&wire), bytes);
    }
}

/// The whole of a file as it goes over the wire in TYPE A.
fn to_wire(file: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    for &byte in file {
        if byte == b'\n' && wire.last() != Some(&b'\r') {
            wire.push(b'\r');
        }
        wire.push(byte);
    }
    wire
}

/// The whole of an upload as it is stored in TYPE A.
fn from_wire(wire: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    for &byte in wire {
        if byte == b'\n' && file.last() == Some(&b'\r') {
            file.pop();
        }
        file.push(byte);
    }
    file
}

/// `data`: a pattern, and a name.
pub(crate) fn glob(data: &[u8]) {
    let mut draw = Draw(data);
    let (pattern, name) = (draw.bytes(), draw.0);
    let name = name.get(..glob::LONGEST).unwrap_or(name);
    glob::LOOKS.set(0);
    let does_match = glob::matches(pattern, name);
    let most = 4 * (pattern.len() + 1) * (name.len() + 1);
    assert!(glob::LOOKS.get() <= most, "{} > {most}", glob::LOOKS.get());
    assert_eq!(does_match, means(&elements(pattern), name));
    if does_match {
        assert!(name.starts_with(glob::beginning(pattern)));
    }
    if !glob::is_pattern(pattern) && !pattern.contains(&b'\\') {
        assert_eq!(does_match, pattern == name);
    }
    let literal: Vec<u8> = name.iter().flat_map(|byte| [b'\\', *byte]).collect();
    assert!(glob::matches(&literal, name));
}

/// One element of a pattern.
enum Element {
    Star,
    /// The bytes that it means.
    One(Box<[bool; 256]>),
}

/// A pattern by its grammar.
fn elements(mut pattern: &[u8]) -> Vec<Element> {
    let mut elements = Vec::new();
    while let Some((&first, rest)) = pattern.split_first() {
        pattern = rest;
        let mut set = Box::new([false; 256]);
        match (first, rest) {
            (b'*', _) => {
                elements.push(Element::Star);
                continue;
            }
            (b'?', _) => set.fill(true),
            (b'\\', [escaped, after @ ..]) => {
                add(&mut set, *escaped..=*escaped);
                pattern = after;
            }
            (b'[', _) => match closed(rest) {
                Some((inside, after)) => {
                    *set = members(inside);
                    pattern = after;
                }
                None => add(&mut set, b'['..=b'['),
            },
            _ => add(&mut set, first..=first),
        }
        elements.push(Element::One(set));
    }
    elements
}

fn add(set: &mut [bool; 256], bytes: std::ops::RangeInclusive<u8>) {
    for byte in bytes {
        if let Some(is_in) = set.get_mut(usize::from(byte)) {
            *is_in = true;
        }
    }
}

/// What is in the brackets, and what follows them: a `]` that comes first is a member.
fn closed(set: &[u8]) -> Option<(&[u8], &[u8])> {
    let negation = usize::from(matches!(set.first(), Some(b'!' | b'^')));
    // A member that comes first may be the beginning of a range.
    let begun = set.get(negation + 1..).map(|_| negation + 1)?;
    let end = (begun..set.len()).find(|&at| set.get(at) == Some(&b']'))?;
    Some((set.get(..end)?, set.get(end + 1..)?))
}

fn members(inside: &[u8]) -> [bool; 256] {
    let (is_negated, mut rest) = match inside {
        [b'!' | b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut set = [false; 256];
    while let [low, after @ ..] = rest {
        rest = match after {
            [b'-', high, after @ ..] => {
                add(&mut set, *low..=*high);
                after
            }
            after => {
                add(&mut set, *low..=*low);
                after
            }
        };
    }
    if is_negated {
        set.map(|is_in| !is_in)
    } else {
        set
    }
}

/// Whether the elements mean the whole of `name`: all ways at once, byte by byte.
fn means(elements: &[Element], name: &[u8]) -> bool {
    let mut at = vec![false; elements.len() + 1];
    if let Some(first) = at.first_mut() {
        *first = true;
    }
    pass_stars(elements, &mut at);
    for &byte in name {
        let mut next = vec![false; elements.len() + 1];
        for (place, element) in elements.iter().enumerate() {
            if at.get(place) != Some(&true) {
                continue;
            }
            let to = match element {
                Element::Star => place,
                Element::One(set) if set.get(usize::from(byte)) == Some(&true) => place + 1,
                Element::One(_) => continue,
            };
            if let Some(to) = next.get_mut(to) {
                *to = true;
            }
        }
        at = next;
        pass_stars(elements, &mut at);
    }
    at.last() == Some(&true)
}

fn pass_stars(elements: &[Element], at: &mut [bool]) {
    for (place, element) in elements.iter().enumerate() {
        if matches!(element, Element::Star)
            && at.get(place) == Some(&true)
            && let Some(behind) = at.get_mut(place + 1)
        {
            *behind = true;
        }
    }
}

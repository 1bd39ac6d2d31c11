//! What this process is about just now, under a reference that all its lines share and a client may
//! be told. There are no threads, so what is about is one thing.
#![forbid(unsafe_code)]

use std::cell::Cell;

/// What is known of it; the reference is made when somebody wants to know it.
#[derive(Clone, Copy)]
enum State {
    None,
    Begun,
    Referred(u32),
}

thread_local! {
    static STATE: Cell<State> = const { Cell::new(State::None) };
}

/// Something that is about until this is dropped.
#[must_use]
#[derive(Debug)]
pub struct Errand(());

/// From now on lines of the log that do not say whose they are carry a reference.
pub fn errand() -> Errand {
    STATE.set(State::Begun);
    Errand(())
}

impl Drop for Errand {
    fn drop(&mut self) {
        STATE.set(State::None);
    }
}

/// Six hexadecimal digits to find the lines by that belong together; new ones if nothing is about.
#[must_use]
pub fn reference() -> String {
    let number = match STATE.get() {
        State::Referred(number) => number,
        State::None => random(),
        State::Begun => {
            let number = random();
            STATE.set(State::Referred(number));
            number
        }
    };
    format!("{number:06x}")
}

fn random() -> u32 {
    getrandom::u32().unwrap_or_default() & 0xff_ffff
}

/// `text` with the reference of what is about behind the event, unless it says whose it is.
pub(super) fn referred(text: &str) -> Option<String> {
    if matches!(STATE.get(), State::None) {
        return None;
    }
    let (event, rest) = text.split_once(' ').unwrap_or((text, ""));
    let is_event = event.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    let key = rest.split('=').next().unwrap_or_default();
    let is_key = key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if !is_event || !is_key || key == "peer" || key == "ref" {
        return None;
    }
    let space = if rest.is_empty() { "" } else { " " };
    Some(format!("{event} ref={}{space}{rest}", reference()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_said_about_one_thing_has_one_reference() {
        assert_eq!(referred("node-down url=x"), None);
        assert_ne!(reference(), reference());
        let first = {
            let _errand = errand();
            let first = reference();
            assert_eq!(reference(), first);
            for (text, expected) in [
                ("node-down url=x", format!("node-down ref={first} url=x")),
                ("reloaded", format!("reloaded ref={first}")),
            ] {
                assert_eq!(referred(text), Some(expected));
            }
            first
        };
        assert_eq!(referred("node-down url=x"), None);
        let _errand = errand();
        assert_ne!(reference(), first);
    }

    #[test]
    fn what_says_whose_it_is_is_left_alone_and_so_is_what_is_no_event() {
        let _errand = errand();
        for text in [
            "login-failed peer=192.0.2.1 user=\"x\"",
            "x: PWD",
            "client: PASS xxxx",
            "a library says x=y",
            "Who knows",
        ] {
            assert_eq!(referred(text), None, "{text}");
        }
    }
}

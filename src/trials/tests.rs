//! The trials without a fuzzer: what it has found worth keeping, and changes of that by a generator
//! with a fixed seed.

use std::fs;
use std::panic;
use std::path::Path;

use super::{TRIALS, named};

/// A generator (xorshift), so that a failure can be had again.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 32).unwrap() % most.max(1)
    }

    fn byte(&mut self) -> u8 {
        const ODD: &[u8] = b"\0\r\n\x7f\x80\xff\xfe %/.*[]\\\"'|,:;-+09aZ~";
        match self.below(3) {
            0 => u8::try_from(self.below(256)).unwrap(),
            _ => ODD[self.below(ODD.len())],
        }
    }

    /// `input` with a few changes, some of them out of `other`.
    fn change(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = (at + 1 + self.below(8)).min(bytes.len());
            match self.below(5) {
                0 => bytes.insert(at, self.byte()),
                1 if at < bytes.len() => bytes[at] = self.byte(),
                2 if at < end => drop(bytes.drain(at..end)),
                3 if at < end => {
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                _ => {
                    let from = self.below(other.len() + 1);
                    let to = (from + self.below(16)).min(other.len());
                    bytes.splice(at..at, other[from..to].iter().copied());
                }
            }
        }
        bytes.truncate(4096);
        bytes
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let mut files: Vec<_> = fs::read_dir(&dir)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn holds(name: &str, changes: usize) {
    let trial = named(name).unwrap();
    let run = |input: &[u8]| {
        let ended = panic::catch_unwind(|| trial(input));
        assert!(ended.is_ok(), "{name} of {}", input.escape_ascii());
    };
    let corpus = corpus(name);
    run(b"");
    corpus.iter().for_each(|input| run(input));
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    for _ in 0..changes {
        let input = &corpus[chance.below(corpus.len())];
        let other = &corpus[chance.below(corpus.len())];
        run(&chance.change(input, other));
    }
}

macro_rules! trials {
    ($($name:ident $changes:expr,)*) => {
        $(
            #[test]
            fn $name() {
                holds(stringify!($name), $changes);
            }
        )*

        #[test]
        fn none_is_left_out() {
            let names: Vec<&str> = TRIALS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

trials! {
    command 1000,
    address 5000,
    path 5000,
    glob 3000,
    listing 3000,
    ascii 3000,
    deflate 300,
    text 5000,
    users 3000,
    config 300,
    import 1000,
    proxy 3000,
    subject 3000,
    leash 3000,
    will 3000,
    tracker 3000,
    heads 3000,
    node 300,
    session 300,
}

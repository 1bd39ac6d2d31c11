//! A disk on another host, as with NFS: what is written is taken, and only a close says that there was no room
//! for it. It is played by a file system of this process (FUSE). Needs root.
#![cfg(test)]

mod support;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use support::{Daemon, Scratch, noise, skip};

const NO_ROOM: i32 = Errno::ENOSPC as i32;

/// The root and files in it, by number; the root is 1.
#[derive(Default)]
struct Far {
    names: BTreeMap<Vec<u8>, u64>,
    files: BTreeMap<u64, Vec<u8>>,
    is_full: Arc<AtomicBool>,
}

impl Far {
    /// Mounts one at `dir`, for this thread and what it starts; it is full whenever the answer is set.
    fn at(dir: &Path) -> io::Result<Arc<AtomicBool>> {
        unshare(CloneFlags::CLONE_NEWNS)?;
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        let mut options = OpenOptions::new();
        let line = options.read(true).write(true).open("/dev/fuse")?;
        let about = format!(
            "fd={},rootmode=41777,user_id=0,group_id=0,allow_other",
            line.as_raw_fd()
        );
        let kind = Some("fuse");
        mount(Some("far"), dir, kind, MsFlags::empty(), Some(&*about))?;
        let far = Self::default();
        let is_full = Arc::clone(&far.is_full);
        thread::spawn(move || far.serve(line));
        Ok(is_full)
    }

    fn serve(mut self, mut line: File) {
        let mut block = vec![0; 1 << 18];
        while let Ok(count) = line.read(&mut block) {
            let (head, rest) = block[..count].split_at(40);
            let (command, number) = (u32_at(head, 4), u64_at(head, 16));
            let (error, answer) = match self.answer(command, number, rest) {
                None => continue,
                Some(Ok(answer)) => (0, answer),
                Some(Err(error)) => (-error, Vec::new()),
            };
            let length = u32::try_from(16 + answer.len()).unwrap();
            let mut reply = [length.to_le_bytes(), error.to_le_bytes()].concat();
            reply.extend([&head[8..16], &answer].concat());
            let _ = line.write_all(&reply);
        }
    }

    /// As linux/fuse.h numbers them.
    fn answer(&mut self, command: u32, number: u64, rest: &[u8]) -> Option<Result<Vec<u8>, i32>> {
        let name = |from: usize| {
            rest[from..]
                .split(|byte| *byte == 0)
                .next()
                .unwrap()
                .to_vec()
        };
        let opened = vec![0; 16];
        Some(Ok(match command {
            // FORGET, BATCH_FORGET, INTERRUPT
            2 | 42 | 36 => return None,
            // LOOKUP
            1 => match self.names.get(&name(0)) {
                Some(number) => self.entry(*number),
                None => return Some(Err(Errno::ENOENT as i32)),
            },
            // GETATTR
            3 => [vec![0; 16], self.attributes(number)].concat(),
            // SETATTR
            4 => {
                let size = usize::try_from(u64_at(rest, 16)).unwrap();
                if u32_at(rest, 0) & 8 != 0 {
                    self.files.get_mut(&number).unwrap().resize(size, 0);
                }
                [vec![0; 16], self.attributes(number)].concat()
            }
            // CREATE
            35 => {
                let number = self.files.last_key_value().map_or(2, |(last, _)| last + 1);
                self.names.insert(name(16), number);
                self.files.insert(number, Vec::new());
                [self.entry(number), opened].concat()
            }
            // OPEN, OPENDIR
            14 | 27 => opened,
            // READ
            15 => {
                let from = usize::try_from(u64_at(rest, 8)).unwrap();
                let bytes = self.files[&number].iter().skip(from);
                bytes.take(u32_at(rest, 16) as usize).copied().collect()
            }
            // WRITE
            16 => self.write(number, rest),
            // FLUSH
            25 if self.is_full.load(Ordering::SeqCst) => return Some(Err(NO_ROOM)),
            // FLUSH, RELEASE, RELEASEDIR
            25 | 18 | 29 => Vec::new(),
            // UNLINK
            10 => {
                self.names.remove(&name(0));
                Vec::new()
            }
            // RENAME
            12 => {
                let (from, to) = (name(8), name(8 + name(8).len() + 1));
                let number = self.names.remove(&from).unwrap();
                self.names.insert(to, number);
                Vec::new()
            }
            // INIT: version 7.31, 128 KiB at once
            26 => {
                let mut answer = vec![0; 64];
                (answer[0], answer[4], answer[22]) = (7, 31, 2);
                answer
            }
            _ => return Some(Err(Errno::ENOSYS as i32)),
        }))
    }

    fn write(&mut self, number: u64, rest: &[u8]) -> Vec<u8> {
        let from = usize::try_from(u64_at(rest, 8)).unwrap();
        let bytes = &rest[40..];
        let file = self.files.get_mut(&number).unwrap();
        file.resize(file.len().max(from + bytes.len()), 0);
        file[from..from + bytes.len()].copy_from_slice(bytes);
        rest[16..24].to_vec()
    }

    /// What a name stands for; nothing of it is to be remembered.
    fn entry(&self, number: u64) -> Vec<u8> {
        let head = [number.to_le_bytes().as_slice(), &[0; 32]].concat();
        [head, self.attributes(number)].concat()
    }

    fn attributes(&self, number: u64) -> Vec<u8> {
        let size = self.files.get(&number).map_or(0, Vec::len) as u64;
        let mode: u32 = if number == 1 { 0o41777 } else { 0o100_666 };
        let numbers = [number, size, 0, 0, 0, 0];
        let mut all: Vec<u8> = numbers.iter().flat_map(|one| one.to_le_bytes()).collect();
        let words = [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0];
        all.extend(words.iter().flat_map(|one: &u32| one.to_le_bytes()));
        all
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

#[test]
fn what_a_close_says_of_an_upload_is_heard() {
    let scratch = Scratch::new();
    let dir = scratch.open_dir("far");
    // Whoever is not root, and a container, may mount nothing; and FUSE may not be there.
    let is_full = match Far::at(&dir) {
        Ok(is_full) => is_full,
        Err(why) => return skip(&format!("no file system of our own: {why}")),
    };
    let daemon = Daemon::of_files(&[("file.root", dir.to_str().unwrap())]);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    for size in [5, 3_000_000] {
        let (old, new) = (noise(size, 1), noise(size, 2));
        is_full.store(false, Ordering::SeqCst);
        ftp.store("file", &old);
        is_full.store(true, Ordering::SeqCst);
        for command in ["STOR file", "STOR other"] {
            let (code, text) = ftp.give(command, &new);
            assert_eq!(code, 452, "{command}: {text}");
            assert!(ftp.fetch("RETR file") == old);
            ftp.expect("SIZE other", 550);
        }
        let (code, text) = ftp.give("APPE file", &new);
        assert_eq!(code, 452, "{text}");
    }
}

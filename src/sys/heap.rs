//! Memory of children. What a child allocates lies close together in pages of its own, and what its
//! master had allocated it never gives back: both would mean writing here and there into pages that
//! all processes share, and each such page is then copied. For a session this is most of its memory,
//! and much of what its birth costs. In the master, and wherever no child has been forked, this is the
//! allocator of the system.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;

use nix::libc;

/// The allocator of the program.
struct Heap {
    /// `Some` in children, who have no threads.
    own: UnsafeCell<Option<&'static mut Own>>,
}

// SAFETY: `own` is written once, by a process that has just been forked and has one thread, and used
// only where it was written: no process starts another thread (see the architecture).
#[expect(unsafe_code, reason = "the allocator is a static")]
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap {
    own: UnsafeCell::new(None),
};

/// Only addresses are reserved: so much is never used.
const RESERVED: usize = 64 << 20;

/// So much is made usable at once.
const STEP: usize = 128 << 10;

/// What is larger has pages for itself, and gives them back.
const LARGEST: usize = 1 << SHIFTS;
const SHIFTS: usize = 16;

/// So many of those are known, and given back; no session has as many.
const MOST_LARGE: usize = 64;

/// No alignment that is asked for is larger; pages are not smaller anywhere.
const PAGE: usize = 4096;

/// Sizes are rounded up to a quarter of a power of two, from 16 bytes on: 16, 32, 48, 64, 80, 96 …
const CLASSES: usize = (SHIFTS - 6) * 4 + 4;

/// What a child has. It stands at the beginning of its pages: it changes with all that is in them.
struct Own {
    start: usize,
    /// What lies before is that of the child whose child this is.
    first: usize,
    /// The first byte that was never given out, and the first that cannot be.
    next: usize,
    usable: usize,
    /// What was given back, by size; each begins with the address of the next, 0 at the end.
    free: [usize; CLASSES],
    /// What has pages for itself; 0 where there is no such piece.
    large: [usize; MOST_LARGE],
}

/// To be called in a child, at once, with no other thread there. Where there is no room the
/// allocator stays the system's.
pub(super) fn part() {
    if let Some(own) = HEAP.own() {
        own.begin();
        return;
    }
    let own = Own::reserve();
    // SAFETY: this process has one thread, and no allocation is under way.
    #[expect(unsafe_code, reason = "the one write")]
    unsafe {
        *HEAP.own.get() = own;
    }
}

/// New pages, 0 if there are none.
fn map(size: usize, rights: libc::c_int) -> usize {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping overlaps nothing.
    #[expect(unsafe_code, reason = "memory of our own")]
    let pages = unsafe { libc::mmap(ptr::null_mut(), size, rights, flags, -1, 0) };
    if pages == libc::MAP_FAILED {
        0
    } else {
        pages.expose_provenance()
    }
}

/// Makes the next of the reserved pages usable; whether that could be done.
fn open(start: usize) -> bool {
    let pages = ptr::with_exposed_provenance_mut(start);
    // SAFETY: these pages are in the mapping that `reserve` made, and nobody's yet.
    #[expect(unsafe_code, reason = "memory of our own")]
    let failed = unsafe { libc::mprotect(pages, STEP, libc::PROT_READ | libc::PROT_WRITE) };
    failed == 0
}

/// The class of a size up to [`LARGEST`], and how large its pieces are.
const fn class(size: usize) -> (usize, usize) {
    if size <= 64 {
        let index = size.div_ceil(16);
        return if index == 0 {
            (0, 16)
        } else {
            (index - 1, index * 16)
        };
    }
    // Above 64 each power of two is cut in four.
    let shift = (size - 1).ilog2() as usize;
    let quarter = 1 << (shift - 2);
    let fourth = (size - (1 << shift)).div_ceil(quarter);
    (
        (shift - 6) * 4 + fourth + 3,
        (1 << shift) + fourth * quarter,
    )
}

impl Own {
    fn reserve() -> Option<&'static mut Self> {
        let start = map(RESERVED, libc::PROT_NONE);
        if start == 0 || !open(start) {
            return None;
        }
        let first = start + size_of::<Self>().next_multiple_of(16);
        let own = ptr::with_exposed_provenance_mut::<Self>(start);
        // SAFETY: the pages were just mapped and opened, are nobody's yet, stay as long as the process, and
        // are larger than it is.
        #[expect(unsafe_code, reason = "memory of our own")]
        unsafe {
            own.write(Self {
                start,
                first,
                next: first,
                usable: start + STEP,
                free: [0; CLASSES],
                large: [0; MOST_LARGE],
            });
            own.as_mut()
        }
    }

    /// Makes the rest of it that of a child of this process.
    fn begin(&mut self) {
        self.next = self.next.next_multiple_of(PAGE);
        self.first = self.next;
        self.free = [0; CLASSES];
        self.large = [0; MOST_LARGE];
    }

    fn has(&self, address: usize) -> bool {
        (self.first..self.start + RESERVED).contains(&address)
    }

    /// Where the piece at `address` stands, if it has pages for itself. What does not stand there,
    /// and is not in our pages, is the master's.
    fn large(&mut self, address: usize) -> Option<&mut usize> {
        self.large.iter_mut().find(|large| **large == address)
    }

    /// Pages for one piece; 0 where there are none, or where no page would do.
    fn pages(&mut self, layout: Layout) -> usize {
        if layout.align() > PAGE {
            return 0;
        }
        let pages = map(layout.size(), libc::PROT_READ | libc::PROT_WRITE);
        if let Some(room) = self.large(0) {
            *room = pages;
        }
        pages
    }

    /// A piece for `size` bytes, 0 if there is no room; whether it was never used, and is zero.
    fn take(&mut self, size: usize) -> (usize, bool) {
        let (class, size) = class(size);
        let Some(free) = self.free.get_mut(class) else {
            return (0, false);
        };
        if *free != 0 {
            let taken = *free;
            // SAFETY: what is on the list is a piece of ours that nobody uses, and begins with the
            // address of the next.
            #[expect(unsafe_code, reason = "an allocator")]
            unsafe {
                *free = ptr::with_exposed_provenance::<usize>(taken).read();
            }
            return (taken, false);
        }
        while self.next + size > self.usable {
            if self.usable + STEP > self.start + RESERVED {
                return (0, false);
            }
            if !open(self.usable) {
                return (0, false);
            }
            self.usable += STEP;
        }
        let taken = self.next;
        self.next += size;
        (taken, true)
    }

    fn give(&mut self, address: usize, size: usize) {
        let (class, _) = class(size);
        if let Some(free) = self.free.get_mut(class) {
            // SAFETY: the piece is ours, large enough for an address, and nobody uses it any more.
            #[expect(unsafe_code, reason = "an allocator")]
            unsafe {
                ptr::with_exposed_provenance_mut::<usize>(address).write(*free);
            }
            *free = address;
        }
    }
}

fn is_small(layout: Layout) -> bool {
    layout.size() <= LARGEST && layout.align() <= 16
}

impl Heap {
    #[expect(
        clippy::mut_from_ref,
        reason = "one thread, and no call is made within another"
    )]
    fn own(&self) -> Option<&mut Own> {
        // SAFETY: written before the first use, in a process with one thread; no reference to it
        // outlives the call of the allocator that asked for it, and the allocator does not call
        // itself while it holds one.
        #[expect(unsafe_code, reason = "an allocator")]
        unsafe {
            (*self.own.get()).as_deref_mut()
        }
    }
}

// SAFETY: each piece is given out once until it is given back: from the system where there is no heap
// of our own; otherwise from its pages, in pieces of at least the size that was asked for at addresses
// that 16 divides, or as pages for itself.
#[expect(unsafe_code, reason = "an allocator")]
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(own) = self.own() else {
            // SAFETY: as the caller's.
            return unsafe { System.alloc(layout) };
        };
        let address = if is_small(layout) {
            own.take(layout.size()).0
        } else {
            own.pages(layout)
        };
        ptr::with_exposed_provenance_mut(address)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(own) = self.own() else {
            // SAFETY: as the caller's.
            return unsafe { System.alloc_zeroed(layout) };
        };
        if !is_small(layout) {
            return ptr::with_exposed_provenance_mut(own.pages(layout));
        }
        let (address, is_fresh) = own.take(layout.size());
        let piece = ptr::with_exposed_provenance_mut::<u8>(address);
        if address != 0 && !is_fresh {
            // SAFETY: the piece is that large.
            unsafe { piece.write_bytes(0, layout.size()) };
        }
        piece
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        let Some(own) = self.own() else {
            // SAFETY: as the caller's.
            return unsafe { System.dealloc(piece, layout) };
        };
        let address = piece.addr();
        if own.has(address) {
            own.give(address, layout.size());
        } else if let Some(large) = own.large(address) {
            *large = 0;
            // SAFETY: these pages are ours, and nobody uses them any more.
            unsafe { libc::munmap(piece.cast(), layout.size()) };
        }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(own) = self.own() else {
            // SAFETY: as the caller's.
            return unsafe { System.realloc(piece, layout, size) };
        };
        let is_own = own.has(piece.addr());
        if is_own && size <= LARGEST && class(size) == class(layout.size()) {
            return piece;
        }
        if let Some(large) = own.large(piece.addr())
            && size > LARGEST
        {
            // SAFETY: these pages are ours; they may go elsewhere, with what is in them.
            let moved =
                unsafe { libc::mremap(piece.cast(), layout.size(), size, libc::MREMAP_MAYMOVE) };
            if moved == libc::MAP_FAILED {
                return ptr::null_mut();
            }
            *large = moved.expose_provenance();
            return moved.cast();
        }
        // SAFETY: the caller vouches for the layout; both pieces are as large as what is copied.
        unsafe {
            let fresh = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !fresh.is_null() {
                ptr::copy_nonoverlapping(piece, fresh, layout.size().min(size));
                self.dealloc(piece, layout);
            }
            fresh
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_large_enough_and_waste_little() {
        let mut last = (0, 0);
        for size in 0..=LARGEST {
            let (class, piece) = class(size);
            assert!(piece >= size && piece % 16 == 0, "{size}: {piece}");
            assert!(piece <= size.max(16) + size / 4 + 15, "{size}: {piece}");
            assert!(
                class < CLASSES && class >= last.0 && piece >= last.1,
                "{size}: {class}"
            );
            assert_eq!(class == last.0, piece == last.1 || size == 0, "{size}");
            last = (class, piece);
        }
        assert_eq!(last, (CLASSES - 1, LARGEST));
    }

    #[test]
    fn what_is_given_back_is_given_out_again_and_nothing_else() {
        let own = Own::reserve().unwrap();
        let sizes = [1, 16, 17, 100, 5000, LARGEST, 16];
        let pieces: Vec<(usize, bool)> = sizes.iter().map(|&size| own.take(size)).collect();
        for (at, &(address, is_fresh)) in pieces.iter().enumerate() {
            assert!(is_fresh && own.has(address) && address % 16 == 0);
            let end = address + sizes[at];
            let is_free = |&(other, _): &(usize, bool)| other >= end || other <= address;
            assert!(pieces.iter().all(is_free));
        }
        own.give(pieces[1].0, 16);
        own.give(pieces[6].0, 16);
        assert_eq!(own.take(9), (pieces[6].0, false));
        assert_eq!(own.take(9), (pieces[1].0, false));
        assert!(own.take(9).1);
        let mut count = 0;
        while own.take(LARGEST).0 != 0 {
            count += 1;
        }
        assert!(count > 900, "{count}");
    }

    #[test]
    fn what_was_there_before_a_childs_child_is_nobodys_to_give_back() {
        let own = Own::reserve().unwrap();
        let (before, _) = own.take(32);
        own.begin();
        assert!(!own.has(before));
        let (after, is_fresh) = own.take(32);
        assert!(is_fresh && own.has(after));
        assert_eq!(after, own.start + PAGE);
    }
}

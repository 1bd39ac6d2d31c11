//! The kernel in our words: processes, rights, signals, descriptors, sockets. The only room that
//! may hold unsafe code; each such block says why it is sound, and is one of eight: fork and what
//! belongs to it, the memory of children, the process title, descriptors that another process or
//! program handed over, the calls that take rights away and tell what is left of them, the choice of a
//! scheduler, the reading of directories, and two questions that only an ioctl answers (a socket's
//! output queue, the size of a terminal).
//!
//! Knows nothing of FTP, of configuration sections, or of what a process is for.

pub mod detach;
pub mod dirents;
pub mod fds;
mod heap;
pub mod heir;
pub mod jail;
pub mod named;
pub mod pidfile;
pub mod process;
pub mod program;
pub mod queue;
pub mod rights;
pub mod sandbox;
pub mod scheduler;
pub mod signals;
pub mod sockets;
pub mod supervisor;
pub mod terminal;
pub mod title;

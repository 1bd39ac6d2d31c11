//! What a process and its children cost, from /proc.

use std::fs;

/// Processor time in seconds: of `root`, of those of its children that live, and of those that it
/// has reaped. 0 where there is no such process.
pub(crate) fn seconds(root: u32) -> f64 {
    let mut ticks = stat(root).map_or(0, |stat| stat.own + stat.reaped);
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let child = pid.and_then(stat).filter(|stat| stat.parent == root);
        ticks += child.map_or(0, |stat| stat.own + stat.reaped);
    }
    f64::from(ticks) / 100.0
}

struct Stat {
    parent: u32,
    /// Ticks of 1/100 s.
    own: u32,
    reaped: u32,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = text.rsplit_once(") ")?;
    let field = |index| after_name.split(' ').nth(index)?.parse::<u32>().ok();
    Some(Stat {
        parent: field(1)?,
        own: field(11)? + field(12)?,
        reaped: field(13)? + field(14)?,
    })
}

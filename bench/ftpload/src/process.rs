//! What a process and all its children cost, from /proc.

use std::fs;
use std::time::Duration;

use nix::time::ClockId;

/// Processor time in seconds of `root`, of everything below it that lives, and of what those have
/// reaped. 0 where there is no such process.
pub(crate) fn seconds(root: u32) -> f64 {
    let mut tree = tree(root);
    loop {
        let running: f64 = tree.iter().map(|stat| running(stat.pid)).sum();
        let reaped: u32 = tree.iter().map(|stat| stat.reaped).sum();
        // Who is reaped just now would be counted twice, or not at all.
        let again = self::tree(root);
        if again == tree {
            return running + f64::from(reaped) / 100.0;
        }
        tree = again;
    }
}

/// Memory of `root` and everything below it in kilobytes: shared pages are divided among those who
/// share them.
pub(crate) fn kilobytes(root: u32) -> f64 {
    tree(root).iter().map(|stat| share(stat.pid)).sum()
}

/// Seconds, of all threads, also of those that have ended.
fn running(pid: u32) -> f64 {
    let pid = i32::try_from(pid).map(nix::unistd::Pid::from_raw);
    let clock = pid.map(ClockId::pid_cpu_clock_id);
    let time = clock.ok().and_then(|clock| clock.ok()?.now().ok());
    time.map_or(0.0, |time| Duration::from(time).as_secs_f64())
}

fn share(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0.0)
}

#[derive(PartialEq)]
struct Stat {
    pid: u32,
    parent: u32,
    /// Ticks of 1/100 s.
    reaped: u32,
}

fn tree(root: u32) -> Vec<Stat> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut others: Vec<Stat> = pids.filter_map(stat).collect();
    let mut tree: Vec<Stat> = others.extract_if(.., |stat| stat.pid == root).collect();
    loop {
        let is_child = |stat: &mut Stat| tree.iter().any(|one| one.pid == stat.parent);
        let children: Vec<Stat> = others.extract_if(.., is_child).collect();
        if children.is_empty() {
            return tree;
        }
        tree.extend(children);
    }
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = text.rsplit_once(") ")?;
    let field = |index| after_name.split(' ').nth(index)?.parse::<u32>().ok();
    Some(Stat {
        pid,
        parent: field(1)?,
        reaped: field(13)? + field(14)?,
    })
}

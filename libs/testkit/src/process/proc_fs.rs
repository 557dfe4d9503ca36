//! Who runs, from `/proc`.

use std::fs;

/// What of `/proc/<id>/stat` matters here.
struct Stat {
    state: char,
    parent: i32,
    group: i32,
    flags: u64,
    started: u64,
}

/// The kernel's flag for a process that is on its way out.
const EXITING: u64 = 4;
/// SIGKILL among the pending signals.
const KILLED: u64 = 1 << 8;

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the command's name, may hold anything, spaces and parentheses included.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        flags: fields.get(6)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// When the kernel started a process, in ticks since the machine started.
pub(super) fn started(pid: i32) -> Option<u64> {
    Some(stat(pid)?.started)
}

/// Whether the process of that id and start time runs. One that has ended and waits to be collected does not, nor does
/// one that was killed and has not got round to ending.
pub(super) fn is_running(pid: i32, started: u64) -> bool {
    let lives = |stat: &Stat| {
        stat.started == started && !matches!(stat.state, 'Z' | 'X') && stat.flags & EXITING == 0
    };
    stat(pid).is_some_and(|stat| lives(&stat)) && !is_killed(pid)
}

fn is_killed(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let pending = status.lines().filter_map(|line| {
        line.strip_prefix("SigPnd:")
            .or(line.strip_prefix("ShdPnd:"))
    });
    pending
        .filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .any(|mask| mask & KILLED != 0)
}

/// Whether it has not ended yet, however doomed.
pub(super) fn is_ending(pid: i32, started: u64) -> bool {
    stat(pid).is_some_and(|stat| stat.started == started && !matches!(stat.state, 'Z' | 'X'))
}

/// Whether the kernel still knows the process of that id and start time, ended or not.
pub(super) fn is_there(pid: i32, started: u64) -> bool {
    stat(pid).is_some_and(|stat| stat.started == started)
}

/// The members of a process group and the leader's children, with their start times. PostgreSQL's children have each a group of
/// its own, and where one of them is still there it does not start again.
pub(super) fn family(leader: i32) -> Vec<(i32, u64)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| {
            stat(pid)
                .filter(|stat| stat.group == leader || stat.parent == leader)
                .map(|stat| (pid, stat.started))
        })
        .collect()
}

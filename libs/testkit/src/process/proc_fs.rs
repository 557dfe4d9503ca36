//! Who runs, from `/proc`.

use std::fs;

/// What of `/proc/<id>/stat` matters here.
struct Stat {
    state: char,
    group: i32,
    started: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the command's name, may hold anything, spaces and parentheses included.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        group: fields.get(2)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// When the kernel started a process, in ticks since the machine started.
pub(super) fn started(pid: i32) -> Option<u64> {
    Some(stat(pid)?.started)
}

/// Whether the process of that id and start time runs; one that has ended and waits to be collected does not.
pub(super) fn is_running(pid: i32, started: u64) -> bool {
    stat(pid).is_some_and(|stat| stat.started == started && !matches!(stat.state, 'Z' | 'X'))
}

/// Whether the kernel still knows the process of that id and start time, ended or not.
pub(super) fn is_there(pid: i32, started: u64) -> bool {
    stat(pid).is_some_and(|stat| stat.started == started)
}

/// The members of a process group, with their start times.
pub(super) fn group(leader: i32) -> Vec<(i32, u64)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| {
            stat(pid)
                .filter(|stat| stat.group == leader)
                .map(|stat| (pid, stat.started))
        })
        .collect()
}

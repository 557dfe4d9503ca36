//! Processor time and memory of given processes, from `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use crate::Target;
use crate::report::Report;

/// Ticks per second of `/proc/<pid>/stat`; fixed by the kernel's user interface on Linux.
const TICKS: f64 = 100.0;

/// The processes that are the product.
pub(crate) const OURS: [&str; 3] = ["api", "repo-server", "controller"];

/// How often memory is looked at where the most of it is wanted; a look reads the tables of pages.
const LOOK: Duration = Duration::from_millis(250);

/// Processor seconds used so far, by name.
pub(crate) struct Usage(BTreeMap<String, f64>);

fn processes(target: &Target) -> BTreeMap<String, u32> {
    let given = target
        .processes
        .iter()
        .filter_map(|item| item.split_once('='))
        .map(|(n, p)| (n.to_owned(), p.to_owned()));
    let from_environment = std::env::vars().filter_map(|(key, pid)| {
        key.strip_prefix("NARU_PID_")
            .map(|name| (name.to_lowercase().replace('_', "-"), pid))
    });
    let mut all: BTreeMap<String, u32> = from_environment
        .filter_map(|(n, p)| Some((n, p.parse().ok()?)))
        .collect();
    if !target.processes.is_empty() {
        all.clear();
    }
    all.extend(given.filter_map(|(n, p)| Some((n, p.parse().ok()?))));
    all
}

/// A process and all its descendants (the renderer's workers belong to the repo-server).
fn family(pid: u32) -> Vec<u32> {
    let mut pids = vec![pid];
    let mut next = 0;
    while let Some(parent) = pids.get(next).copied() {
        next += 1;
        for task in fs::read_dir(format!("/proc/{parent}/task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            pids.extend(
                children
                    .split_whitespace()
                    .filter_map(|child| child.parse::<u32>().ok()),
            );
        }
    }
    pids
}

fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The command may hold spaces and parentheses: fields are counted after the last one.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().collect())
        .unwrap_or_default();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or_default()
    };
    (ticks(11) + ticks(12)) / TICKS
}

fn memory_kib(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Pss_Anon:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or_default()
}

/// What each process and its children hold in memory (Pss_Anon), in KiB, by name.
pub(crate) fn memory(target: &Target) -> BTreeMap<String, u64> {
    processes(target)
        .into_iter()
        .map(|(name, pid)| (name, family(pid).into_iter().map(memory_kib).sum()))
        .collect()
}

/// The same target, with another process of that name.
pub(crate) fn replaced(target: &Target, name: &str, pid: i32) -> Target {
    let mut processes: Vec<String> = processes(target)
        .into_iter()
        .filter(|(known, _)| known != name)
        .map(|(name, pid)| format!("{name}={pid}"))
        .collect();
    processes.push(format!("{name}={pid}"));
    Target {
        processes,
        ..target.clone()
    }
}

/// Does something, and says what these processes held at most meanwhile (Pss_Anon), in KiB.
pub(crate) async fn peak<T>(
    target: &Target,
    names: &[&str],
    work: impl Future<Output = T>,
) -> (T, u64) {
    let mut work = std::pin::pin!(work);
    let mut looks = tokio::time::interval(LOOK);
    let mut most = 0_u64;
    loop {
        tokio::select! {
            done = &mut work => return (done, most),
            _ = looks.tick() => most = most.max(held(target, names)),
        }
    }
}

/// What these processes hold in memory (Pss_Anon), in KiB.
pub(crate) fn held(target: &Target, names: &[&str]) -> u64 {
    memory(target)
        .into_iter()
        .filter(|(name, _)| names.contains(&name.as_str()))
        .map(|(_, kib)| kib)
        .sum()
}

/// What these processes hold without their children (Pss_Anon), in KiB.
pub(crate) fn alone(target: &Target, names: &[&str]) -> u64 {
    processes(target)
        .into_iter()
        .filter(|(name, _)| names.contains(&name.as_str()))
        .map(|(_, pid)| memory_kib(pid))
        .sum()
}

impl Usage {
    /// Processor seconds that our processes have used since then.
    pub(crate) fn ours(&self, target: &Target) -> f64 {
        let now = Self::now(target);
        let ours = now
            .0
            .iter()
            .filter(|(name, _)| OURS.contains(&name.as_str()));
        ours.map(|(name, used)| used - self.0.get(name).copied().unwrap_or_default())
            .sum()
    }

    /// Processor milliseconds that each process has used since then, for each of so many things.
    pub(crate) fn each(&self, target: &Target, things: usize) -> String {
        let used = |(name, now): (&String, &f64)| {
            let used = now - self.0.get(name).copied().unwrap_or_default();
            format!("{name} {:.2}", used * 1e3 / things.max(1) as f64)
        };
        let all: Vec<String> = Self::now(target).0.iter().map(used).collect();
        all.join(", ")
    }

    pub(crate) fn now(target: &Target) -> Self {
        Self(
            processes(target)
                .into_iter()
                .map(|(n, pid)| (n, family(pid).into_iter().map(cpu_seconds).sum()))
                .collect(),
        )
    }

    /// Adds what each process has used since then, and its memory now (Pss_Anon).
    pub(crate) fn report(&self, target: &Target, report: &mut Report) -> f64 {
        let now = Self::now(target);
        let mut ours = 0.0;
        for (name, used) in &now.0 {
            let used = used - self.0.get(name).copied().unwrap_or_default();
            report.add(format!("cpu seconds, {name}"), used);
            if OURS.contains(&name.as_str()) {
                ours += used;
            }
        }
        report.add("cpu seconds, ours", ours);
        let mut total = 0;
        for (name, pid) in processes(target) {
            let kib: u64 = family(pid).into_iter().map(memory_kib).sum();
            report.add(format!("memory MiB (Pss_Anon), {name}"), kib / 1024);
            if OURS.contains(&name.as_str()) {
                total += kib;
            }
        }
        report.add("memory MiB (Pss_Anon), ours", total / 1024);
        ours
    }
}

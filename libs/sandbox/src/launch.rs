//! The launcher: restricts itself for good, then becomes the child.
//!
//! `naru-repo-server sandbox worker --memory N -- PROGRAM` and `… sandbox git --write DIR --read DIR --file-size N
//! --memory N -- PROGRAM ARGUMENTS`; `… sandbox --report` says what this machine offers. Restrictions: no open files but
//! the three usual ones, no new privileges, landlock (files, TCP, signals and abstract sockets), seccomp (for a worker a
//! list of what it may do, for Git one of what it may not), resource limits. Where the kernel lacks one, the rest still
//! holds, and the report says so.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
};
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use crate::Profile;

/// Why a filter cannot be made or set.
type Refused = Box<dyn std::error::Error + Send + Sync>;

/// The argument by which the service's binary becomes the launcher.
pub const ARGUMENT: &str = "sandbox";
/// The argument that asks for the level instead of starting anything.
pub const REPORT: &str = "--report";

/// What the system's programs need to run and to find hosts.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/etc",
    "/opt",
    "/run/systemd/resolve",
    "/proc/self",
];
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"];

/// How a profile is written on the launcher's command line.
pub(super) fn arguments(profile: &Profile) -> Vec<OsString> {
    match profile {
        Profile::Worker { memory } => vec![
            "worker".into(),
            "--memory".into(),
            memory.to_string().into(),
        ],
        Profile::Git {
            writable,
            readable,
            file_size,
            memory,
        } => {
            let mut all: Vec<OsString> = vec![
                "git".into(),
                "--file-size".into(),
                file_size.to_string().into(),
                "--memory".into(),
                memory.to_string().into(),
            ];
            for folder in writable {
                all.extend(["--write".into(), folder.into()]);
            }
            for folder in readable {
                all.extend(["--read".into(), folder.into()]);
            }
            all
        }
    }
}

/// Runs the launcher with what follows [`ARGUMENT`]. Comes back only when it fails, or after a report.
///
/// # Errors
/// When the arguments are wrong, a restriction that the kernel offers cannot be set, or the program cannot be started.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> io::Result<()> {
    let mut arguments = arguments.into_iter();
    let usage = || {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "usage: sandbox worker|git [options] -- program …",
        )
    };
    let kind = arguments.next().ok_or_else(usage)?;
    if kind == REPORT {
        let level = restrict(&Profile::Worker { memory: 1 << 30 }, None)?;
        return writeln!(io::stdout(), "{level}");
    }
    let (mut memory, mut file_size, mut writable, mut readable) =
        (1 << 30, 0, Vec::new(), Vec::new());
    loop {
        let option = arguments.next().ok_or_else(usage)?;
        if option == "--" {
            break;
        }
        let value = arguments.next().ok_or_else(usage)?;
        let number = || {
            value
                .to_str()
                .and_then(|text| text.parse::<u64>().ok())
                .ok_or_else(usage)
        };
        match option.to_str() {
            Some("--memory") => memory = number()?,
            Some("--file-size") => file_size = number()?,
            Some("--write") => writable.push(PathBuf::from(value)),
            Some("--read") => readable.push(PathBuf::from(value)),
            _ => return Err(usage()),
        }
    }
    let program = arguments.next().ok_or_else(usage)?;
    let profile = match kind.to_str() {
        Some("worker") => Profile::Worker { memory },
        Some("git") => Profile::Git {
            writable,
            readable,
            file_size,
            memory,
        },
        _ => return Err(usage()),
    };
    restrict(&profile, Some(PathBuf::from(&program)))?;
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the home of child processes; exec does not come back"
    )]
    let mut command = std::process::Command::new(program);
    Err(std::os::unix::process::CommandExt::exec(
        command.args(arguments),
    ))
}

/// Restricts this process for good to what a worker may do: its pipes, its own memory and threads, the time.
///
/// # Errors
/// When a restriction that the kernel offers cannot be set: then nothing of a stranger's may be run here.
pub fn confine(memory: u64) -> io::Result<()> {
    restrict(&Profile::Worker { memory }, None).map(drop)
}

/// Restricts this process for good; says what was reached.
fn restrict(profile: &Profile, program: Option<PathBuf>) -> io::Result<String> {
    close_the_rest()?;
    limits(profile)?;
    let files = landlock(profile, program).map_err(io::Error::other)?;
    apply_seccomp(profile).map_err(io::Error::other)?;
    let files = match files {
        RulesetStatus::FullyEnforced => "full",
        RulesetStatus::PartiallyEnforced => "partial",
        RulesetStatus::NotEnforced => "none",
    };
    Ok(format!(
        "sandbox: no-new-privileges yes, seccomp yes, landlock {files}, resource limits yes"
    ))
}

fn limits(profile: &Profile) -> io::Result<()> {
    let set = |resource, limit| setrlimit(resource, limit, limit).map_err(io::Error::from);
    set(Resource::RLIMIT_CORE, 0)?;
    match profile {
        Profile::Worker { memory } => {
            // Private writable memory; address space would also count what Go only reserves.
            set(Resource::RLIMIT_DATA, *memory)?;
            set(Resource::RLIMIT_FSIZE, 0)?;
            set(Resource::RLIMIT_NOFILE, 64)
        }
        Profile::Git {
            file_size, memory, ..
        } => {
            set(Resource::RLIMIT_DATA, *memory)?;
            set(Resource::RLIMIT_FSIZE, *file_size)?;
            set(Resource::RLIMIT_CPU, 600)
        }
    }
}

fn landlock(
    profile: &Profile,
    program: Option<PathBuf>,
) -> Result<RulesetStatus, landlock::RulesetError> {
    let abi = ABI::V6;
    let base = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?;
    let ruleset = match profile {
        Profile::Worker { .. } => base
            .handle_access(AccessNet::from_all(abi))?
            .scope(Scope::from_all(abi))?
            .create()?
            .add_rules(path_beneath_rules(program, AccessFs::from_read(abi)))?,
        Profile::Git {
            writable, readable, ..
        } => base
            .scope(Scope::from_all(abi))?
            .create()?
            .add_rules(path_beneath_rules(SYSTEM, AccessFs::from_read(abi)))?
            .add_rules(path_beneath_rules(
                DEVICES,
                AccessFs::from_read(abi) | AccessFs::WriteFile,
            ))?
            .add_rules(path_beneath_rules(readable, AccessFs::from_read(abi)))?
            .add_rules(path_beneath_rules(writable, AccessFs::from_all(abi)))?,
    };
    Ok(ruleset.restrict_self()?.ruleset)
}

/// System calls that nothing we start has a use for.
const NEVER: &[i64] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_open_by_handle_at,
    libc::SYS_io_uring_setup,
];

/// All that a worker may ask of the kernel: its pipes, its own memory and threads, the time. None of these takes a path
/// but `execve`; those with a condition are in [`worker_rules`].
const WORKER_ONLY: &[i64] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_ppoll,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_mincore,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_membarrier,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_timer_create,
    libc::SYS_timer_settime,
    libc::SYS_timer_delete,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_uname,
    libc::SYS_getcwd,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Turns the launcher into the worker; landlock lets it name nothing but that one program, and as there is no `fork`
    // the worker would only replace itself.
    libc::SYS_execve,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_arch_prctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// A call with one argument such that `op` holds.
fn only_if(argument: u8, op: SeccompCmpOp, value: u64) -> Result<Vec<SeccompRule>, Refused> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Qword, op, value)?;
    Ok(vec![SeccompRule::new(vec![condition])?])
}

fn flags(bits: libc::c_int) -> u64 {
    u64::from(bits.unsigned_abs())
}

/// What a worker may do; anything else is refused. `clone3` is missing because its flags are behind a pointer, where a
/// filter cannot look; Go makes threads with `clone`.
fn worker_rules() -> Result<Rules, Refused> {
    let mut rules: Rules = WORKER_ONLY.iter().map(|call| (*call, Vec::new())).collect();
    let thread = flags(libc::CLONE_THREAD);
    let is_thread = SeccompCmpOp::MaskedEq(thread);
    rules.insert(libc::SYS_clone, only_if(0, is_thread, thread)?);
    // Memory that is shared, or grows as a stack does, is not counted against the limit on data.
    let uncounted = flags(libc::MAP_SHARED | libc::MAP_GROWSDOWN);
    let is_counted = SeccompCmpOp::MaskedEq(uncounted);
    rules.insert(libc::SYS_mmap, only_if(3, is_counted, 0)?);
    // Go interrupts its own threads. The number of the process stays the same when the launcher becomes the worker.
    let own = u64::from(std::process::id());
    rules.insert(libc::SYS_tgkill, only_if(0, SeccompCmpOp::Eq, own)?);
    // Limits are read, and never set: not its own, and not those of the process that started it.
    rules.insert(libc::SYS_prlimit64, only_if(2, SeccompCmpOp::Eq, 0)?);
    Ok(rules)
}

/// What Git and its helpers may not do.
fn git_rules() -> Result<Rules, Refused> {
    let mut rules: Rules = NEVER.iter().map(|call| (*call, Vec::new())).collect();
    // Limits of other processes.
    rules.insert(libc::SYS_prlimit64, only_if(0, SeccompCmpOp::Ne, 0)?);
    #[cfg(target_arch = "x86_64")]
    {
        let others = rules.clone().into_iter();
        rules.extend(others.map(|(call, conditions)| (call | X32, conditions)));
        // Kernels before 5.4 take these without it as well.
        let own = X32_ONLY.iter().flat_map(|call| [*call, call | X32]);
        rules.extend(own.map(|call| (call, Vec::new())));
    }
    Ok(rules)
}

/// What the number of a system call bears where it is made by the x32 interface, which a filter cannot tell from the
/// usual one by its architecture (`__X32_SYSCALL_BIT` of the kernel).
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;

/// Those of [`NEVER`] that have a number of their own there (the kernel's `syscall_64.tbl`): `kexec_load`, `ptrace`,
/// `process_vm_readv`, `process_vm_writev`.
#[cfg(target_arch = "x86_64")]
const X32_ONLY: [i64; 4] = [528, 521, 539, 540];

fn apply_seccomp(profile: &Profile) -> Result<(), Refused> {
    let refuse = || SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let (rules, others, listed) = match profile {
        Profile::Worker { .. } => (worker_rules()?, refuse(), SeccompAction::Allow),
        Profile::Git { .. } => (git_rules()?, SeccompAction::Allow, refuse()),
    };
    let filter = SeccompFilter::new(rules, others, listed, std::env::consts::ARCH.try_into()?)?;
    let program: BpfProgram = filter.try_into()?;
    // Sets no_new_privs first.
    Ok(seccompiler::apply_filter(&program)?)
}

/// Closes whatever the service had open besides the pipes: a file that one of its libraries opened without saying that
/// it ends with this process would be open in the child.
fn close_the_rest() -> io::Result<()> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        open.extend(
            entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<i32>().ok()),
        );
    }
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        // The listing's own is closed already.
        let _ = nix::unistd::close(descriptor);
    }
    Ok(())
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::{NEVER, X32, X32_ONLY, git_rules, libc};

    #[test]
    fn what_git_may_not_call_it_may_not_call_by_the_other_interface() {
        let rules = git_rules().unwrap();
        for call in NEVER {
            assert!(
                rules.contains_key(call) && rules.contains_key(&(call | X32)),
                "{call}"
            );
        }
        for call in X32_ONLY {
            assert!(
                rules.contains_key(&call) && rules.contains_key(&(call | X32)),
                "{call}"
            );
        }
        let (limits, others) = (libc::SYS_prlimit64, libc::SYS_prlimit64 | X32);
        assert_eq!(rules.get(&limits), rules.get(&others));
    }
}

//! The launcher: restricts itself for good, then becomes the child.
//!
//! `naru-repo-server sandbox worker --memory N -- PROGRAM` and `… sandbox git --write DIR --read DIR --file-size N --
//! PROGRAM ARGUMENTS`; `… sandbox --report` says what this machine offers. Restrictions: no new privileges, landlock
//! (files, TCP, signals and abstract sockets), seccomp, resource limits. Where the kernel lacks one, the rest still
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

use super::Profile;

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
        } => {
            let mut all: Vec<OsString> = vec![
                "git".into(),
                "--file-size".into(),
                file_size.to_string().into(),
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

/// Restricts this process for good; says what was reached.
fn restrict(profile: &Profile, program: Option<PathBuf>) -> io::Result<String> {
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
        Profile::Git { file_size, .. } => {
            set(Resource::RLIMIT_DATA, 4 << 30)?;
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

/// What a worker has no use for either: sockets, and processes of its own.
const WORKER_NEVER: &[i64] = &[
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
    // Its flags are behind a pointer, where a filter cannot look; Go makes threads with clone.
    libc::SYS_clone3,
    libc::SYS_execveat,
];

/// The first `execve` turns the launcher into the child and has to pass; landlock lets it name nothing but that one
/// program, and without `fork` it would only replace itself.
fn apply_seccomp(profile: &Profile) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        NEVER.iter().map(|call| (*call, Vec::new())).collect();
    if matches!(profile, Profile::Worker { .. }) {
        rules.extend(WORKER_NEVER.iter().map(|call| (*call, Vec::new())));
        let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
        let not_a_thread = SeccompCondition::new(
            0,
            SeccompCmpArgLen::Qword,
            SeccompCmpOp::MaskedEq(thread),
            0,
        )?;
        rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![not_a_thread])?]);
    }
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        refuse,
        std::env::consts::ARCH.try_into()?,
    )?;
    let program: BpfProgram = filter.try_into()?;
    // Sets no_new_privs first.
    Ok(seccompiler::apply_filter(&program)?)
}

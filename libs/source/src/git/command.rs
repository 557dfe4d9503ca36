//! The `git` command as a sandboxed child: fetching, and listing refs where HTTP does not reach.

use std::ffi::OsString;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use domain::cause::Cause;
use domain::message;
use domain::secret::Secret;
use sandbox::{Job, MAX_OUTPUT, Profile, Sandbox, SandboxError};
use tempfile::TempDir;
use tokio::process::ChildStdin;

use super::access::{Access, Scheme};
use super::places::late;
use super::refs::{Listing, Refs, Refused, is_commit};
use crate::error::{self, Error, Kind};

/// SIGXFSZ: a file grew over the limit.
const FILE_SIZE_SIGNAL: i32 = 25;

/// How much memory each process of a listing may write to, and of what reads settings, in bytes: 200 bytes or so for each
/// ref that a server tells of, the requests for merging of a large repository among them.
const LISTING: u64 = 256 << 20;
const READING: u64 = 256 << 20;
/// The most bytes of a listing that are read: more than as many refs as are taken have.
const MAX_LISTED: u64 = 32 << 20;

/// What old histories carry, and what harms nobody who only reads.
const HARMLESS: [&str; 5] = [
    "zeroPaddedFilemode",
    "badTimezone",
    "missingSpaceBeforeDate",
    "badFilemode",
    "missingTaggerEntry",
];

/// What a call may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The largest file that it may write, in bytes.
    pub(super) file_size: u64,
    /// How much memory each of its processes may write to, in bytes.
    pub(super) memory: u64,
    /// Whether it waits until the disk has what it wrote.
    pub(super) forced: bool,
}

/// One call of `git`: a private folder with its settings and credential, gone when this is dropped.
#[derive(Debug)]
pub(super) struct Call<'a> {
    sandbox: &'a Sandbox,
    access: &'a Access,
    private: TempDir,
    environment: Vec<(&'static str, OsString)>,
    deadline: Duration,
    bounds: Bounds,
}

impl<'a> Call<'a> {
    /// Writes down what `git` may know, readable by nobody else.
    pub(super) fn prepare(
        sandbox: &'a Sandbox,
        access: &'a Access,
        addresses: &[SocketAddr],
        temporary: &Path,
        deadline: Duration,
        bounds: Bounds,
    ) -> Result<Self, Error> {
        let private = tempfile::Builder::new()
            .prefix("git-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir_in(temporary)
            .map_err(Error::disk)?;
        let mut call = Self {
            sandbox,
            access,
            private,
            environment: Vec::new(),
            deadline,
            bounds,
        };
        call.write_settings(addresses).map_err(Error::disk)?;
        Ok(call)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.private.path().join(name)
    }

    fn put(&self, name: &str, content: &[u8], mode: u32) -> std::io::Result<PathBuf> {
        let path = self.path(name);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)?;
        file.write_all(content)?;
        Ok(path)
    }

    fn write_settings(&mut self, addresses: &[SocketAddr]) -> std::io::Result<()> {
        let (login, credentials) = (&self.access.login, &self.access.login.credentials);
        let mut settings = Settings::default();
        settings
            .section("core")
            .set("hooksPath", "/dev/null")
            .set("fsmonitor", "false")
            .set("pager", "cat");
        if !self.bounds.forced {
            settings.section("core").set("fsync", "none");
        }
        settings.section("gc").set("auto", "0");
        settings.section("maintenance").set("auto", "false");
        settings
            .section("fetch")
            .set("fsckObjects", "true")
            .set("writeCommitGraph", "false")
            .set("unpackLimit", "1");
        let harmless = settings.section("fetch \"fsck\"");
        for flaw in HARMLESS {
            harmless.set(flaw, "ignore");
        }
        // A file that is larger goes through memory in pieces rather than as a whole, and no delta of it is sought.
        settings.section("core").set("bigFileThreshold", "64m");
        // Else as many as half of the machine's cores, whatever part of them is ours: each has a stack of 8 MiB, and the file
        // that it puts together besides what that is a change of.
        settings.section("pack").set("threads", "4");
        settings.section("submodule").set("recurse", "false");
        settings.section("credential").set("helper", "");
        settings.section("advice").set("objectNameWarning", "false");
        settings.section("protocol").set("allow", "never");
        let allowed: &[&str] = match self.access.scheme {
            Scheme::Http => &["http", "https"],
            Scheme::Ssh => &["ssh"],
            Scheme::File => &["file"],
        };
        for protocol in allowed {
            settings
                .section(&format!("protocol \"{protocol}\""))
                .set("allow", "always");
        }
        settings
            .section("remote \"origin\"")
            .set("url", &self.access.url);
        if self.access.scheme == Scheme::File {
            settings.section("safe").set("directory", "*");
        }
        settings
            .section("http")
            .set("followRedirects", "false")
            .set("sslVerify", if login.insecure { "false" } else { "true" });
        if let Some(proxy) = &self.access.through {
            settings
                .section("http")
                .set("proxy", proxy.url.expose_str())
                .set("proxyAuthMethod", "basic");
        }
        if self.access.scheme == Scheme::Http
            && let Some((host, port)) = self.access.connects_to()
            && host.parse::<IpAddr>().is_err()
        {
            let pinned: Vec<String> = addresses
                .iter()
                .map(|address| match address.ip() {
                    IpAddr::V6(ip) => format!("[{ip}]"),
                    IpAddr::V4(ip) => ip.to_string(),
                })
                .collect();
            let pinned = format!("{host}:{port}:{}", pinned.join(","));
            settings.section("http").set("curloptResolve", &pinned);
        }
        if !login.tls_ca.is_empty() {
            let file = self.put("ca.pem", login.tls_ca.as_bytes(), 0o600)?;
            settings
                .section("http")
                .set("sslCAInfo", &file.to_string_lossy());
        }
        if let Some(key) = &credentials.tls_client_key {
            let cert = self.put("client.pem", credentials.tls_client_cert.as_bytes(), 0o600)?;
            let key = self.put("client.key", key.expose(), 0o600)?;
            settings
                .section("http")
                .set("sslCert", &cert.to_string_lossy())
                .set("sslKey", &key.to_string_lossy());
        }
        if let Some(token) = &credentials.bearer_token {
            settings.section("http").set(
                "extraHeader",
                &format!("Authorization: Bearer {}", token.expose_str()),
            );
        } else if let Some(password) = &credentials.password
            && !credentials.username.is_empty()
            && self.access.scheme == Scheme::Http
        {
            // With the first request, as where refs are listed. Else it would be refused that one, and start a helper to be told.
            let login = [credentials.username.as_bytes(), b":", password.expose()].concat();
            settings.section("http").set(
                "extraHeader",
                &format!("Authorization: Basic {}", BASE64_STANDARD.encode(login)),
            );
        }
        if !credentials.username.is_empty() && self.access.scheme == Scheme::Http {
            settings
                .section("credential")
                .set("username", &credentials.username);
        }
        let settings = self.put("settings", settings.text.as_bytes(), 0o600)?;
        let home = self.private.path().to_owned();
        self.set("HOME", &home);
        self.set("GIT_CONFIG_GLOBAL", &settings);
        for (name, value) in [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_PROTOCOL_FROM_USER", "0"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_CEILING_DIRECTORIES", "/"),
        ] {
            self.set(name, Path::new(value));
        }
        self.set_askpass(credentials.password.as_ref())?;
        if self.access.scheme == Scheme::Ssh {
            self.set_ssh(addresses)?;
        }
        Ok(())
    }

    fn set(&mut self, name: &'static str, value: &Path) {
        self.environment.push((name, value.as_os_str().to_owned()));
    }

    /// The password goes from a file to git through a helper of two shell built-ins: on no command line, in no
    /// environment, in no setting.
    fn set_askpass(&mut self, password: Option<&Secret>) -> std::io::Result<()> {
        let Some(password) = password else {
            self.set("GIT_ASKPASS", Path::new("/bin/false"));
            return Ok(());
        };
        self.put("password", password.expose(), 0o600)?;
        let helper = b"#!/bin/sh\ncase \"$1\" in [Uu]sername*) echo git ;; *) IFS= read -r line <\"${0%/*}/password\"; printf '%s\\n' \"$line\" ;; esac\n";
        let helper = self.put("askpass", helper, 0o700)?;
        self.set("GIT_ASKPASS", &helper);
        Ok(())
    }

    fn set_ssh(&mut self, addresses: &[SocketAddr]) -> std::io::Result<()> {
        let login = &self.access.login;
        let hosts = self.put(
            "known_hosts",
            format!("{}\n", login.known_hosts).as_bytes(),
            0o600,
        )?;
        let strict = if login.insecure { "no" } else { "yes" };
        let mut command = format!(
            "ssh -F none -o BatchMode=yes -o ConnectTimeout=10 -o IdentitiesOnly=yes -o GlobalKnownHostsFile=/dev/null \
             -o StrictHostKeyChecking={strict} -o UserKnownHostsFile='{}' -o ForwardAgent=no -o ControlMaster=no",
            if login.insecure {
                "/dev/null".into()
            } else {
                hosts.to_string_lossy()
            },
        );
        if let (Some((host, port)), Some(address)) = (self.access.target(), addresses.first()) {
            // Connects to the address that was judged, and knows the host by its name all the same.
            let alias = match port {
                22 => host,
                port => format!("[{host}]:{port}"),
            };
            command.push_str(&format!(
                " -o HostName={} -o HostKeyAlias='{alias}' -o CheckHostIP=no -o ProxyCommand=none",
                address.ip()
            ));
        }
        if let Some(key) = &login.credentials.ssh_private_key {
            // OpenSSH wants the last line ended.
            let mut text = key.expose().to_vec();
            if !text.ends_with(b"\n") {
                text.push(b'\n');
            }
            let file = self.put("key", &text, 0o600)?;
            command.push_str(&format!(" -i '{}'", file.to_string_lossy()));
        }
        self.environment.push(("GIT_SSH_COMMAND", command.into()));
        Ok(())
    }

    /// Fetches into a mirror: every branch and tag, or one commit.
    pub(super) async fn fetch(self, mirror: &Path, commit: Option<&str>) -> Result<(), Error> {
        let mut arguments: Vec<OsString> = vec!["--git-dir".into(), mirror.into(), "fetch".into()];
        let options = [
            "--quiet",
            "--force",
            "--no-auto-maintenance",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
        ];
        arguments.extend(options.map(OsString::from));
        match commit {
            None => {
                let options = [
                    "--prune",
                    "--no-tags",
                    "origin",
                    "+refs/heads/*:refs/heads/*",
                    "+refs/tags/*:refs/tags/*",
                ];
                arguments.extend(options.map(OsString::from));
            }
            Some(commit) => arguments.extend(["--no-tags", "origin", commit].map(OsString::from)),
        }
        let limits = (self.bounds.memory, MAX_OUTPUT);
        self.run(arguments, Some(mirror), limits).await.map(drop)
    }

    /// Lists the branches, tags and HEAD, and what begins with `more`.
    pub(super) async fn list(self, more: Option<&str>) -> Result<Refs, Error> {
        let mut arguments: Vec<OsString> = [
            "ls-remote",
            "--quiet",
            "--symref",
            "origin",
            "HEAD",
            "refs/heads/*",
            "refs/tags/*",
        ]
        .map(OsString::from)
        .into();
        arguments.extend(more.map(|more| OsString::from(format!("{more}*"))));
        let said = self.run(arguments, None, (LISTING, MAX_LISTED)).await?;
        // What was cut off says less than there is, and its last line may say what is not.
        let listed = match said.len() as u64 >= MAX_LISTED {
            true => Err(Refused::TooLarge(format!("{} MiB", MAX_LISTED >> 20))),
            false => listed(&String::from_utf8_lossy(&said)),
        };
        // What is no listing is passed over there.
        listed.map_err(|refused| refused.or(|| Error::internal("a listing that is none")))
    }

    /// Runs it with so much memory, and says as much of what it said.
    async fn run(
        self,
        arguments: Vec<OsString>,
        mirror: Option<&Path>,
        (memory, output): (u64, u64),
    ) -> Result<Vec<u8>, Error> {
        let mut writable = vec![self.private.path().to_owned()];
        writable.extend(mirror.map(Path::to_owned));
        let readable = match self.access.scheme {
            Scheme::File => vec![PathBuf::from(self.access.url.trim_start_matches("file://"))],
            Scheme::Http | Scheme::Ssh => vec![],
        };
        let job = Job {
            program: "git",
            arguments,
            environment: self.environment,
            folder: self.private.path(),
            deadline: self.deadline,
            profile: Profile::Git {
                writable,
                readable,
                file_size: self.bounds.file_size,
                memory,
            },
            output,
        };
        match self.sandbox.run(job).await {
            Ok(done) if done.success => Ok(done.stdout),
            Ok(done) => {
                let hidden: Vec<String> = [Some(self.private.path()), mirror]
                    .into_iter()
                    .flatten()
                    .map(|path| path.display().to_string())
                    .collect();
                Err(classify(
                    self.access,
                    &done.stderr,
                    done.signal,
                    self.bounds.file_size,
                    &hidden,
                ))
            }
            Err(error) => Err(unfinished(self.access, &error)),
        }
    }
}

/// Why a child did not finish.
fn unfinished(access: &Access, error: &SandboxError) -> Error {
    if let SandboxError::Deadline(after) = error {
        return late(access, *after);
    }
    let why = std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default();
    Error::internal(format!("{error}: {why}"))
}

/// Has a pack taken that `feed` gives, checked as a fetch checks it and together with what a mirror has, and put into a folder of
/// objects; says its name. All that is in it leads to what is in it or in the mirror: else it is none.
///
/// Nobody is asked for anything, so it knows no credential, and writes nothing into the mirror.
pub(super) async fn index<F: Future<Output = Result<(), Error>>>(
    sandbox: &Sandbox,
    access: &Access,
    (mirror, objects): (&Path, &Path),
    deadline: Duration,
    bounds: Bounds,
    feed: impl FnOnce(ChildStdin) -> F,
) -> Result<String, Error> {
    // As they are for a fetch.
    let mut arguments = alone(
        &["core.bigFileThreshold=64m", "pack.threads=4"],
        bounds.forced,
    );
    arguments.extend([OsString::from("--git-dir"), mirror.into()]);
    arguments.extend(["index-pack", "--stdin", "--fix-thin"].map(OsString::from));
    let harmless = HARMLESS.map(|flaw| format!("{flaw}=ignore")).join(",");
    arguments.push(format!("--strict={harmless}").into());
    arguments.push(format!("--max-input-size={}", bounds.file_size).into());
    let mut environment = unsettled();
    environment.extend([
        ("GIT_OBJECT_DIRECTORY", objects.into()),
        (
            "GIT_ALTERNATE_OBJECT_DIRECTORIES",
            mirror.join("objects").into(),
        ),
    ]);
    let job = Job {
        program: "git",
        arguments,
        environment,
        folder: objects,
        deadline,
        profile: Profile::Git {
            writable: vec![objects.to_owned()],
            readable: vec![mirror.to_owned()],
            file_size: bounds.file_size,
            memory: bounds.memory,
        },
        output: MAX_OUTPUT,
    };
    let done = sandbox.run_fed(job, feed).await;
    let (done, fed) = done.map_err(|error| unfinished(access, &error))?;
    if let Some(Err(error)) = fed {
        return Err(error);
    }
    if !done.success {
        let hidden = [objects, mirror].map(|path| path.display().to_string());
        let (said, limit) = (&done.stderr, bounds.file_size);
        let error = classify(access, said, done.signal, limit, &hidden);
        // Of what came, which is no pack that can be taken. One that was killed has not come to a judgement.
        let judged = done.signal.is_none();
        return Err(match error.kind() {
            Kind::Unreachable | Kind::Corrupt if judged => error.lasting(),
            _ => error,
        });
    }
    let said = String::from_utf8_lossy(&done.stdout);
    let name = said.strip_prefix("pack\t");
    let name = name.and_then(|name| name.strip_suffix('\n'));
    // It says more where something followed the pack, or where there is something that it could not check.
    match name.filter(|name| is_commit(name)) {
        Some(name) => Ok(name.to_owned()),
        None => Err(no_pack(access, "the pack is not all that was sent").lasting()),
    }
}

/// That no pack came that can be taken.
pub(super) fn no_pack(access: &Access, why: &str) -> Error {
    let cause = Cause::error(message::source::FETCH_FAILED.with("url", access.url()));
    // A server may have said it.
    Error::of(
        Kind::Unreachable,
        cause.evidence(evidence(access, why, &[])),
    )
}

/// How it is said that a server had something else to say than a pack.
const NO_PACK: &str = "the remote end sent no pack";

/// What a server says instead of a pack, or when it has `begun` to send one, as a cause.
pub(super) fn said_instead(access: &Access, said: &str, begun: bool, file_size: u64) -> Error {
    let what = match begun {
        true => "the remote end sent half a pack",
        false => NO_PACK,
    };
    let said = format!("remote: {said}\nfatal: {what}");
    classify(access, &said, None, file_size, &[])
}

/// The first arguments of a call for which nobody is asked for anything, with these settings.
fn alone(settings: &[&str], forced: bool) -> Vec<OsString> {
    let unforced = (!forced).then_some("core.fsync=none");
    let all = ["core.hooksPath=/dev/null"]
        .into_iter()
        .chain(settings.iter().copied())
        .chain(unforced);
    all.flat_map(|setting| ["-c", setting])
        .map(OsString::from)
        .collect()
}

/// The environment of a call that has no settings but those in its arguments.
fn unsettled() -> Vec<(&'static str, OsString)> {
    vec![
        ("GIT_CONFIG_NOSYSTEM", "1".into()),
        ("GIT_CONFIG_GLOBAL", "/dev/null".into()),
        ("GIT_CEILING_DIRECTORIES", "/".into()),
    ]
}

/// Puts packs of a mirror together, with all that is in them, and leaves those of these names as they are. Nobody is asked for
/// anything, so it knows no credential.
pub(super) async fn gather(
    sandbox: &Sandbox,
    mirror: &Path,
    large: &[String],
    deadline: Duration,
    bounds: Bounds,
) -> Result<(), Error> {
    // Not what refs lead to alone: what was pushed over may be what is deployed.
    let repack = ["repack", "--geometric=2", "-d", "-n", "--quiet"].map(str::to_owned);
    let large = large.iter().map(|name| format!("--keep-pack={name}"));
    let command: Vec<String> = repack.into_iter().chain(large).collect();
    tidy(sandbox, mirror, &command, deadline, bounds).await
}

/// Puts the refs of a mirror, which are a file each, into one.
pub(super) async fn pack_refs(
    sandbox: &Sandbox,
    mirror: &Path,
    deadline: Duration,
    bounds: Bounds,
) -> Result<(), Error> {
    let command = ["pack-refs", "--all"].map(str::to_owned);
    tidy(sandbox, mirror, &command, deadline, bounds).await
}

/// Runs a command over a mirror for which nobody is asked for anything.
async fn tidy(
    sandbox: &Sandbox,
    mirror: &Path,
    command: &[String],
    deadline: Duration,
    bounds: Bounds,
) -> Result<(), Error> {
    let Bounds {
        file_size,
        memory,
        forced,
    } = bounds;
    // What is larger is copied as it is: of a few small packs it may be very much.
    let mut arguments = alone(&["core.bigFileThreshold=1m", "pack.threads=1"], forced);
    arguments.extend([OsString::from("--git-dir"), mirror.into()]);
    arguments.extend(command.iter().map(OsString::from));
    let job = Job {
        program: "git",
        arguments,
        environment: unsettled(),
        folder: mirror,
        deadline,
        profile: Profile::Git {
            writable: vec![mirror.to_owned()],
            readable: vec![],
            file_size,
            memory,
        },
        output: MAX_OUTPUT,
    };
    let done = sandbox.run(job).await.map_err(Error::internal)?;
    match done.success {
        true => Ok(()),
        false => Err(Error::internal(done.stderr.trim())),
    }
}

/// The largest file of settings that is read, in bytes.
const MAX_SETTINGS: usize = 1 << 20;

/// What a file in the format of git's settings says, each key that a pattern names with its value; git itself reads it, and
/// nothing that it includes.
pub(super) async fn settings(
    sandbox: &Sandbox,
    (content, keys): (&[u8], &str),
    temporary: &Path,
    deadline: Duration,
) -> Result<Vec<(String, String)>, Error> {
    let unreadable = |why: &str| {
        let cause = Cause::error(message::source::SETTINGS_UNREADABLE.message());
        Error::of(Kind::Invalid, cause.evidence(why))
    };
    if content.len() > MAX_SETTINGS {
        return Err(unreadable("it is larger than 1 MiB"));
    }
    let private = tempfile::Builder::new()
        .prefix("git-")
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir_in(temporary)
        .map_err(Error::disk)?;
    std::fs::write(private.path().join("settings"), content).map_err(Error::disk)?;
    let arguments = [
        "config",
        "--file",
        "settings",
        "--no-includes",
        "--null",
        "--get-regexp",
        keys,
    ];
    let job = Job {
        program: "git",
        arguments: arguments.map(OsString::from).into(),
        environment: unsettled(),
        folder: private.path(),
        deadline,
        profile: Profile::Git {
            writable: vec![private.path().to_owned()],
            readable: vec![],
            file_size: MAX_SETTINGS as u64,
            memory: READING,
        },
        output: MAX_OUTPUT,
    };
    let done = sandbox.run(job).await.map_err(Error::internal)?;
    // Nothing that the pattern names is an answer, too.
    let silent = done.stderr.is_empty() && done.stdout.is_empty();
    if !done.success && !silent {
        return Err(unreadable(done.stderr.trim()));
    }
    if done.stdout.len() as u64 >= MAX_OUTPUT {
        return Err(unreadable("it says more than 1 MiB"));
    }
    let said = String::from_utf8_lossy(&done.stdout);
    let entries = said.split_terminator('\0');
    Ok(entries
        .filter_map(|entry| entry.split_once('\n'))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect())
}

/// A file of git's settings, values quoted.
#[derive(Default)]
struct Settings {
    text: String,
}

impl Settings {
    fn section(&mut self, name: &str) -> &mut Self {
        self.text.push_str(&format!("[{name}]\n"));
        self
    }

    fn set(&mut self, key: &str, value: &str) -> &mut Self {
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        self.text.push_str(&format!("\t{key} = \"{value}\"\n"));
        self
    }
}

fn listed(text: &str) -> Result<Refs, Refused> {
    let mut taken = Listing::default();
    for line in text.lines() {
        let Some((commit, name)) = line.split_once('\t') else {
            continue;
        };
        if let Some(target) = commit.strip_prefix("ref: ") {
            // That of a branch that is a name for another one is none of ours.
            if name == "HEAD" {
                taken.refs.head = target.to_owned();
            }
            continue;
        }
        let name = name.strip_suffix("^{}").unwrap_or(name);
        let known = name == "HEAD" || name.starts_with("refs/");
        if !known || !is_commit(commit) || (name == "HEAD" && !taken.refs.head.is_empty()) {
            continue;
        }
        match name {
            "HEAD" => taken.detached(commit)?,
            name => taken.put(name, commit)?,
        }
    }
    Ok(taken.refs)
}

/// What git says where it is the connection that ended, or the other side that sent no pack: the mirror is whole.
const CUT: &[&str] = &[
    "early EOF",
    "unexpected disconnect",
    "hung up unexpectedly",
    "transfer closed",
    "bytes of body are still expected",
    "RPC failed",
    "pack signature mismatch",
    "bad line length",
    "protocol error",
    "expected packfile",
    "pack has bad object",
    "pack is corrupted",
];

/// What git said, as a cause.
fn classify(
    access: &Access,
    stderr: &str,
    signal: Option<i32>,
    file_size: u64,
    hidden: &[String],
) -> Error {
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| stderr.contains(phrase));
    if says(&error::FULL) && !says(&["remote:"]) {
        return Error::disk(evidence(access, stderr, hidden));
    }
    let complaints = stderr
        .lines()
        .filter(|line| line.starts_with("fatal:") || line.starts_with("error:"));
    let complains = |phrases: &[&str]| {
        let mut complaints = complaints.clone();
        complaints.any(|line| phrases.iter().any(|phrase| line.contains(phrase)))
    };
    // What wrote the pack was stopped without a word of its own.
    let cut_off = says(&["invalid index-pack output"]) && complaints.clone().count() == 1;
    let (kind, code) = if signal == Some(FILE_SIZE_SIGNAL)
        || cut_off
        || says(&[
            "File too large",
            "exceeds maximum allowed size",
            "signal 25",
        ]) {
        let limit = format!("{} MiB", file_size >> 20);
        let message = message::source::TOO_LARGE
            .with("what", format!("the repository `{}`", access.url()))
            .with("limit", limit);
        return Error::new(Kind::TooLarge, message);
    } else if complains(&["Out of memory", "out of memory"]) {
        let message = message::source::TOO_LARGE
            .with("what", format!("the repository `{}`", access.url()))
            .with("limit", "a process's memory");
        return Error::new(Kind::TooLarge, message);
    } else if says(&[
        "Host key verification failed",
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
    ]) {
        (Kind::Invalid, message::source::HOST_KEY_UNKNOWN)
    } else if says(&[
        "SSL certificate",
        "server certificate",
        "certificate verif",
        "unable to get local issuer",
    ]) {
        (Kind::Invalid, message::source::CERTIFICATE_REFUSED)
    } else if says(&[
        "Authentication failed",
        "could not read Username",
        "could not read Password",
        "terminal prompts disabled",
        "returned error: 401",
        "returned error: 403",
        "Permission denied (",
        "unable to read askpass",
    ]) {
        (Kind::Denied, *access.not_let_in())
    } else if says(&[
        "Could not resolve host",
        "Connection refused",
        "Connection timed out",
        "Failed to connect",
        "Connection reset",
        "Couldn't connect",
        "Could not connect",
        "Name or service not known",
        "Network is unreachable",
        "No route to host",
        "Operation timed out",
        "returned error: 5",
    ]) {
        (Kind::Unreachable, message::source::UNREACHABLE)
    } else if says(&[
        "not our ref",
        "couldn't find remote ref",
        "unadvertised object",
    ]) {
        return Error::new(
            Kind::NotFound,
            message::source::REVISION_NOT_FOUND
                .with("url", access.url())
                .with("revision", "?"),
        )
        .lasting();
    } else if says(&["unable to update url base from redirection", "redirect"]) {
        let message = message::source::MOVED
            .with("url", access.url())
            .with("target", "?");
        return Error::of(
            Kind::Invalid,
            Cause::error(message).evidence(evidence(access, stderr, hidden)),
        );
    } else if says(&[
        "is corrupt",
        "bad object",
        "object file",
        "loose object",
        "unable to read tree",
        "not a git repository: '",
        "packfile",
        "inflate: data stream error",
        "index-pack failed",
    ]) && !says(&["remote:"])
        && !says(CUT)
    {
        (Kind::Corrupt, message::source::FETCH_FAILED)
    } else if says(&[
        "not found",
        "returned error: 404",
        "does not appear to be a git repository",
        "does not exist",
        "Could not read from remote repository",
        "not valid: is this a git repository",
    ]) {
        (Kind::NotFound, message::source::REPOSITORY_NOT_FOUND)
    } else {
        (Kind::Unreachable, message::source::FETCH_FAILED)
    };
    let error = Error::of(
        kind,
        Cause::error(code.with("url", access.url())).evidence(evidence(access, stderr, hidden)),
    );
    // The server's own word on what it was asked, and none about what it cannot reach.
    let answered = complains(&["remote error: ", NO_PACK])
        && matches!(kind, Kind::NotFound | Kind::Unreachable)
        && code.id != message::source::UNREACHABLE.id;
    match answered {
        true => error.lasting(),
        false => error,
    }
}

/// The last lines that git wrote, without secrets and without paths of ours.
fn evidence(access: &Access, stderr: &str, hidden: &[String]) -> String {
    let mut text = access.redactor().redact(stderr.trim());
    for path in hidden {
        text = text.replace(path.as_str(), "…");
    }
    let mut lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let skip = lines.len().saturating_sub(3);
    lines.drain(..skip);
    lines.join("; ").chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::super::refs::MAX_REFS;
    use super::*;
    use crate::git::{Login, Rules};

    #[test]
    fn s02_a_listing_is_what_git_says_up_to_a_size() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let text = format!(
            "ref: refs/heads/main\tHEAD\nref: refs/heads/dev\trefs/heads/alias\n{a}\tHEAD\n\
             {a}\trefs/heads/main\n{b}\trefs/tags/v1\n{a}\trefs/tags/v1^{{}}\nnothing"
        );
        let refs = listed(&text).unwrap();
        assert_eq!(refs.head, "refs/heads/main");
        assert_eq!(refs.refs.len(), 2);
        assert_eq!(refs.refs["refs/tags/v1"], a);
        let detached = listed(&format!("{b}\tHEAD\n")).unwrap();
        assert_eq!(
            (detached.head.as_str(), &detached.refs["HEAD"]),
            ("HEAD", &b)
        );
        let many = |count: usize| {
            let lines = (0..count).map(|number| format!("{a}\trefs/heads/{number}\n"));
            listed(&lines.collect::<String>())
        };
        assert_eq!(many(MAX_REFS).unwrap().refs.len(), MAX_REFS);
        assert!(matches!(many(MAX_REFS + 1), Err(Refused::TooLarge(_))));
    }

    #[test]
    fn a_login_goes_with_the_first_request_where_its_name_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::new(None);
        let settings = |url: &str, username: &str, token: Option<&str>| {
            let mut login = Login::default();
            login.credentials.username = username.to_owned();
            login.credentials.password = Some(Secret::from("hunter2"));
            login.credentials.bearer_token = token.map(Secret::from);
            let access = Access::new("t", "", url, login, Rules::default()).unwrap();
            let time = Duration::from_secs(1);
            let bounds = Bounds {
                file_size: 1,
                memory: 1,
                forced: true,
            };
            let call = Call::prepare(&sandbox, &access, &[], folder.path(), time, bounds);
            std::fs::read_to_string(call.unwrap().path("settings")).unwrap()
        };
        let basic = "\textraHeader = \"Authorization: Basic YW5uYTpodW50ZXIy\"\n";
        let known = settings("https://h/a.git", "anna", None);
        assert!(known.contains(basic), "{known}");
        let token = settings("https://h/a.git", "anna", Some("t0k3n"));
        assert!(token.contains("Bearer t0k3n") && !token.contains("Basic"));
        // The helper makes a name up, and no server but one over HTTP is told anything there.
        for (url, username) in [("https://h/a.git", ""), ("ssh://git@h/a.git", "anna")] {
            let other = settings(url, username, None);
            assert!(!other.contains("Authorization"), "{url}: {other}");
        }
    }

    #[test]
    fn what_git_says_becomes_a_typed_cause_without_the_secret() {
        let mut login = Login::default();
        login.credentials.password = Some(Secret::from("hunter2"));
        let access = Access::new("t", "", "https://h/a.git", login, Rules::default()).unwrap();
        for (stderr, code) in [
            (
                "fatal: Authentication failed for 'https://h/a.git/' hunter2",
                "source.login-refused",
            ),
            (
                "fatal: unable to access 'https://h/a.git/': Could not resolve host: h",
                "source.unreachable",
            ),
            (
                "fatal: repository 'https://h/a.git/' not found",
                "source.repository-not-found",
            ),
            (
                "fatal: unable to access: server certificate verification failed",
                "source.certificate-refused",
            ),
            (
                "error: object file objects/aa is empty",
                "source.fetch-failed",
            ),
            (
                "fatal: Out of memory, malloc failed (tried to allocate 24 bytes)",
                "source.too-large",
            ),
            (
                "remote: fatal: Out of memory\nfatal: early EOF",
                "source.fetch-failed",
            ),
        ] {
            let error = classify(&access, stderr, None, 1, &[]);
            assert_eq!(error.cause().message.code, code, "{stderr}");
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn what_a_server_answers_lasts_and_what_is_missing_of_an_answer_passes() {
        let login = Login::default();
        let access = Access::new("t", "", "https://h/a.git", login, Rules::default()).unwrap();
        let lasting = |stderr: &str| classify(&access, stderr, None, 1, &[]).is_lasting();
        for stderr in [
            "fatal: remote error: upload-pack: not our ref 1",
            "error: Server does not allow request for unadvertised object 1",
            "fatal: remote error: TF401035: The object '1' does not exist.",
            "fatal: remote error: one commit alone is not given here",
        ] {
            assert!(lasting(stderr), "{stderr}");
        }
        for stderr in [
            "fatal: unable to access 'https://h/a.git/': The requested URL returned error: 503",
            "fatal: repository 'https://h/a.git/' not found",
            "error: RPC failed; curl 18 transfer closed\nfatal: early EOF",
            "fatal: the remote end hung up unexpectedly",
            "fatal: remote error: storage: Connection timed out",
            // Whatever it says beside its answer.
            "remote: remote error: not today\nfatal: early EOF",
            "fatal: remote error: error: Authentication failed for 'https://h/a.git/'",
        ] {
            assert!(!lasting(stderr), "{stderr}");
        }
    }
}

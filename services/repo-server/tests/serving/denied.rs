//! What a worker's sandbox denies. Each call is made twice by the same program, started by the same function: without the
//! launcher, where it has to succeed, and through it, where the kernel has to refuse it.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use sandbox::{Sandbox, Worker};
use tempfile::TempDir;
use testkit::progress::Progress;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use crate::BINARY;

const MEMORY: u64 = 256 << 20;
/// What the kernel says when it refuses.
const REFUSED: [&str; 2] = ["operation not permitted", "permission denied"];

/// The program, running.
struct Probe(Worker);

impl Probe {
    fn start(program: &Path, launcher: Option<&str>) -> Self {
        let sandbox = Sandbox::new(launcher.map(PathBuf::from));
        Self(sandbox.worker(program, MEMORY).unwrap())
    }

    async fn tries(&mut self, line: &str) -> String {
        let asked = format!("{line}\n");
        self.0.stdin.write_all(asked.as_bytes()).await.unwrap();
        let mut said = String::new();
        let mut out = BufReader::new(&mut self.0.stdout);
        let read = tokio::time::timeout(Duration::from_secs(30), out.read_line(&mut said)).await;
        assert!(read.is_ok(), "nothing is said of `{line}`");
        said.trim_end().to_owned()
    }
}

/// Another process of the same user.
fn victim() -> Child {
    let mut command = Command::new("sleep");
    command.arg("600").stdin(Stdio::null()).kill_on_drop(true);
    command.spawn().unwrap()
}

/// What a try is made at; each has its own, since one that succeeds changes it.
struct Scene {
    folder: TempDir,
    tcp: TcpListener,
    udp: UdpSocket,
    _unix: UnixListener,
    victim: Child,
    /// A process that has a secret in its memory, and where.
    secret: (Probe, String),
}

impl Scene {
    async fn new(program: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("file"), "x").unwrap();
        std::os::unix::fs::symlink("file", folder.path().join("link")).unwrap();
        let mut holder = Probe::start(program, None);
        let place = holder.tries("secret").await;
        Self {
            tcp: TcpListener::bind("127.0.0.1:0").unwrap(),
            udp: UdpSocket::bind("127.0.0.1:0").unwrap(),
            _unix: UnixListener::bind(folder.path().join("socket")).unwrap(),
            victim: victim(),
            secret: (holder, place),
            folder,
        }
    }

    /// A try with its places filled in.
    fn fill(&self, line: &str) -> String {
        let path = self.folder.path().display();
        let victim = self.victim.id().unwrap();
        let holder = self.secret.1.split(' ').next().unwrap();
        line.replace("DIR", &path.to_string())
            .replace("TCP", &self.tcp.local_addr().unwrap().to_string())
            .replace("UDP", &self.udp.local_addr().unwrap().to_string())
            .replace("PLACE", &self.secret.1)
            .replace("HOLDER", holder)
            .replace("VICTIM", &victim.to_string())
            .replace("PARENT", &std::process::id().to_string())
    }
}

/// What is tried.
const TRIES: &[&str] = &[
    // Files.
    "read /etc/passwd",
    "read DIR/file",
    "read /proc/self/environ",
    "list /",
    "list DIR",
    "stat DIR/file",
    "readlink DIR/link",
    "write DIR/new",
    "write DIR/file",
    "remove DIR/file",
    "rename DIR/file DIR/other",
    "link DIR/file DIR/hard",
    "symlink /etc DIR/soft",
    "mkdir DIR/folder",
    "chmod DIR/file",
    "times DIR/file",
    "truncate DIR/file",
    "watch DIR",
    // The network.
    "tcp TCP",
    "udp UDP",
    "unix DIR/socket",
    "listen",
    "pair",
    // Programs and processes.
    "start /bin/true",
    "start /proc/self/exe",
    "fork",
    // Others.
    "kill VICTIM",
    "killthread VICTIM",
    "trace HOLDER",
    "limit VICTIM",
    "nice VICTIM",
    "pin VICTIM",
    "memory PLACE",
    "memoryfile PLACE",
    "read /proc/PARENT/environ",
    "read /proc/PARENT/maps",
    "readlink /proc/PARENT/exe",
    // Memory that its limit would not count.
    "shared",
    "segment",
    "memfd",
    // Another program in its place; it ends this one where it succeeds, and so comes last.
    "become /bin/echo",
];

#[tokio::test(flavor = "multi_thread")]
async fn s01_what_a_worker_must_not_do_succeeds_outside_of_its_sandbox_and_is_denied_in_it() {
    let program = testkit::tools::probe(&Progress::silent()).await.unwrap();
    let mut outside = Probe::start(&program, None);
    let mut inside = Probe::start(&program, Some(BINARY));
    let mut wrong = Vec::new();
    for line in TRIES {
        let scene = Scene::new(&program).await;
        let said = outside.tries(&scene.fill(line)).await;
        if said != "ok" {
            wrong.push(format!("outside, `{line}`: {said}"));
        }
        let mut scene = Scene::new(&program).await;
        let said = inside.tries(&scene.fill(line)).await;
        if !REFUSED.contains(&said.as_str()) {
            wrong.push(format!("inside, `{line}`: {said}"));
        }
        if !matches!(scene.victim.try_wait(), Ok(None)) {
            wrong.push(format!("`{line}` ended another process"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_worker_is_given_no_setting_and_no_open_file_of_the_service() {
    let program = testkit::tools::probe(&Progress::silent()).await.unwrap();
    // As a library may leave one: open in every child.
    let file = tempfile::tempfile().unwrap();
    fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let line = format!("descriptor {}", file.as_raw_fd());
    let mut outside = Probe::start(&program, None);
    assert_eq!(outside.tries(&line).await, "ok");
    let mut inside = Probe::start(&program, Some(BINARY));
    assert_eq!(inside.tries(&line).await, "bad file descriptor");
    for descriptor in ["0", "1", "2"] {
        assert_eq!(
            inside.tries(&format!("descriptor {descriptor}")).await,
            "ok"
        );
    }
    for descriptor in 3..1024 {
        let said = inside.tries(&format!("descriptor {descriptor}")).await;
        // What its own runtime waits with.
        let own = descriptor < 6 && said == "ok";
        assert!(own || said == "bad file descriptor", "{descriptor}: {said}");
    }
    assert!(
        std::env::vars_os().count() > 4,
        "there is something to take"
    );
    assert_eq!(
        inside.tries("environment").await,
        "GOMAXPROCS GOMEMLIMIT LC_ALL PATH"
    );
}

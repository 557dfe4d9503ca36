//! Machines on which `up` cannot go on: each is told in one line what is missing and what to do.
//!
//! What a machine lacks is taken away in a mount namespace of the test's own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;
use testkit::command::command;

const BINARY: &str = env!("CARGO_BIN_EXE_xtask");

/// A folder that passes for a clone, and another for the cache.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let this = Self { folder };
        std::fs::create_dir_all(this.clone().join("xtask/tools")).expect("a folder");
        std::fs::write(this.clone().join("Cargo.lock"), "").expect("a file");
        std::fs::create_dir_all(this.cache()).expect("a folder");
        this
    }

    fn clone(&self) -> PathBuf {
        self.folder.path().join("clone")
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// Runs `up` after `before`, with this path to look programs up in, and gives back its one line.
    async fn up(&self, before: &str, path: &str, arguments: &str) -> String {
        let mut shell = command("/usr/bin/unshare");
        let script = format!("{before}\nexec \"$XTASK\" up {arguments}");
        shell
            .args(["--user", "--map-root-user", "--mount", "/bin/sh", "-c"])
            .arg(script)
            .current_dir(self.clone())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.folder.path())
            .env("NARU_CACHE", self.cache())
            .env("XTASK", BINARY);
        one_line(&shell.output().await.expect("unshare of util-linux"))
    }
}

/// The one line in which a command that failed says why.
fn one_line(output: &Output) -> String {
    let all = String::from_utf8_lossy(&output.stderr);
    // Progress comes before it, each line with its time.
    let said: Vec<&str> = all.lines().filter(|line| !line.starts_with('[')).collect();
    let said = said.join("\n").trim().to_owned();
    assert!(!output.status.success(), "it cannot go on: {said}");
    assert!(
        said.starts_with("error: ") && said.lines().count() == 1,
        "one line: {said}"
    );
    said
}

/// A cache with room for everything, of which nothing is used.
const ROOMY: &str = "/bin/mount -t tmpfs -o size=20g none \"$NARU_CACHE\" || exit 99\n";
const USUAL: &str = "/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[tokio::test]
async fn without_go_it_says_where_to_get_it() {
    let machine = Machine::new();
    let mut hide = String::new();
    for folder in ["/usr/local/go", "/usr/lib/go"] {
        if Path::new(folder).is_dir() {
            hide.push_str(&format!("/bin/mount -t tmpfs none {folder} || exit 99\n"));
        }
    }
    let line = machine.up(&hide, "/nowhere", "").await;
    assert!(line.contains("Go is missing: install Go"), "{line}");
}

#[tokio::test]
async fn without_a_package_manager_it_names_the_packages() {
    let machine = Machine::new();
    // Go alone can be found; no git, no redis-server, no apt-get.
    let empty = machine.folder.path().join("bin");
    std::fs::create_dir_all(&empty).expect("a folder");
    std::fs::write(empty.join("go"), "#!/bin/sh\n").expect("a file");
    let mut hide = ROOMY.to_owned();
    for folder in ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"] {
        if Path::new(folder).is_dir() {
            hide.push_str(&format!("/bin/mount -t tmpfs none {folder} || exit 99\n"));
        }
    }
    let line = machine.up(&hide, &empty.display().to_string(), "").await;
    assert!(
        line.contains("missing on this machine: git redis-server")
            && line.contains("sudo apt-get install git"),
        "{line}"
    );
}

#[tokio::test]
async fn without_room_it_says_how_much_is_wanted_and_where() {
    let machine = Machine::new();
    let fill = "mount -t tmpfs -o size=1m none \"$NARU_CACHE\" || exit 99";
    let line = machine.up(fill, USUAL, "").await;
    assert!(
        line.contains("0 GB are free at") && line.contains("set NARU_CACHE to a folder"),
        "{line}"
    );
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let machine = Machine::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port();
    let mut up = command(BINARY);
    up.args(["up", "--infra-only", "--postgres-port", &port.to_string()])
        .current_dir(machine.clone())
        .env_remove("CARGO_MANIFEST_DIR");
    let line = one_line(&up.output().await.expect("xtask runs"));
    assert!(line.contains(&port.to_string()), "{line}");
}

//! Git over SSH: a real sshd on loopback, where a key opens one tenant's repositories and nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::unistd::{User, geteuid};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::GitHome;
use crate::command::{command, output, which};
use crate::ground::Ground;
use crate::paths;
use crate::process::Spec;

/// A running SSH server over the repositories of a [`GitHome`].
#[derive(Clone, Debug)]
pub struct SshServer {
    dir: PathBuf,
    user: String,
    port: u16,
    /// What belongs in a `known_hosts` file.
    pub known_hosts: String,
}

/// A client's key.
#[derive(Clone, Debug)]
pub struct SshKey {
    /// The private key, in OpenSSH's form.
    pub private: String,
    /// The file it is in.
    pub file: PathBuf,
}

impl SshServer {
    /// The SSH server of a folder, started now if it does not run.
    ///
    /// # Errors
    /// When sshd is not installed or does not start.
    pub async fn start(ground: &mut Ground, home: &GitHome) -> Result<Self> {
        let sshd = which("sshd", &["/usr/sbin", "/usr/local/sbin"])
            .context("sshd is missing: apt-get install openssh-server")?;
        let dir = ground.folder("git-ssh")?;
        let port = ground.port("git-ssh", "git-ssh", None)?;
        let host_key = dir.join("host_key");
        generate(&host_key).await?;
        write_gate(&dir, home)?;
        let keys = dir.join("authorized_keys");
        if !keys.exists() {
            paths::private_file(&keys, b"")?;
        }
        if geteuid().is_root() {
            // sshd wants this folder, which a service manager would have made.
            fs::create_dir_all("/run/sshd")?;
        }
        let config = dir.join("sshd_config");
        let text = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nAllowTcpForwarding no\n\
             AllowAgentForwarding no\nX11Forwarding no\nPermitTTY no\nPrintMotd no\nMaxStartups 100:30:200\n",
            host_key.display(),
            keys.display()
        );
        paths::private_file(&config, text.as_bytes())?;
        let spec = Spec::new("git-ssh", sshd)
            .arg("-D")
            .arg("-e")
            .arg("-f")
            .arg(config.to_string_lossy())
            .arg("-p")
            .arg(port.to_string());
        let (process, _) = ground.supervisor.ensure(&spec).await?;
        process
            .ready(Duration::from_secs(20), || greeting(port))
            .await?;
        let user = User::from_uid(geteuid())?
            .context("who runs this has no name")?
            .name;
        let public = fs::read_to_string(host_key.with_extension("pub"))?;
        let host: Vec<&str> = public.split_whitespace().take(2).collect();
        Ok(Self {
            dir,
            user,
            port,
            known_hosts: format!("[127.0.0.1]:{port} {}\n", host.join(" ")),
        })
    }

    /// The address of a tenant's repository.
    #[must_use]
    pub fn url(&self, tenant: &str, name: &str) -> String {
        format!(
            "ssh://{}@127.0.0.1:{}/{tenant}/{name}.git",
            self.user, self.port
        )
    }

    /// The key that opens a tenant's repositories, made now if there is none.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn key(&self, tenant: &str) -> Result<SshKey> {
        let file = self.dir.join(format!("key-{tenant}"));
        if !file.is_file() {
            generate(&file).await?;
            let public = fs::read_to_string(file.with_extension("pub"))?;
            let keys = self.dir.join("authorized_keys");
            let _lock = crate::lock::exclusive(&self.dir.join("keys.lock")).await?;
            let gate = self.dir.join("gate");
            let line = format!("command=\"{} {tenant}\",restrict {public}", gate.display());
            let all = fs::read_to_string(&keys)? + &line;
            paths::private_file(&keys, all.as_bytes())?;
        }
        Ok(SshKey {
            private: fs::read_to_string(&file)?,
            file,
        })
    }
}

async fn generate(file: &Path) -> Result<()> {
    if !file.is_file() {
        output(
            command("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", "naru-test", "-f"])
                .arg(file),
        )
        .await?;
    }
    Ok(())
}

/// The forced command: git's own restricted shell, within one tenant's folder.
fn write_gate(dir: &Path, home: &GitHome) -> Result<()> {
    let gate = dir.join("gate");
    let text = format!(
        "#!/bin/sh\n\
         # Runs what a client asked for if it is git's and about a repository of the tenant in $1.\n\
         tenant=$1\n\
         case \"$SSH_ORIGINAL_COMMAND\" in\n\
         *..*|*\\;*|*\\$*|*\\`*|*\\&*|*\\|*) echo 'not allowed' >&2; exit 1 ;;\n\
         \"git-upload-pack '/$tenant/\"*|\"git-upload-pack '$tenant/\"*) verb=git-upload-pack ;;\n\
         \"git-receive-pack '/$tenant/\"*|\"git-receive-pack '$tenant/\"*) verb=git-receive-pack ;;\n\
         *) echo 'only git fetch and push of your own repositories' >&2; exit 1 ;;\n\
         esac\n\
         path=${{SSH_ORIGINAL_COMMAND#*\\'}}\n\
         path=${{path%\\'*}}\n\
         cd '{}' || exit 1\n\
         exec $verb \"./${{path#/}}\"\n",
        home.dir().display()
    );
    fs::write(&gate, text)?;
    fs::set_permissions(&gate, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

async fn greeting(port: u16) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut start = [0; 4];
    stream.read_exact(&mut start).await?;
    if &start != b"SSH-" {
        bail!("somebody else answers on port {port}");
    }
    Ok(())
}

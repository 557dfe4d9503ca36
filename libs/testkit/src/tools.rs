//! The pinned Go tools: built from the modules in `xtask/tools` on first use, into a cache outside the clone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::command::{command, which};
use crate::lock;
use crate::paths;
use crate::progress::Progress;

/// A tool: where its pins stand, what to build, and what it calls itself.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// As `cargo xtask tool` and [`path`] know it.
    pub name: &'static str,
    /// The folder in `xtask/tools` whose `go.mod` pins it.
    pub module: &'static str,
    /// What to build.
    pub package: &'static str,
    /// The version that is pinned there.
    pub version: &'static str,
    /// Linker flags by which the binary knows its version.
    ldflags: &'static str,
}

const KUBERNETES: &str = "v1.36.3";
const KUBERNETES_FLAGS: &str = "-X k8s.io/component-base/version.gitVersion=v1.36.3 \
    -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36";

const fn kubernetes(name: &'static str, package: &'static str) -> Tool {
    Tool {
        name,
        module: "kubernetes",
        package,
        version: KUBERNETES,
        ldflags: KUBERNETES_FLAGS,
    }
}

/// Every tool, with its version.
pub const TOOLS: &[Tool] = &[
    Tool {
        name: "etcd",
        module: "etcd",
        package: "go.etcd.io/etcd/server/v3",
        version: "v3.6.6",
        ldflags: "",
    },
    kubernetes("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    kubernetes(
        "kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
    ),
    kubernetes("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    kubernetes("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    Tool {
        name: "kwok",
        module: "kwok",
        package: "sigs.k8s.io/kwok/cmd/kwok",
        version: "v0.7.0",
        ldflags: "",
    },
    Tool {
        name: "kustomize",
        module: "kustomize",
        package: "sigs.k8s.io/kustomize/kustomize/v5",
        version: "v5.8.2",
        ldflags: "",
    },
    Tool {
        name: "helm",
        module: "helm",
        package: "helm.sh/helm/v3/cmd/helm",
        version: "v3.22.0",
        ldflags: "",
    },
    Tool {
        name: "registry",
        module: "registry",
        package: "github.com/distribution/distribution/v3/cmd/registry",
        version: "v3.0.0",
        ldflags: "",
    },
    Tool {
        name: "jsonnet",
        module: "jsonnet",
        package: "github.com/google/go-jsonnet/cmd/jsonnet",
        version: "v0.21.0",
        ldflags: "",
    },
    Tool {
        name: "argocd",
        module: "argocd",
        package: "github.com/argoproj/argo-cd/v3/cmd",
        version: "v3.2.11",
        ldflags: "-X github.com/argoproj/argo-cd/v3/common.version=3.2.11",
    },
];

/// Those of which a control plane consists.
pub const CONTROL_PLANE: &[&str] = &[
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
];

/// The binary of a pinned tool, built now if it never was.
///
/// # Errors
/// When there is no such tool, no Go, or the build fails.
pub async fn path(name: &str, progress: &Progress) -> Result<PathBuf> {
    let Some(tool) = TOOLS.iter().find(|tool| tool.name == name) else {
        let known: Vec<&str> = TOOLS
            .iter()
            .map(|tool| tool.name)
            .chain(["renderer"])
            .collect();
        bail!(
            "no tool is called `{name}`: choose one of {}",
            known.join(", ")
        );
    };
    let folder = paths::cache()?
        .join("tools")
        .join(format!("{}-{}", tool.name, tool.version));
    let build = Build {
        what: format!("building {} {} (first use only)", tool.name, tool.version),
        name: tool.name,
        source: paths::clone_root()?.join("xtask/tools").join(tool.module),
        package: tool.package,
        ldflags: tool.ldflags,
    };
    build.ensure_in(&folder, progress).await
}

/// The renderer, the Go worker of the repo-server, built from the clone's own source.
///
/// # Errors
/// When there is no Go, or the build fails.
pub async fn renderer(progress: &Progress) -> Result<PathBuf> {
    own("renderer", "services/repo-server/renderer", ".", progress).await
}

/// What tells how long the renderer's libraries take alone, for benchmarks.
///
/// # Errors
/// When there is no Go, or the build fails.
pub async fn floor(progress: &Progress) -> Result<PathBuf> {
    own(
        "floor",
        "services/repo-server/renderer",
        "./floor",
        progress,
    )
    .await
}

/// What tells how kustomize reads the addresses of folders in other repositories; see its source.
///
/// # Errors
/// When there is no Go, or the build fails.
pub async fn addresses(progress: &Progress) -> Result<PathBuf> {
    own(
        "addresses",
        "services/repo-server/renderer",
        "./addresses",
        progress,
    )
    .await
}

/// A program that tries what a sandbox has to deny, and a renderer that misbehaves; see its source.
///
/// # Errors
/// When there is no Go, or the build fails.
pub async fn probe(progress: &Progress) -> Result<PathBuf> {
    own("probe", "libs/testkit/probe", ".", progress).await
}

/// A Go program of the clone's own: a package of the module in that folder.
async fn own(name: &str, folder: &str, package: &str, progress: &Progress) -> Result<PathBuf> {
    let source = paths::clone_root()?.join(folder);
    let folder = paths::cache()?
        .join("tools")
        .join(format!("{name}-{}", hash_of_module(&source)?));
    let what = format!("building the {name}");
    Build {
        what,
        name,
        source,
        package,
        ldflags: "",
    }
    .ensure_in(&folder, progress)
    .await
}

/// One name for the whole of a module's source.
fn hash_of_module(dir: &Path) -> Result<String> {
    fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
        for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let path = entry?.path();
            let counts = path
                .extension()
                .is_some_and(|end| ["go", "mod", "sum"].iter().any(|known| end == *known));
            if path.is_dir() {
                walk(&path, files)?;
            } else if counts && !path.to_string_lossy().ends_with("_test.go") {
                files.push(path);
            }
        }
        Ok(())
    }
    let mut files = Vec::new();
    walk(dir, &mut files)?;
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.strip_prefix(dir)?.as_os_str().as_encoded_bytes());
        hash.update([0]);
        hash.update(Sha256::digest(fs::read(&file)?));
    }
    Ok(hex::encode(&hash.finalize()[..8]))
}

struct Build<'a> {
    what: String,
    name: &'a str,
    source: PathBuf,
    package: &'a str,
    ldflags: &'a str,
}

impl Build<'_> {
    async fn ensure_in(&self, folder: &Path, progress: &Progress) -> Result<PathBuf> {
        let binary = folder.join(self.name);
        if binary.is_file() {
            return Ok(binary);
        }
        let cache = paths::cache()?;
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}: is the disk full?", folder.display()))?;
        fs::create_dir_all(cache.join("logs"))?;
        // Two who want the same tool at once build it once.
        let _lock = lock::exclusive(&folder.join(".lock")).await?;
        if !binary.is_file() {
            progress
                .step(&self.what, self.build(&binary, &cache))
                .await?;
        }
        Ok(binary)
    }

    async fn build(&self, binary: &Path, cache: &Path) -> Result<()> {
        let go = go()?;
        let log = cache.join("logs").join(format!("build-{}.log", self.name));
        let partial = binary.with_extension("partial");
        let out =
            fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut build = command(go);
        build
            .args(["build", "-mod=readonly", "-trimpath", "-ldflags"])
            .arg(format!("-s -w {}", self.ldflags).trim());
        build
            .arg("-o")
            .arg(&partial)
            .arg(self.package)
            .current_dir(&self.source);
        build
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "")
            .env("GOWORK", "off");
        build.stdout(Stdio::null()).stderr(out);
        let status = build.status().await.context("cannot run go")?;
        if !status.success() {
            let said = fs::read_to_string(&log).unwrap_or_default();
            let last = said
                .lines()
                .last()
                .unwrap_or("it said nothing")
                .trim()
                .to_owned();
            bail!(
                "building {} failed: {last}{} (all of it: {})",
                self.name,
                advice(&said),
                log.display()
            );
        }
        fs::rename(&partial, binary)?;
        Ok(())
    }
}

fn advice(said: &str) -> &'static str {
    if said.contains("no space left") {
        "; the disk is full: free a few GB and run this again"
    } else if said.contains("dial tcp")
        || said.contains("i/o timeout")
        || said.contains("connection refused")
    {
        "; the Go module proxy cannot be reached: check the network, or set GOPROXY"
    } else {
        ""
    }
}

/// The Go toolchain.
///
/// # Errors
/// When there is none.
pub fn go() -> Result<PathBuf> {
    let home = paths::variable("HOME").unwrap_or_default();
    let own = format!("{home}/go/bin");
    which("go", &["/usr/local/go/bin", "/usr/lib/go/bin", &own])
        .context("Go is missing: install Go 1.26 or newer (https://go.dev/dl) and put it in PATH; the cluster's binaries and the renderer are built with it")
}

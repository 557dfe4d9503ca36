//! A worker's job over one render's reader: every look goes through it, and so into its read set.

use std::collections::{HashSet, VecDeque};

use tokio::runtime::Handle;

use super::overrides::below;
use super::reader::Reader;
use super::remote;
use super::trees::{self, Trees};
use super::web;
use super::worker::{Answer, Ask, Beside, Done, Failure, Job, WorkerPool};
use crate::error::{Error, Kind};
use crate::git::{ItemKind, Node};

/// The most folders that one job is shown whole.
const MAX_OFFERED: usize = 32;
/// The most bytes of a tool's words that are read.
const MAX_SAID: usize = 4096;

/// Runs a job in a folder. Blocks; only on a thread where that is allowed. A look that was refused explains a failure
/// better than the tool can.
pub(super) fn run(
    reader: &Reader<'_, '_>,
    folder: &str,
    job: &Job,
    pool: &WorkerPool,
    runtime: &Handle,
) -> Result<Result<Done, Failure>, Error> {
    let mut refused = None;
    let mut offered = Offered {
        folders: HashSet::new(),
        deep: matches!(job, Job::Helm { .. }),
    };
    // A chart is read whole and a kustomization at least looked at, so that neither has to ask for its folder. A Jsonnet file may
    // be anywhere below its own.
    let begin = match job {
        Job::Helm { .. } | Job::Kustomize { .. } => offered.folders(reader, folder.to_owned()),
        Job::Jsonnet { .. } | Job::Details { .. } => Vec::new(),
    };
    let answer = |ask| match offered.with(reader, ask) {
        // What the tenant can mend is also what the tool is told; the rest ends the job.
        Err(error)
            if reader.before_submodule()
                || matches!(error.kind(), Kind::Invalid | Kind::Unsupported) =>
        {
            let answer = Answer {
                refused: error.cause().message.to_string(),
                ..Answer::default()
            };
            refused.get_or_insert(error);
            Ok(answer)
        }
        other => other,
    };
    match (
        runtime.block_on(pool.run(folder, job, &begin, answer))?,
        refused,
    ) {
        (Err(_), Some(refused)) => Err(refused),
        // Whatever it made of that.
        (Ok(_), Some(refused)) if reader.before_submodule() => Err(refused),
        (Err(failure), None) => Ok(Err(Failure {
            error: reader.said(&shortened(&failure.error)),
            file: match failure.file.contains(web::MARK) {
                true => reader.said(&shortened(&failure.file)),
                false => shortened(&failure.file),
            },
            feature: shortened(&failure.feature),
            ..failure
        })),
        (built, _) => Ok(built),
    }
}

/// As much of a tool's words as anybody reads, their beginning and their end; a template may make it say megabytes.
fn shortened(text: &str) -> String {
    if text.len() <= MAX_SAID {
        return text.to_owned();
    }
    let begin = text.floor_char_boundary(MAX_SAID / 2);
    let end = text.ceil_char_boundary(text.len() - MAX_SAID / 2);
    format!("{} … {}", &text[..begin], &text[end..])
}

fn letter(kind: ItemKind) -> char {
    match kind {
        ItemKind::File => 'f',
        // A submodule is a folder to tools.
        ItemKind::Folder | ItemKind::Submodule => 'd',
        ItemKind::Link => 'l',
    }
}

/// The folders that a job has been shown whole.
struct Offered {
    folders: HashSet<String>,
    /// Whether a folder comes with those below it: a chart is read whole.
    deep: bool,
}

impl Offered {
    /// Answers, and shows the folder that the question is about with it.
    fn with(&mut self, reader: &Reader<'_, '_>, ask: Ask) -> Result<Answer, Error> {
        let path = match &ask {
            Ask::Stat { path } | Ask::List { path } | Ask::Read { path } => Some(path.clone()),
            _ => None,
        };
        let mut answer = look(reader, ask)?;
        let folder = path.map(|path| match answer.kind {
            "dir" => path,
            _ => path
                .rsplit_once('/')
                .map_or_else(String::new, |(folder, _)| folder.to_owned()),
        });
        if let Some(folder) = folder {
            answer.beside = self.folders(reader, folder);
        }
        Ok(answer)
    }

    /// A folder, and those that come with it, as far as they have not been shown.
    fn folders(&mut self, reader: &Reader<'_, '_>, folder: String) -> Vec<Beside> {
        let mut all = Vec::new();
        let mut next = VecDeque::from([folder]);
        while let Some(folder) = next.pop_front()
            && self.folders.len() < MAX_OFFERED
        {
            if !self.folders.insert(folder.clone()) {
                continue;
            }
            let Some(found) = reader.peek(&folder) else {
                continue;
            };
            if self.deep {
                let folders = found
                    .items
                    .iter()
                    .filter(|item| item.kind == ItemKind::Folder);
                next.extend(folders.map(|item| below(&folder, &item.name)));
            }
            let mut contents = found.contents;
            all.push(Beside {
                kinds: found.items.iter().map(|item| letter(item.kind)).collect(),
                contents: found
                    .items
                    .iter()
                    .map(|item| contents.remove(&item.name))
                    .collect(),
                names: found.items.into_iter().map(|item| item.name).collect(),
                real: found.real,
                folder,
            });
        }
        all
    }
}

fn look(reader: &Reader<'_, '_>, ask: Ask) -> Result<Answer, Error> {
    match ask {
        Ask::Stat { path } => {
            let found = reader.find(&path)?;
            Ok(match found.node {
                Node::Folder(_) => Answer {
                    kind: "dir",
                    real: found.path,
                    ..Answer::default()
                },
                Node::File(_) => Answer {
                    kind: "file",
                    real: found.path,
                    ..Answer::default()
                },
                _ => Answer::default(),
            })
        }
        Ask::List { path } => Ok(match reader.list(&path)? {
            Some(items) => Answer {
                kind: "dir",
                kinds: items.iter().map(|item| letter(item.kind)).collect(),
                names: items.into_iter().map(|item| item.name).collect(),
                ..Answer::default()
            },
            None => Answer::default(),
        }),
        Ask::Read { path } => Ok(match reader.read(&path)? {
            Some(file) => Answer::file(file.path, file.content),
            None => Answer::default(),
        }),
        Ask::Kube => {
            let version = reader.kube_version();
            Ok(Answer {
                names: (!version.is_empty())
                    .then(|| version.to_owned())
                    .into_iter()
                    .collect(),
                ..Answer::default()
            })
        }
        Ask::Api { path } => Ok(Answer {
            kind: if reader.has_api(&path)? { "api" } else { "" },
            ..Answer::default()
        }),
        Ask::Remote { path, folder } => {
            if remote::is_file(&path) {
                return Ok(match reader.has_web(&path) {
                    true => Answer {
                        kind: "file",
                        real: reader.mount_web(&folder, &path),
                        ..Answer::default()
                    },
                    false => Answer::default(),
                });
            }
            let Some(found) = remote::parse(&path) else {
                return Ok(Answer {
                    refused: "it is no address of a folder in a Git repository".to_owned(),
                    ..Answer::default()
                });
            };
            let name = Trees::remote_name(&found.repository, &found.revision);
            Ok(match reader.trees().known(&name) {
                Some(number) => Answer {
                    kind: "dir",
                    real: trees::join(number, &found.path),
                    ..Answer::default()
                },
                None => Answer::default(),
            })
        }
        Ask::Apis => Ok(Answer {
            names: reader.apis().to_vec(),
            ..Answer::default()
        }),
    }
}

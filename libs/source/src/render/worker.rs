//! Warm renderer processes: one job at a time each, killed at the first breach.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::cause::Cause;
use domain::message;
use domain::settings::BuildOptions;
use parking_lot::Mutex;
use sandbox::{Sandbox, Worker};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use crate::error::{Error, Kind};

/// The largest frame in either direction; the renderer keeps to the same.
const MAX_FRAME: u32 = 64 << 20;
/// The most values of an answer: a few bytes of JSON each, and many times that here.
const MAX_NODES: usize = 500_000;
/// After so many jobs a worker is replaced, so that nothing it kept can grow for ever.
const MAX_JOBS: u32 = 500;

/// What the workers may cost.
#[derive(Clone, Copy, Debug)]
pub struct WorkerLimits {
    /// How many may run at once.
    pub workers: usize,
    /// How many stay when there is nothing to do.
    pub idle: usize,
    /// How much memory each may write to, in bytes.
    pub memory: u64,
    /// How long a job may take.
    pub deadline: Duration,
}

impl Default for WorkerLimits {
    fn default() -> Self {
        Self {
            workers: 2,
            idle: 1,
            memory: 512 << 20,
            deadline: Duration::from_secs(60),
        }
    }
}

/// The renderer's processes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WorkerPool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sandbox: Sandbox,
    program: PathBuf,
    limits: WorkerLimits,
    idle: Mutex<Vec<(Worker, u32)>>,
    turns: Semaphore,
}

/// What a job asks about the repository, or about the cluster that it is for.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Question")]
pub(super) enum Ask {
    Stat {
        path: String,
    },
    List {
        path: String,
    },
    Read {
        path: String,
    },
    /// The cluster's version.
    Kube,
    /// Whether the cluster has an API, `apps/v1` or `apps/v1/Deployment`.
    Api {
        path: String,
    },
    /// All its APIs.
    Apis,
    /// Where the folder of another repository is that an address names, if it is open; or in the folder that names it, a
    /// file of a web server.
    Remote {
        path: String,
        folder: String,
    },
}

/// A question as it is written.
#[derive(Debug, Deserialize)]
struct Question {
    ask: Topic,
    #[serde(default)]
    path: String,
    #[serde(default)]
    folder: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Topic {
    Stat,
    List,
    Read,
    Kube,
    Api,
    Apis,
    Remote,
}

impl From<Question> for Ask {
    fn from(Question { ask, path, folder }: Question) -> Self {
        match ask {
            Topic::Stat => Self::Stat { path },
            Topic::List => Self::List { path },
            Topic::Read => Self::Read { path },
            Topic::Kube => Self::Kube,
            Topic::Api => Self::Api { path },
            Topic::Apis => Self::Apis,
            Topic::Remote => Self::Remote { path, folder },
        }
    }
}

/// What a tenant's settings and an application say about `kustomize build`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Build {
    #[serde(flatten)]
    pub(super) options: BuildOptions,
    /// For the charts in it; the cluster's where it is empty.
    pub(super) kube_version: String,
    pub(super) api_versions: Vec<String>,
    /// Whether the file of every object is noted, which costs the library a third of its time.
    pub(super) origins: bool,
}

/// What a worker is to do in a folder: the tool, and the application's options for it.
#[derive(Debug, Serialize)]
#[serde(tag = "tool", rename_all = "lowercase")]
pub(super) enum Job {
    Kustomize {
        #[serde(skip_serializing_if = "Option::is_none")]
        options: Option<Value>,
        build: Build,
    },
    Helm {
        helm: Value,
        /// The numbers of the trees that options name so.
        trees: BTreeMap<String, usize>,
    },
    Jsonnet {
        jsonnet: Value,
    },
    /// What can be set of a chart.
    Details {
        helm: Value,
        trees: BTreeMap<String, usize>,
    },
}

#[derive(Serialize)]
struct Start<'a> {
    job: Placed<'a>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    beside: &'a [Beside],
}

#[derive(Serialize)]
struct Placed<'a> {
    path: &'a str,
    #[serde(flatten)]
    job: &'a Job,
}

/// What the repository has there.
#[derive(Debug, Default, Serialize)]
pub(super) struct Answer {
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) real: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) names: Vec<String>,
    /// A letter for each name: `f`ile, `d`irectory, `l`ink.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) kinds: String,
    /// A file's bytes.
    #[serde(
        rename = "size",
        serialize_with = "size",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) content: Option<Arc<[u8]>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) refused: String,
    /// What else the worker will probably ask for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) beside: Vec<Beside>,
}

/// A folder that was not asked for: so a job asks once for each and not once for each file. What of it was used the worker
/// says at the end.
#[derive(Debug, Serialize)]
pub(super) struct Beside {
    pub(super) folder: String,
    pub(super) real: String,
    pub(super) names: Vec<String>,
    pub(super) kinds: String,
    /// For each name the file's bytes, where they come along.
    #[serde(rename = "sizes", serialize_with = "sizes")]
    pub(super) contents: Vec<Option<Arc<[u8]>>>,
}

impl Answer {
    pub(super) fn file(real: String, content: Arc<[u8]>) -> Self {
        Self {
            kind: "file",
            real,
            content: Some(content),
            ..Self::default()
        }
    }
}

/// A file's bytes stand in JSON as how many they are. They follow it as they are: to be encoded and read again would cost a
/// chart more than the rest of its way.
fn size<S: Serializer>(content: &Option<Arc<[u8]>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(length(content.as_ref()))
}

fn sizes<S: Serializer>(contents: &[Option<Arc<[u8]>>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(contents.iter().map(|content| length(content.as_ref())))
}

/// How many bytes of a file follow; less than nothing where it does not come along.
fn length(content: Option<&Arc<[u8]>>) -> i64 {
    content.map_or(-1, |content| {
        i64::try_from(content.len()).unwrap_or(i64::MAX)
    })
}

/// What a worker is told: JSON, and after it the bytes of the files whose sizes stand in it, in the same order.
trait Told: Serialize {
    fn files(&self) -> impl Iterator<Item = &Arc<[u8]>>;
}

impl Told for Start<'_> {
    fn files(&self) -> impl Iterator<Item = &Arc<[u8]>> {
        self.beside.iter().flat_map(Beside::files)
    }
}

impl Told for Answer {
    fn files(&self) -> impl Iterator<Item = &Arc<[u8]>> {
        let beside = self.beside.iter().flat_map(Beside::files);
        self.content.iter().chain(beside)
    }
}

impl Beside {
    fn files(&self) -> impl Iterator<Item = &Arc<[u8]>> {
        self.contents.iter().flatten()
    }
}

/// One object that a job made.
#[derive(Debug, Deserialize)]
pub(super) struct Built {
    pub(super) object: Value,
    #[serde(default)]
    pub(super) path: String,
    #[serde(default)]
    pub(super) generated: bool,
}

/// Why a job made nothing.
#[derive(Debug, Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct Failure {
    pub(super) kind: String,
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) feature: String,
    pub(super) error: String,
    /// The charts that are missing, and where they come from.
    pub(super) wanted: Vec<Wanted>,
    /// Addresses of folders of other repositories that have to be opened first.
    pub(super) remotes: Vec<String>,
}

/// A chart that another one depends on and that is not there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Wanted {
    pub(super) name: String,
    /// The locked version, or a range.
    pub(super) version: String,
    /// As it is written.
    pub(super) repository: String,
}

/// What a job made.
#[derive(Debug, Deserialize)]
pub(super) struct Done {
    pub(super) objects: Vec<Built>,
    /// Functions that were named whose values are drawn, or of the moment.
    #[serde(default)]
    pub(super) chance: Vec<String>,
    /// What can be set of a chart, where that was asked.
    #[serde(default)]
    pub(super) details: Option<ChartDetails>,
    /// Where the objects of a kustomization may stand, where it is not said of each.
    #[serde(default)]
    pub(super) written: Option<Written>,
}

/// The places where the objects of a kustomization come from.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Written {
    /// The files that it takes objects of.
    pub(super) files: Option<Vec<String>>,
    /// The objects that it makes of other files.
    pub(super) generated: Option<Vec<Generated>>,
}

/// An object that a kustomization makes.
#[derive(Debug, Deserialize)]
pub(super) struct Generated {
    pub(super) kind: String,
    /// Before it is changed.
    pub(super) name: String,
    /// The kustomization.
    pub(super) path: String,
}

/// What can be set of a chart.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ChartDetails {
    pub(super) value_files: Option<Vec<String>>,
    pub(super) values: String,
    pub(super) parameters: BTreeMap<String, String>,
}

/// What a worker says.
#[derive(Debug)]
enum Said {
    Asked(Ask),
    Ended(Result<Done, Failure>, End),
}

/// What a worker says as it is written. One struct for all of it: to try one form after the other would build everything that
/// a job made three times, two of them to throw away.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Frame {
    ask: Option<Topic>,
    path: String,
    folder: String,
    done: Option<Done>,
    failed: Option<Failure>,
    retire: bool,
    used: Vec<Ask>,
}

impl Frame {
    /// What it means; nothing where it says neither of the three.
    fn said(self) -> Option<Said> {
        let Self {
            ask,
            path,
            folder,
            done,
            failed,
            retire,
            used,
        } = self;
        if let Some(ask) = ask {
            return Some(Said::Asked(Question { ask, path, folder }.into()));
        }
        let outcome = match (done, failed) {
            (Some(done), _) => Ok(done),
            (None, Some(failed)) => Err(failed),
            (None, None) => return None,
        };
        Some(Said::Ended(outcome, End { retire, used }))
    }
}

/// What a worker says besides at the end of a job.
#[derive(Debug)]
struct End {
    /// Whether the job left something behind in the process.
    retire: bool,
    /// What of [`Beside`] was used, as it would have been asked for.
    used: Vec<Ask>,
}

impl WorkerPool {
    /// Workers of `program`, started as they are needed.
    #[must_use]
    pub fn new(sandbox: Sandbox, program: PathBuf, limits: WorkerLimits) -> Self {
        let turns = Semaphore::new(limits.workers.max(1));
        Self(Arc::new(Inner {
            sandbox,
            program,
            limits,
            idle: Mutex::default(),
            turns,
        }))
    }

    /// Starts a worker now and lets it say that it works, so that the first job does not wait for it.
    ///
    /// # Errors
    /// When it cannot be started, or does not answer.
    pub async fn warm(&self) -> Result<(), Error> {
        // A repository without any file: the worker has to say that there is nothing to build.
        let job = Job::Kustomize {
            options: None,
            build: Build::default(),
        };
        match self.run("", &job, &[], |_| Ok(Answer::default())).await? {
            Err(_) => Ok(()),
            Ok(_) => Err(Error::internal(
                "the renderer built something out of nothing",
            )),
        }
    }

    fn start(&self) -> Result<Worker, Error> {
        self.0
            .sandbox
            .worker(&self.0.program, self.0.limits.memory)
            .map_err(|error| {
                let why = std::error::Error::source(&error)
                    .map(ToString::to_string)
                    .unwrap_or_default();
                Error::internal(format!("{error}: {why}"))
            })
    }

    /// A worker for the next job, and how many it has done: a warm one, unless it died while nobody looked.
    fn ready(&self) -> Result<(Worker, u32), Error> {
        loop {
            let Some((mut worker, jobs)) = self.0.idle.lock().pop() else {
                return Ok((self.start()?, 0));
            };
            if worker.runs() {
                return Ok((worker, jobs));
            }
            tracing::warn!("an idle renderer is gone and another is started");
        }
    }

    /// Runs one job in a folder. `beside` is what it will probably ask for first; `answer` is asked for all other files, and an
    /// error from it ends the job. A job whose worker is killed under it from outside, as a machine without memory does, is
    /// begun once more.
    pub(super) async fn run(
        &self,
        path: &str,
        job: &Job,
        beside: &[Beside],
        mut answer: impl FnMut(Ask) -> Result<Answer, Error>,
    ) -> Result<Result<Done, Failure>, Error> {
        let _turn = self.0.turns.acquire().await.map_err(Error::internal)?;
        let shown = if path.is_empty() { "." } else { path };
        let job = Start {
            job: Placed { path, job },
            beside,
        };
        let limit = self.0.limits.deadline;
        let deadline = tokio::time::Instant::now() + limit;
        let mut again = true;
        loop {
            // A worker that does not end a job properly is dropped, and so killed.
            let (mut worker, jobs) = self.ready()?;
            let talk = talk(&mut worker, &job, &mut answer);
            let (outcome, retire) = match tokio::time::timeout_at(deadline, talk).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(Broken::Answer(error))) => return Err(error),
                Ok(Err(Broken::Pipe(error))) => {
                    if again && worker.was_killed().await {
                        tracing::warn!(path = shown, "a renderer was killed; its job begins anew");
                        again = false;
                        continue;
                    }
                    return Err(died(shown, &error));
                }
                Err(_) => {
                    let message = message::source::RENDER_TIMEOUT
                        .with("path", shown)
                        .with("seconds", limit.as_secs());
                    return Err(Error::new(Kind::TooLarge, message));
                }
            };
            if jobs + 1 < MAX_JOBS && !retire {
                let mut idle = self.0.idle.lock();
                if idle.len() < self.0.limits.idle {
                    idle.push((worker, jobs + 1));
                }
            }
            return Ok(outcome);
        }
    }
}

/// Why a job did not come to its end.
enum Broken {
    /// A question of it has no answer.
    Answer(Error),
    /// The worker is gone, or says what it must not.
    Pipe(io::Error),
}

/// Gives a worker its job and answers its questions until it has ended; says whether it left something behind in the
/// process.
async fn talk(
    worker: &mut Worker,
    job: &Start<'_>,
    answer: &mut impl FnMut(Ask) -> Result<Answer, Error>,
) -> Result<(Result<Done, Failure>, bool), Broken> {
    send(worker, job).await.map_err(Broken::Pipe)?;
    loop {
        match receive(worker).await.map_err(Broken::Pipe)? {
            Said::Asked(question) => {
                let answer = answer(question).map_err(Broken::Answer)?;
                send(worker, &answer).await.map_err(Broken::Pipe)?;
            }
            Said::Ended(outcome, end) => return ended(outcome, end, answer),
        }
    }
}

/// Looks at what was used without being asked for, so that it is noted, counted and refused as if it had been.
fn ended(
    outcome: Result<Done, Failure>,
    end: End,
    answer: &mut impl FnMut(Ask) -> Result<Answer, Error>,
) -> Result<(Result<Done, Failure>, bool), Broken> {
    for used in end.used {
        answer(used).map_err(Broken::Answer)?;
    }
    Ok((outcome, end.retire))
}

fn died(path: &str, error: &io::Error) -> Error {
    tracing::warn!(path, %error, "a renderer was lost");
    Error::of(
        Kind::TooLarge,
        Cause::error(message::source::RENDER_DIED.with("path", path)),
    )
}

/// A frame: its length, that of its JSON, the JSON, and the bytes of files. It is one write: the worker would wake for the
/// length alone.
fn frame(message: &impl Told) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(message)?;
    let large = || io::Error::other("frame too large");
    let files = message.files().map(|file| file.len());
    let length = files.fold(4 + json.len(), usize::saturating_add);
    let whole = u32::try_from(length).ok();
    let whole = whole
        .filter(|length| *length <= MAX_FRAME)
        .ok_or_else(large)?;
    let of_json = u32::try_from(json.len()).map_err(|_| large())?;
    let mut frame = Vec::with_capacity(4 + length);
    frame.extend(whole.to_be_bytes());
    frame.extend(of_json.to_be_bytes());
    frame.extend(json);
    for file in message.files() {
        frame.extend_from_slice(file);
    }
    Ok(frame)
}

async fn send(worker: &mut Worker, message: &impl Told) -> io::Result<()> {
    let frame = frame(message)?;
    worker.stdin.write_all(&frame).await?;
    worker.stdin.flush().await
}

async fn receive(worker: &mut Worker) -> io::Result<Said> {
    let length = worker.stdout.read_u32().await?;
    if length > MAX_FRAME {
        return Err(io::Error::other("frame too large"));
    }
    let mut body = vec![0; length as usize];
    worker.stdout.read_exact(&mut body).await?;
    let text = std::str::from_utf8(&body).map_err(io::Error::other)?;
    if super::yaml::json_nodes(text) > MAX_NODES {
        let failed = Failure {
            kind: "too-many".to_owned(),
            ..Failure::default()
        };
        // Whether it said so itself stands in what was not read.
        let end = End {
            retire: true,
            used: Vec::new(),
        };
        return Ok(Said::Ended(Err(failed), end));
    }
    let frame: Frame = serde_json::from_str(text)?;
    frame
        .said()
        .ok_or_else(|| io::Error::other("a frame that says nothing"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_files_bytes_follow_what_is_told_as_they_are() {
        let file = |bytes: &[u8]| Some(Arc::from(bytes));
        let mut answer = Answer::file("a".to_owned(), Arc::from(&b"\0\xff"[..]));
        answer.beside = vec![Beside {
            folder: String::new(),
            real: String::new(),
            names: ["b", "c", "d"].map(str::to_owned).to_vec(),
            kinds: "fdf".to_owned(),
            contents: vec![file(b"xyz"), None, file(b"")],
        }];
        let framed = frame(&answer).unwrap();
        let number = |at: usize| {
            let bytes: [u8; 4] = framed[at..at + 4].try_into().unwrap();
            usize::try_from(u32::from_be_bytes(bytes)).unwrap()
        };
        assert_eq!(number(0), framed.len() - 4);
        let (json, files) = framed[8..].split_at(number(4));
        let json: Value = serde_json::from_slice(json).unwrap();
        assert_eq!(json["size"], 2);
        assert_eq!(json["beside"][0]["sizes"], json!([3, -1, 0]));
        assert_eq!(files, b"\0\xffxyz");
        let none = Answer::default();
        assert_eq!(frame(&none).unwrap(), b"\0\0\0\x06\0\0\0\x02{}");
        let large = Answer::file(String::new(), vec![0; MAX_FRAME as usize].into());
        assert!(frame(&large).is_err());
    }

    #[test]
    fn a_frame_is_a_question_or_an_end_and_anything_else_is_none() {
        let said = |text: &str| {
            let frame: Result<Frame, _> = serde_json::from_str(text);
            frame.ok().and_then(Frame::said)
        };
        let asked = |text: &str| match said(text) {
            Some(Said::Asked(ask)) => Some(ask),
            _ => None,
        };
        let path = || "a/b".to_owned();
        assert_eq!(
            asked(r#"{"ask":"stat","path":"a/b"}"#),
            Some(Ask::Stat { path: path() })
        );
        assert_eq!(asked(r#"{"ask":"kube","path":""}"#), Some(Ask::Kube));
        assert_eq!(
            asked(r#"{"ask":"remote","path":"a/b","folder":"c"}"#),
            Some(Ask::Remote {
                path: path(),
                folder: "c".to_owned()
            })
        );
        let done = r#"{"done":{"objects":[{"object":{"kind":"X"},"path":"a/b"}]},
            "used":[{"ask":"read","path":"a/b"}],"retire":true}"#;
        let Some(Said::Ended(Ok(done), end)) = said(done) else {
            panic!("no end");
        };
        assert_eq!(done.objects[0].object, json!({"kind": "X"}));
        assert_eq!(
            (end.retire, end.used),
            (true, vec![Ask::Read { path: path() }])
        );
        let failed = said(r#"{"failed":{"kind":"build","error":"why"}}"#);
        let Some(Said::Ended(Err(failed), end)) = failed else {
            panic!("no failure");
        };
        assert_eq!((failed.error.as_str(), end.retire), ("why", false));
        for none in ["{}", "[]", r#"{"ask":"other","path":""}"#, r#"{"used":[]}"#] {
            assert!(said(none).is_none(), "{none}");
        }
    }
}

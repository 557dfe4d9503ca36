//! What an application's containers write, merged by time and filtered; read as whom the application is written.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use cluster::{Account, LogOptions};
use domain::clock::Timestamp;
use engine::tree::Node;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};
use proto::argocd::application::{ApplicationPodLogsQuery, LogEntry};
use proto::convert::time;
use tonic::Status;

use super::log_filter::LogFilter;
use super::log_merge::{Line, merge};
use super::scene::{self, Scene};
use super::{While, refused, tree};
use crate::context::Context;
use crate::driver::queue::AppKey;

/// No request reads more pods than this.
const MAX_PODS: usize = 10;
/// A line longer than this is cut into several.
const MAX_LINE: usize = 256 << 10;

/// The lines that a query asks for. Without a matching pod there is not even a last entry.
pub(super) async fn pod_logs(
    ctx: &Arc<Context>,
    app: &AppKey,
    query: ApplicationPodLogsQuery,
    lasts: While,
) -> Result<impl Stream<Item = Result<LogEntry, Status>> + Send + use<>, Status> {
    let Scene { tenant: _, seen } = scene::outline(ctx, app).await?;
    let (subject, outline) = seen.unzip();
    let nodes = tree::nodes(outline).await?;
    let pods = selected(&nodes, &query);
    if pods.len() > MAX_PODS {
        return Err(Status::invalid_argument(
            "max pods to view logs are reached. Please provide more granular query",
        ));
    }
    let until = match query.until_time() {
        "" => None,
        text => Some(DateTime::parse_from_rfc3339(text).map_err(|error| {
            Status::unknown(format!("invalid untilTime parameter value: {error}"))
        })?),
    };
    let options = options(&query);
    let mut streams = Vec::with_capacity(pods.len());
    for pod in &pods {
        // Of an application that cannot be read no pod is shown.
        let Some(subject) = &subject else { continue };
        let account = subject
            .writer
            .account(ctx, &pod.key.namespace)
            .map_err(|error| refused(&error))?;
        streams.push(lines(&account, pod, &options, ctx.clock.now()).await);
    }
    let filter = LogFilter::parse(query.filter(), query.match_case());
    let (none, clock) = (streams.is_empty(), ctx.clock.clone());
    let entries = async_stream::stream! {
        if none {
            return;
        }
        let mut merged = Box::pin(merge(streams));
        loop {
            let line = tokio::select! {
                line = merged.next() => line,
                () = lasts.ended() => {
                    yield Err(Status::unavailable("this controller stops, or follows the cluster no more"));
                    return;
                }
            };
            let Some(line) = line else { break };
            if filter.as_ref().is_some_and(|filter| !filter.wants(&line.text)) {
                continue;
            }
            let over = until.is_some_and(|until| line.at > until);
            yield Ok(entry(line, over));
            if over {
                return;
            }
        }
        yield Ok(entry(Line { at: clock.now(), text: String::new(), pod: String::new() }, true));
    };
    Ok(entries)
}

fn entry(line: Line, last: bool) -> LogEntry {
    LogEntry {
        content: line.text,
        time_stamp: time::to_wire(line.at),
        last,
        time_stamp_str: line.at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        pod_name: line.pod,
    }
}

fn options(query: &ApplicationPodLogsQuery) -> LogOptions {
    LogOptions {
        container: query.container().to_owned(),
        follow: query.follow(),
        previous: query.previous(),
        timestamps: true,
        since_seconds: Some(query.since_seconds()).filter(|seconds| *seconds > 0),
        since_time: query.since_time.as_ref().and_then(time::from_wire),
        tail_lines: Some(query.tail_lines()).filter(|lines| *lines > 0),
        limit_bytes: None,
    }
}

/// The pods that a query names: itself, or by something above it.
fn selected<'a>(nodes: &'a [Node], query: &ApplicationPodLogsQuery) -> Vec<&'a Node> {
    let (kind, name) = match query.pod_name() {
        "" => (query.kind(), query.resource_name()),
        pod => ("Pod", pod),
    };
    let by_uid: HashMap<&str, &Node> = nodes.iter().map(|node| (node.uid.as_str(), node)).collect();
    let is = |wanted: &str, there: &str| wanted.is_empty() || wanted == there;
    let named = |node: &Node| {
        is(name, &node.key.name)
            && is(kind, &node.key.kind)
            && is(query.group(), &node.key.group)
            && is(query.namespace(), &node.key.namespace)
    };
    let meant = |pod: &Node| {
        let mut seen: HashSet<&str> = HashSet::new();
        let mut front = vec![pod];
        while let Some(node) = front.pop() {
            if named(node) {
                return true;
            }
            let parents = node
                .parents
                .iter()
                .filter_map(|parent| by_uid.get(parent.uid.as_str()).copied());
            front.extend(parents.filter(|parent| seen.insert(parent.uid.as_str())));
        }
        false
    };
    let is_pod =
        |node: &&Node| node.key.group.is_empty() && node.key.kind == "Pod" && !node.uid.is_empty();
    nodes
        .iter()
        .filter(is_pod)
        .filter(|pod| meant(pod))
        .collect()
}

/// One pod's lines. Why there are none is a line too, so that people see it.
async fn lines(
    account: &Account,
    pod: &Node,
    options: &LogOptions,
    now: Timestamp,
) -> BoxStream<'static, Line> {
    let name = pod.key.name.clone();
    match account.logs(&pod.key.namespace, &name, options).await {
        Ok(pieces) => {
            let state = Pieces {
                pieces,
                left: Vec::new(),
                ready: Vec::new(),
                ended: false,
            };
            stream::unfold((state, name, now), |(mut state, name, before)| async move {
                let text = state.next_line().await?;
                let line = parse(&text, before, &name);
                let at = line.at;
                Some((line, (state, name, at)))
            })
            .boxed()
        }
        Err(error) => {
            let text = error
                .refusal()
                .map_or_else(|| error.to_string(), |refusal| refusal.message.clone());
            stream::once(std::future::ready(Line {
                at: now,
                text,
                pod: name,
            }))
            .boxed()
        }
    }
}

/// `<time> <text>`; a piece of a cut line has no time and takes the one before.
fn parse(text: &str, before: Timestamp, pod: &str) -> Line {
    let stamped = text.split_once(' ').unwrap_or((text, ""));
    match DateTime::parse_from_rfc3339(stamped.0) {
        Ok(at) => Line {
            at: at.to_utc(),
            text: stamped.1.to_owned(),
            pod: pod.to_owned(),
        },
        Err(_) => Line {
            at: before,
            text: text.to_owned(),
            pod: pod.to_owned(),
        },
    }
}

/// Cuts pieces of a stream into lines.
struct Pieces {
    pieces: BoxStream<'static, Result<bytes::Bytes, cluster::Error>>,
    left: Vec<u8>,
    /// Whole lines, the next one last.
    ready: Vec<String>,
    ended: bool,
}

impl Pieces {
    async fn next_line(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.ready.pop() {
                return Some(line);
            }
            if self.ended {
                return None;
            }
            match self.pieces.next().await {
                Some(Ok(piece)) => self.left.extend_from_slice(&piece),
                Some(Err(error)) => {
                    tracing::debug!(%error, "a log stream broke off");
                    self.ended = true;
                }
                None => self.ended = true,
            }
            self.cut();
        }
    }

    fn cut(&mut self) {
        let whole = match self.left.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => self.left.drain(..=end).collect::<Vec<u8>>(),
            None if self.ended || self.left.len() > MAX_LINE => std::mem::take(&mut self.left),
            None => return,
        };
        let text = String::from_utf8_lossy(&whole);
        self.ready = text
            .lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect();
        if self.ended && !self.left.is_empty() {
            self.ready
                .push(String::from_utf8_lossy(&std::mem::take(&mut self.left)).into_owned());
        }
        self.ready.reverse();
    }
}

#[cfg(test)]
mod tests {
    use domain::resource::ResourceKey;
    use engine::tree::Parent;

    use super::*;

    fn node(kind: &str, name: &str, parent: Option<&Node>) -> Node {
        let group = if kind == "Pod" { "" } else { "apps" };
        let key = ResourceKey {
            group: group.into(),
            kind: kind.into(),
            namespace: "web".into(),
            name: name.into(),
        };
        Node {
            uid: format!("uid-{name}"),
            parents: parent
                .map(|p| Parent {
                    key: p.key.clone(),
                    version: p.version.clone(),
                    uid: p.uid.clone(),
                })
                .into_iter()
                .collect(),
            key,
            version: "v1".into(),
            resource_version: "1".into(),
            info: vec![],
            images: vec![],
            health: None,
            created_at: None,
            network: None,
        }
    }

    #[test]
    fn a_pod_is_meant_by_its_name_or_by_what_it_belongs_to() {
        let deployment = node("Deployment", "hello", None);
        let set = node("ReplicaSet", "hello-1", Some(&deployment));
        let pod = node("Pod", "hello-1-a", Some(&set));
        let other = node("Pod", "alone", None);
        let nodes = [deployment, set, pod, other];
        let names = |query: &ApplicationPodLogsQuery| -> Vec<String> {
            selected(&nodes, query)
                .iter()
                .map(|pod| pod.key.name.clone())
                .collect()
        };
        let query = ApplicationPodLogsQuery::default();
        assert_eq!(names(&query), ["hello-1-a", "alone"]);
        let by_owner = ApplicationPodLogsQuery {
            kind: Some("Deployment".into()),
            group: Some("apps".into()),
            resource_name: Some("hello".into()),
            ..query.clone()
        };
        assert_eq!(names(&by_owner), ["hello-1-a"]);
        assert_eq!(
            names(&ApplicationPodLogsQuery {
                pod_name: Some("alone".into()),
                ..query.clone()
            }),
            ["alone"]
        );
        assert!(
            names(&ApplicationPodLogsQuery {
                pod_name: Some("hello".into()),
                ..query
            })
            .is_empty()
        );
    }

    #[tokio::test]
    async fn lines_are_cut_across_pieces() {
        let pieces = [
            b"2026-01-01T00:00:00.5Z one\n2026-01-01T00".as_slice(),
            b":00:01Z two\nrest",
        ];
        let pieces = stream::iter(pieces.map(|piece| Ok(bytes::Bytes::from_static(piece)))).boxed();
        let mut cutter = Pieces {
            pieces,
            left: Vec::new(),
            ready: Vec::new(),
            ended: false,
        };
        let mut seen = Vec::new();
        while let Some(line) = cutter.next_line().await {
            seen.push(parse(&line, Timestamp::UNIX_EPOCH, "p").text);
        }
        assert_eq!(seen, ["one", "two", "rest"]);
    }
}

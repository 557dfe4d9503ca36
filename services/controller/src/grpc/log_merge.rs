//! Several pods' lines as one stream, by time.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use domain::clock::Timestamp;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};

/// How long a line waits for an earlier one of a pod that says nothing now.
const PATIENCE: Duration = Duration::from_millis(100);

/// One line of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// When it was written.
    pub(super) at: Timestamp,
    /// What was written.
    pub(super) text: String,
    /// The pod.
    pub(super) pod: String,
}

struct Source {
    lines: Pin<Box<dyn Stream<Item = Line> + Send>>,
    head: Option<Line>,
    ended: bool,
}

/// Merges lines that are in order within each pod.
pub(super) fn merge(pods: Vec<BoxStream<'static, Line>>) -> impl Stream<Item = Line> + Send {
    let mut sources: Vec<Source> = pods
        .into_iter()
        .map(|lines| Source {
            lines,
            head: None,
            ended: false,
        })
        .collect();
    async_stream::stream! {
        loop {
            let some = sources.iter().any(|source| source.head.is_some());
            let silent = sources.iter().any(|source| source.head.is_none() && !source.ended);
            if silent && !some {
                fill_one(&mut sources).await;
                continue;
            }
            if silent {
                // A pod with nothing to say must not hold the others back for long.
                let _ = tokio::time::timeout(PATIENCE, fill(&mut sources)).await;
            }
            let earliest = sources
                .iter_mut()
                .filter(|source| source.head.is_some())
                .min_by_key(|source| source.head.as_ref().map(|line| line.at));
            match earliest.and_then(|source| source.head.take()) {
                Some(line) => yield line,
                None if sources.iter().all(|source| source.ended) => return,
                None => {}
            }
        }
    }
}

/// Ends when every source has a line or has ended.
async fn fill(sources: &mut [Source]) {
    poll_fn(|cx| {
        let mut waiting = false;
        for source in sources
            .iter_mut()
            .filter(|source| source.head.is_none() && !source.ended)
        {
            match source.lines.poll_next_unpin(cx) {
                Poll::Ready(Some(line)) => source.head = Some(line),
                Poll::Ready(None) => source.ended = true,
                Poll::Pending => waiting = true,
            }
        }
        if waiting {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
}

/// Ends when some source has a line or all have ended.
async fn fill_one(sources: &mut [Source]) {
    poll_fn(|cx| {
        let mut waiting = false;
        let mut some = false;
        for source in sources.iter_mut().filter(|source| !source.ended) {
            match source.lines.poll_next_unpin(cx) {
                Poll::Ready(Some(line)) => {
                    source.head = Some(line);
                    some = true;
                }
                Poll::Ready(None) => source.ended = true,
                Poll::Pending => waiting = true,
            }
        }
        if waiting && !some {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn line(seconds: i64, pod: &str) -> Line {
        let at = Timestamp::from_timestamp(seconds, 0).unwrap();
        Line {
            at,
            text: String::new(),
            pod: pod.into(),
        }
    }

    #[tokio::test]
    async fn lines_come_in_the_order_of_their_times() {
        let a = stream::iter([line(1, "a"), line(4, "a"), line(5, "a")]).boxed();
        let b = stream::iter([line(2, "b"), line(3, "b")]).boxed();
        let merged: Vec<Line> = merge(vec![a, b, stream::empty().boxed()]).collect().await;
        let pods: String = merged.iter().map(|line| line.pod.as_str()).collect();
        assert_eq!(pods, "abbaa");
    }

    #[tokio::test]
    async fn a_silent_pod_does_not_hold_the_others_back() {
        let a = stream::iter([line(1, "a"), line(2, "a")]).boxed();
        let silent = stream::pending().boxed();
        let mut merged = Box::pin(merge(vec![a, silent]));
        assert_eq!(merged.next().await, Some(line(1, "a")));
        assert_eq!(merged.next().await, Some(line(2, "a")));
    }
}

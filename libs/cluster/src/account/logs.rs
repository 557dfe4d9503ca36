//! What a container writes.

use bytes::Bytes;
use domain::clock::Timestamp;
use futures::stream::BoxStream;

use super::Account;
use crate::error::Error;
use crate::url::Query;

/// Which lines of a container.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// The container; may be empty for a pod with one.
    pub container: String,
    /// Go on as it writes.
    pub follow: bool,
    /// Of the container before its last restart.
    pub previous: bool,
    /// Begin each line with its time.
    pub timestamps: bool,
    /// Only lines younger than this.
    pub since_seconds: Option<i64>,
    /// Only lines younger than this.
    pub since_time: Option<Timestamp>,
    /// Only the last lines.
    pub tail_lines: Option<i64>,
    /// Stop after so many bytes.
    pub limit_bytes: Option<i64>,
}

impl Account {
    /// What a container wrote and, when following, writes. Pieces are as the server sends them, not lines. Dropping
    /// the stream ends it.
    ///
    /// # Errors
    /// When the pod is not there or has not begun, the account may not, or the cluster does not answer.
    pub async fn logs(
        &self,
        namespace: &str,
        pod: &str,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        let path = self.pod(namespace, pod, "log").await?;
        let number =
            |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
        let since_time = options
            .since_time
            .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
        let path = Query::new(&path)
            .set_if(
                !options.container.is_empty(),
                "container",
                &options.container,
            )
            .set_if(options.follow, "follow", "true")
            .set_if(options.previous, "previous", "true")
            .set_if(options.timestamps, "timestamps", "true")
            .set_if(
                options.since_seconds.is_some(),
                "sinceSeconds",
                &number(options.since_seconds),
            )
            .set_if(
                since_time.is_some(),
                "sinceTime",
                since_time.as_deref().unwrap_or_default(),
            )
            .set_if(
                options.tail_lines.is_some(),
                "tailLines",
                &number(options.tail_lines),
            )
            .set_if(
                options.limit_bytes.is_some(),
                "limitBytes",
                &number(options.limit_bytes),
            )
            .build();
        let opened = self.transport().stream(&self.identity, &path, "*/*").await;
        opened.map(|(_, pieces)| pieces)
    }
}

//! REST: which call a verb and a path are, and the request that path, query and body make.
//!
//! The routes are a committed table; the messages they take and give come from the descriptors. Finding is by path
//! segment, words before variables, and filling goes through JSON, so that one reader checks everything.

mod table;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::json::{self, JsonError};

/// What a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// It is not read.
    Nothing,
    /// The whole message; the query is not read.
    Whole,
    /// One field of the message.
    Field(&'static str),
}

/// One RPC at one verb and path.
#[derive(Clone, Debug)]
pub struct Route {
    /// The full name of the service.
    pub service: &'static str,
    /// The method.
    pub method: &'static str,
    /// The HTTP verb.
    pub verb: &'static str,
    /// The path, with `{field}` for a segment and `{field=**}` for all that follow.
    pub path: &'static str,
    /// What the body is.
    pub body: Body,
    /// The full name of the message that the RPC takes.
    pub request: String,
    /// The full name of the message that it gives.
    pub response: String,
    /// Whether the client sends several.
    pub client_streaming: bool,
    /// Whether the server sends several.
    pub server_streaming: bool,
    segments: Vec<Segment>,
}

/// What a verb and a path are.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A call, and the parameters in its path.
    Found(&'static Route, Parameters),
    /// A path with other verbs.
    OtherVerb,
    /// Nothing.
    Unknown,
}

/// The parameters of a path, by the dotted name of their field.
pub type Parameters = Vec<(&'static str, String)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Word(&'static str),
    Variable(&'static str),
    Rest(&'static str),
}

/// Beneath these, clients escape whole URLs into one segment, and the services take them still escaped: the gRPC
/// clients of the same calls send them so too.
const ESCAPED: &[&str] = &[
    "/api/v1/clusters/",
    "/api/v1/repositories/",
    "/api/v1/repocreds/",
];

/// Every route, in the order of the table.
#[must_use]
pub fn all() -> &'static [Route] {
    static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
        table::TABLE
            .iter()
            .filter_map(|&(service, method, verb, path, body)| {
                let described = json::schema().method(service, method)?;
                Some(Route {
                    service,
                    method,
                    verb,
                    path,
                    body,
                    request: described.request.clone(),
                    response: described.response.clone(),
                    client_streaming: described.client_streaming,
                    server_streaming: described.server_streaming,
                    segments: segments(path),
                })
            })
            .collect()
    });
    &ROUTES
}

/// The route of a verb and a raw (still escaped) path. An escaped slash does not end a segment.
#[must_use]
pub fn find(verb: &str, path: &str) -> Outcome {
    let parts: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
    let mut best: Option<&Route> = None;
    let mut other = false;
    for route in all().iter().filter(|route| route.matches(&parts)) {
        if route.verb != verb {
            other = true;
        } else if best.is_none_or(|best| route.more_exact_than(best)) {
            best = Some(route);
        }
    }
    match best {
        Some(route) => Outcome::Found(route, route.parameters(path, &parts)),
        None if other => Outcome::OtherVerb,
        None => Outcome::Unknown,
    }
}

impl Route {
    /// The path of the same call over gRPC.
    #[must_use]
    pub fn grpc_path(&self) -> String {
        format!("/{}/{}", self.service, self.method)
    }

    /// The bytes of the request message. The path's parameters win over the query and the body, and the body over the
    /// query; unknown parameters are ignored where the message is Argo CD's, and so is the query where the body is the whole
    /// message.
    ///
    /// # Errors
    /// When the body or a parameter does not fit its field.
    pub fn fill(
        &self,
        parameters: &Parameters,
        query: &str,
        body: Option<Value>,
    ) -> Result<Vec<u8>, JsonError> {
        let schema = json::schema();
        let Some(message) = schema.by_name(&self.request) else {
            return Err(JsonError::UnknownMessage(self.request.clone()));
        };
        let mut object = Map::new();
        match (self.body, body) {
            (Body::Whole, Some(Value::Object(whole))) => object = whole,
            (Body::Whole, Some(value)) => return json::decode(&self.request, &value),
            (Body::Field(field), Some(value)) => {
                object.insert(field.to_owned(), value);
            }
            (Body::Nothing, _) | (_, None) => {}
        }
        if self.body != Body::Whole {
            for (name, values) in &pairs(query) {
                let body = matches!(self.body, Body::Field(field) if field == name);
                let taken = body || parameters.iter().any(|(taken, _)| taken == name);
                if !taken {
                    let values: Vec<&str> = values.iter().map(String::as_str).collect();
                    json::parameter(schema, message, name, &values, &mut object)?;
                }
            }
        }
        for (name, value) in parameters {
            json::parameter(schema, message, name, &[value], &mut object)?;
        }
        json::decode(&self.request, &Value::Object(object))
    }

    fn matches(&self, parts: &[&str]) -> bool {
        let mut rest = parts;
        for segment in &self.segments {
            match (segment, rest) {
                (Segment::Rest(_), _) => return true,
                (Segment::Word(word), [part, ..]) if word == part => {}
                (Segment::Variable(_), [part, ..]) if !part.is_empty() => {}
                _ => return false,
            }
            rest = &rest[1..];
        }
        rest.is_empty()
    }

    /// Words rank before variables and variables before rests, from the left.
    fn more_exact_than(&self, other: &Self) -> bool {
        let ranks = |route: &Self| -> Vec<u8> {
            let rank = |segment: &Segment| match segment {
                Segment::Word(_) => 0,
                Segment::Variable(_) => 1,
                Segment::Rest(_) => 2,
            };
            route.segments.iter().map(rank).collect()
        };
        ranks(self) < ranks(other)
    }

    fn parameters(&self, path: &str, parts: &[&str]) -> Parameters {
        let escaped = ESCAPED.iter().any(|prefix| path.starts_with(prefix));
        let decode = |part: &str| {
            if escaped {
                part.to_owned()
            } else {
                percent_decode_str(part).decode_utf8_lossy().into_owned()
            }
        };
        let mut found = Vec::new();
        for (at, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Word(_) => {}
                Segment::Variable(name) => found.push((
                    *name,
                    parts.get(at).map(|part| decode(part)).unwrap_or_default(),
                )),
                Segment::Rest(name) => {
                    let rest: Vec<String> =
                        parts.iter().skip(at).map(|part| decode(part)).collect();
                    found.push((*name, rest.join("/")));
                }
            }
        }
        found
    }
}

fn segments(path: &'static str) -> Vec<Segment> {
    let segment = |part: &'static str| {
        let Some(name) = part
            .strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'))
        else {
            return Segment::Word(part);
        };
        name.strip_suffix("=**")
            .map_or(Segment::Variable(name), Segment::Rest)
    };
    path.trim_start_matches('/')
        .split('/')
        .map(segment)
        .collect()
}

/// The names and values of a query string, repeated names together.
fn pairs(query: &str) -> BTreeMap<String, Vec<String>> {
    let mut pairs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let decode = |text: &str| {
        percent_decode_str(&text.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.entry(decode(name)).or_default().push(decode(value));
    }
    pairs
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::argocd::{account, application, cluster, project, repository};

    fn found(verb: &str, path: &str) -> (&'static Route, Parameters) {
        match find(verb, path) {
            Outcome::Found(route, parameters) => (route, parameters),
            other => panic!("{verb} {path}: {other:?}"),
        }
    }

    fn filled<M: prost::Message + Default>(
        verb: &str,
        path: &str,
        query: &str,
        body: Option<Value>,
    ) -> M {
        let (route, parameters) = found(verb, path);
        M::decode(route.fill(&parameters, query, body).unwrap().as_slice()).unwrap()
    }

    #[test]
    fn every_line_is_an_rpc_whose_fields_exist_and_every_rpc_has_a_line() {
        assert_eq!(all().len(), table::TABLE.len());
        for route in all() {
            let names = route.segments.iter().filter_map(|segment| match segment {
                Segment::Word(_) => None,
                Segment::Variable(name) | Segment::Rest(name) => Some(*name),
            });
            let body = match route.body {
                Body::Field(name) => Some(name),
                _ => None,
            };
            for name in names {
                let mut object = Map::new();
                let message = json::schema().by_name(&route.request).unwrap();
                json::parameter(json::schema(), message, name, &["1"], &mut object).unwrap();
                assert!(!object.is_empty(), "{} has no {name}", route.request);
            }
            if let Some(name) = body {
                let bytes = route.fill(&Vec::new(), "", Some(Value::Null)).unwrap();
                assert!(bytes.is_empty(), "{} {name}", route.request);
            }
        }
        for (service, method) in json::schema()
            .methods()
            .filter(|(service, _)| !service.starts_with("naru.internal."))
        {
            assert!(
                all()
                    .iter()
                    .any(|route| route.service == service && route.method == method),
                "{service}/{method}"
            );
        }
    }

    #[test]
    fn words_win_over_variables_and_escaped_slashes_stay_inside() {
        assert_eq!(found("GET", "/api/v1/applications/a").0.method, "Get");
        assert_eq!(
            found("POST", "/api/v1/applications/manifestsWithFiles")
                .0
                .method,
            "GetManifestsWithFiles"
        );
        assert_eq!(
            found("GET", "/api/v1/stream/applications/a/resource-tree")
                .0
                .method,
            "WatchResourceTree"
        );
        assert_eq!(
            found("GET", "/api/v1/session/userinfo").0.method,
            "GetUserInfo"
        );
        assert_eq!(found("GET", "/api/v1/repositories").0.method, "List");
        assert!(
            found("GET", "/api/v1/applications/a/logs")
                .0
                .server_streaming
        );
        assert!(matches!(find("PUT", "/api/v1/session"), Outcome::OtherVerb));
        assert!(matches!(find("GET", "/api/v1/nothing"), Outcome::Unknown));
        assert!(matches!(
            find("GET", "/api/v1/applications/"),
            Outcome::Unknown
        ));

        let (_, parameters) = found("GET", "/api/v1/projects/a%2Fb%20c");
        assert_eq!(parameters, [("name", "a/b c".to_owned())]);
        let (_, parameters) = found(
            "GET",
            "/api/v1/clusters/https%3A%2F%2Fkubernetes.default.svc",
        );
        assert_eq!(
            parameters,
            [(
                "id.value",
                "https%3A%2F%2Fkubernetes.default.svc".to_owned()
            )]
        );
        let (_, parameters) = found("GET", "/api/v1/account/can-i/applications/get/default/a");
        assert_eq!(parameters[2], ("subresource", "default/a".to_owned()));
    }

    #[test]
    fn a_request_is_filled_from_path_query_and_body() {
        let query: application::ApplicationQuery = filled(
            "GET",
            "/api/v1/applications/a",
            "refresh=hard&project=p&project=q&name=other&fields=x",
            None,
        );
        assert_eq!((query.name(), query.refresh()), ("a", "hard"));
        assert_eq!(query.project, ["p", "q"]);

        let update: application::ApplicationUpdateRequest = filled(
            "PUT",
            "/api/v1/applications/a",
            "validate=false&application.spec.project=x",
            Some(
                json!({"metadata": {"name": "b", "labels": {"k": "v"}}, "spec": {"project": "p"}}),
            ),
        );
        assert!(!update.validate());
        let meta = update.application.metadata.as_ref().unwrap();
        assert_eq!((meta.name(), meta.labels.len()), ("a", 1));

        let sync: application::ApplicationSyncRequest = filled(
            "POST",
            "/api/v1/applications/a/sync",
            "prune=true",
            Some(json!({"dryRun": true, "name": "z"})),
        );
        assert_eq!(
            (sync.name.as_str(), sync.dry_run(), sync.prune),
            ("a", true, None)
        );
        let logs: application::ApplicationPodLogsQuery = filled(
            "GET",
            "/api/v1/applications/a/logs",
            "tailLines=10&follow=true&sinceTime=2024-01-01T00:00:00Z",
            None,
        );
        assert_eq!((logs.tail_lines(), logs.follow()), (10, true));
        assert_eq!(logs.since_time.unwrap().seconds(), 1_704_067_200);

        let cluster: cluster::ClusterQuery =
            filled("GET", "/api/v1/clusters/in-cluster", "id.type=name", None);
        assert_eq!(
            cluster.id.unwrap(),
            cluster::ClusterId {
                r#type: "name".into(),
                value: "in-cluster".into()
            }
        );
        let repo: repository::RepoCreateRequest = filled(
            "POST",
            "/api/v1/repositories",
            "upsert=true",
            Some(json!({"repo": "https://x"})),
        );
        assert!(repo.upsert);
        assert_eq!(repo.repo.unwrap().repo(), "https://x");
        let token: project::ProjectTokenDeleteRequest =
            filled("DELETE", "/api/v1/projects/p/roles/r/token/17", "", None);
        assert_eq!(token.iat, 17);
        let _: account::CreateTokenRequest = filled("POST", "/api/v1/account/a/token", "", None);

        let (route, parameters) = found("GET", "/api/v1/applications/a/logs");
        let error = route.fill(&parameters, "tailLines=many", None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "tailLines: expected a whole number, found \"many\""
        );
    }
}

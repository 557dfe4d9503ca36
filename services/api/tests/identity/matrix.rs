//! S04: every RPC, asked by everybody, against the file that says who gets through.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FileDescriptorSet};
use serde_json::{Value, json};

use crate::house::{House, ONE, OPERATOR, TWO};

/// The file: one RPC a line, one column for each of [`Who`], in its order.
const MATRIX: &str = include_str!("matrix.tsv");
/// The repository that is there.
const REPOSITORY: &str = "https://git.example/a.git";
/// What comes with later work answers so before it looks at anything, and tells nothing.
const UNIMPLEMENTED: u16 = 12;
const PERMISSION_DENIED: u16 = 7;
const UNAUTHENTICATED: u16 = 16;

/// Somebody who asks.
struct Who {
    name: &'static str,
    host: &'static str,
    token: String,
}

/// When a call is made: what takes away what others need comes after them, what ends the caller's token comes last.
fn turn(path: &str) -> u8 {
    let method = path.rsplit('/').next().unwrap_or_default();
    match (path, method) {
        ("/session.SessionService/Delete", _) => 3,
        (_, "RotateSigningKey") => 2,
        _ => u8::from(method.starts_with("Delete")),
    }
}

/// The text of a request's field, by the RPC's service and the way to the field.
fn value(service: &str, way: &str) -> Option<&'static str> {
    Some(match (service, way) {
        (
            "application.ApplicationService",
            "application.metadata.name" | "name" | "query.name" | "applicationName" | "appName",
        ) => "probe",
        ("application.ApplicationService", "application.spec.project") => "team",
        ("applicationset.ApplicationSetService" | "naru.v1.PlanService", "name") => "probe",
        ("account.AccountService", "name") => "bob",
        ("naru.v1.RbacService", "subject") => "bob",
        ("project.ProjectService", "name" | "project" | "project.metadata.name") => "other",
        ("repository.RepositoryService", "repo" | "repo.repo" | "source.repoURL") => REPOSITORY,
        ("repocreds.RepoCredsService", "url" | "creds.url") => "https://git.example/",
        ("cluster.ClusterService", "server" | "cluster.server") => "https://kubernetes.default.svc",
        ("naru.v1.TenantService", "name") => "nobody",
        _ => return None,
    })
}

/// One request, with the fields that [`value`] knows.
fn request(
    types: &HashMap<String, &DescriptorProto>,
    service: &str,
    name: &str,
    way: &str,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let depth = way.matches('.').count();
    for field in types.get(name).map_or(&[][..], |known| &known.field) {
        let way = format!("{way}{}", field.name());
        let content = match field.r#type() {
            Type::String if field.label() != Label::Repeated => {
                value(service, &way).map(|text| text.as_bytes().to_vec())
            }
            Type::Message if depth < 3 => {
                let inner = request(types, service, field.type_name(), &format!("{way}."));
                (!inner.is_empty()).then_some(inner)
            }
            _ => None,
        };
        if let (Some(content), Ok(number)) = (content, u32::try_from(field.number())) {
            prost::encoding::encode_key(
                number,
                prost::encoding::WireType::LengthDelimited,
                &mut bytes,
            );
            prost::encoding::encode_varint(content.len() as u64, &mut bytes);
            bytes.extend(content);
        }
    }
    bytes
}

/// The world that is asked about, and everybody who asks.
async fn everybody(house: &House) -> Result<Vec<Who>> {
    let (admin, other) = (house.admin(ONE).await?, house.admin(TWO).await?);
    let done = async |verb: &str, path: &str, body: Value| -> Result<Value> {
        let (status, answer) = house.call(verb, ONE, path, &admin, Some(body)).await?;
        ensure!(status == 200, "{path}: {answer}");
        Ok(answer)
    };
    for account in ["viewer", "gone", "bob"] {
        let key = format!("accounts.{account}");
        house
            .set(ONE, &admin, &[("argocd-cm", &key, json!("apiKey"))])
            .await?;
    }
    house
        .set(
            ONE,
            &admin,
            &[(
                "argocd-rbac-cm",
                "policy.csv",
                json!("g, viewer, role:readonly"),
            )],
        )
        .await?;
    let key = async |account: &str| -> Result<String> {
        let path = format!("/api/v1/account/{account}/token");
        let made = done("POST", &path, json!({"name": account})).await?;
        Ok(made["token"].as_str().context("no token")?.to_owned())
    };
    let (viewer, gone) = (key("viewer").await?, key("gone").await?);
    house
        .set(
            ONE,
            &admin,
            &[("argocd-cm", "accounts.gone.enabled", json!("false"))],
        )
        .await?;
    let team = json!({"project": {"metadata": {"name": "team"}, "spec": {
        "sourceRepos": ["*"],
        "destinations": [{"server": "*", "namespace": "*"}],
        "roles": [{"name": "ci", "policies": ["p, proj:team:ci, applications, get, team/*, allow"]}],
    }}});
    done("POST", "/api/v1/projects", team).await?;
    let made = done("POST", "/api/v1/projects/team/roles/ci/token", json!({})).await?;
    let role = made["token"].as_str().context("no token")?.to_owned();
    connect(house).await?;
    // The operator's tenant has an application of that name as well.
    for (host, token, namespace) in [
        (ONE, &admin, house.name("user01")),
        (OPERATOR, &house.operator, "naru".to_owned()),
    ] {
        let app = json!({"metadata": {"name": "probe"}, "spec": {
            "project": if host == ONE { "team" } else { "default" },
            "source": {"repoURL": REPOSITORY, "path": "a"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": namespace},
        }});
        let path = "/api/v1/applications?validate=false";
        let (status, answer) = house.call("POST", host, path, token, Some(app)).await?;
        ensure!(status == 200, "{answer}");
    }
    let suspended = house.admin(TWO).await?;
    let path = format!("/api/naru/v1/tenants/{}/suspend", house.name("user02"));
    let (status, answer) = house
        .call("POST", OPERATOR, &path, &house.operator, None)
        .await?;
    ensure!(status == 200, "{answer}");
    let who = |name, host, token: &str| Who {
        name,
        host,
        token: token.to_owned(),
    };
    Ok(vec![
        who("anonymous", ONE, ""),
        who("other", ONE, &other),
        who("viewer", ONE, &viewer),
        who("admin", ONE, &admin),
        who("role", ONE, &role),
        who("operator", OPERATOR, &house.operator),
        who("disabled", ONE, &gone),
        who("suspended", TWO, &suspended),
    ])
}

/// Puts the repository where the callers' tenants are.
async fn connect(house: &House) -> Result<()> {
    let platform = house.store.platform();
    for name in ["naru".to_owned(), house.name("user01")] {
        let tenant = platform.tenant_by_name(&name).await?.context("no tenant")?;
        let repository = domain::repository::Repository {
            url: REPOSITORY.into(),
            kind: "git".into(),
            name: String::new(),
            project: String::new(),
            credentials: domain::repository::Credentials::default(),
            insecure: false,
            enable_lfs: false,
            options: domain::repository::Options::default(),
        };
        let scope = house.store.tenant(tenant.id);
        scope.repositories().put(&repository).await?;
        scope.write_repositories().put(&repository).await?;
    }
    Ok(())
}

#[tokio::test]
async fn s04_everybody_gets_through_where_the_matrix_says_so_and_nowhere_else() -> Result<()> {
    let house = House::open().await?;
    let set = FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET)?;
    let mut types = HashMap::new();
    let mut inputs = HashMap::new();
    for file in &set.file {
        for message in &file.message_type {
            types.insert(format!(".{}.{}", file.package(), message.name()), message);
        }
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                inputs.insert(path, method.input_type().to_owned());
            }
        }
    }
    let everybody = everybody(&house).await?;
    let mut rows: Vec<Vec<&str>> = MATRIX
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').collect())
        .collect();
    rows.sort_by_key(|row| turn(row[0]));
    let mut wrong = Vec::new();
    let mut later = Vec::new();
    let mut callers: Vec<(usize, &Who)> = everybody.iter().enumerate().collect();
    // The tenant's admin may take everything away, and the operator ends the tokens of that tenant.
    callers.sort_by_key(|(_, who)| match who.name {
        "operator" => 2,
        "admin" => 1,
        _ => 0,
    });
    for (column, who) in callers {
        for row in &rows {
            let (path, expected) = (row[0], row[column + 1]);
            let service = path.split('/').nth(1).unwrap_or_default();
            let message = match (who.name, path) {
                // The operator's own tenant is every test's: its tokens must live.
                ("operator", "/naru.v1.SettingsService/RotateSigningKey") => {
                    let tenant = house.name("user01");
                    proto::naru::v1::RotateSigningKeyRequest {
                        tenant,
                        grace_seconds: 0,
                    }
                    .encode_to_vec()
                }
                _ => inputs
                    .get(path)
                    .map_or_else(Vec::new, |name| request(&types, service, name, "")),
            };
            if path.starts_with("/repository.RepositoryService/Delete") {
                // There are two of them, and either takes it away.
                connect(&house).await?;
            }
            let (code, text) = house.grpc(who.host, path, &who.token, &message).await?;
            let seen = match code {
                // A login that fails is not somebody who is kept from logging in.
                UNAUTHENTICATED if path == "/session.SessionService/Create" => "+",
                UNAUTHENTICATED => "-",
                PERMISSION_DENIED => "!",
                // Argo CD's refusal of a project's links has no code of its own.
                _ if text.starts_with("unauthorized access to project") => "!",
                _ => "+",
            };
            if code == UNIMPLEMENTED {
                later.push(path);
            } else if seen != expected {
                wrong.push(format!(
                    "{path} as {}: {expected} expected, {code} {text}",
                    who.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    later.sort_unstable();
    later.dedup();
    assert_eq!(later, LATER);
    Ok(())
}

/// What comes with later work.
const LATER: &[&str] = &[
    "/applicationset.ApplicationSetService/Create",
    "/applicationset.ApplicationSetService/Delete",
    "/applicationset.ApplicationSetService/Generate",
    "/applicationset.ApplicationSetService/Get",
    "/applicationset.ApplicationSetService/List",
    "/applicationset.ApplicationSetService/ListResourceEvents",
    "/applicationset.ApplicationSetService/ResourceTree",
    "/applicationset.ApplicationSetService/Watch",
    "/notification.NotificationService/ListServices",
    "/notification.NotificationService/ListTemplates",
    "/notification.NotificationService/ListTriggers",
];

//! What a call is about: read from the request's bytes, without knowing its type.

use std::collections::HashMap;
use std::sync::LazyLock;

use domain::repository::without_passwords;
use prost::Message;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};

/// Where a request says what it is about, most telling first: the first field that is there and not empty counts.
const NAMES: [&str; 22] = [
    "name",
    "application.metadata.name",
    "project.metadata.name",
    "applicationset.metadata.name",
    "repo.repo",
    "repo",
    "creds.url",
    "cluster.server",
    "id.value",
    "username",
    "project",
    "url",
    "server",
    "certificates.items.serverName",
    "hostNamePattern",
    "publickey.keyID",
    "keyID",
    "object",
    "appName",
    "id",
    "key",
    "tenant",
];

/// What narrows it further, in this order.
const PARTS: [&str; 7] = [
    "role",
    "id",
    "namespace",
    "kind",
    "resourceName",
    "action",
    "key",
];

/// The fields of one call's request, as the numbers that lead to them.
#[derive(Debug, Default)]
struct Fields {
    names: Vec<Vec<u32>>,
    parts: Vec<Vec<u32>>,
}

/// What a request is about, as text; empty where it does not say.
pub(super) fn object(path: &str, message: &[u8]) -> String {
    let Some(fields) = FIELDS.get(path) else {
        return String::new();
    };
    let text = |numbers: &Vec<u32>| find(message, numbers).filter(|text| !text.is_empty());
    let mut object = fields
        .names
        .iter()
        .find_map(text)
        .unwrap_or_default()
        .to_owned();
    for part in fields.parts.iter().filter_map(text) {
        if part != object {
            object.push('/');
            object.push_str(part);
        }
    }
    // Of a refused call too, which may have come with a password in an address.
    without_passwords(&object)
}

static FIELDS: LazyLock<HashMap<String, Fields>> = LazyLock::new(|| {
    let set = FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET).unwrap_or_default();
    let mut messages: HashMap<String, &DescriptorProto> = HashMap::new();
    for file in &set.file {
        for message in &file.message_type {
            nested(&mut messages, &format!(".{}", file.package()), message);
        }
    }
    let mut all = HashMap::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                let numbers = |fields: &[&str]| {
                    let lead = |field: &&str| numbers(&messages, method.input_type(), field);
                    fields.iter().filter_map(lead).collect()
                };
                let fields = Fields {
                    names: numbers(&NAMES),
                    parts: numbers(&PARTS),
                };
                if crate::grpc::is_known(&path) {
                    all.insert(path, fields);
                }
            }
        }
    }
    all
});

fn nested<'a>(
    messages: &mut HashMap<String, &'a DescriptorProto>,
    within: &str,
    message: &'a DescriptorProto,
) {
    let name = format!("{within}.{}", message.name());
    for inner in &message.nested_type {
        nested(messages, &name, inner);
    }
    messages.insert(name, message);
}

/// The numbers that lead to a field, if the message has it and it is text.
fn numbers(
    messages: &HashMap<String, &DescriptorProto>,
    message: &str,
    field: &str,
) -> Option<Vec<u32>> {
    let (first, rest) = match field.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (field, None),
    };
    let found = messages
        .get(message)?
        .field
        .iter()
        .find(|known| known.name() == first)?;
    let number = u32::try_from(found.number()).ok()?;
    match rest {
        None => (found.r#type() == Type::String).then(|| vec![number]),
        Some(rest) => {
            let mut lead = vec![number];
            lead.extend(numbers(messages, found.type_name(), rest)?);
            Some(lead)
        }
    }
}

/// The text at the end of these numbers. As in protobuf the last of several counts.
fn find<'a>(message: &'a [u8], numbers: &[u32]) -> Option<&'a str> {
    let (wanted, rest) = numbers.split_first()?;
    let mut bytes = message;
    let mut found = None;
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let skip = match tag & 7 {
            0 => {
                varint(&mut bytes)?;
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let value = bytes.get(..skip)?;
        bytes = bytes.get(skip..)?;
        if tag & 7 == 2 && tag >> 3 == u64::from(*wanted) {
            found = Some(value);
        }
    }
    match rest {
        [] => std::str::from_utf8(found?).ok(),
        rest => find(found?, rest),
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proto::argocd::{application, project, repository, session};
    use proto::naru::v1 as naru;
    use proto::v1alpha1;

    use super::*;

    #[test]
    fn a_request_says_what_it_is_about() {
        let app = application::ApplicationCreateRequest {
            application: v1alpha1::Application {
                metadata: Some(proto::k8s::meta::v1::ObjectMeta {
                    name: Some("hello".into()),
                    ..Default::default()
                }),
                ..Default::default()
            },
            ..Default::default()
        };
        let path = "/application.ApplicationService/Create";
        assert_eq!(object(path, &app.encode_to_vec()), "hello");
        let token = project::ProjectTokenCreateRequest {
            project: "team".into(),
            role: "ci".into(),
            id: "t1".into(),
            ..Default::default()
        };
        let path = "/project.ProjectService/CreateToken";
        assert_eq!(object(path, &token.encode_to_vec()), "team/ci/t1");
        let repo = repository::RepoCreateRequest {
            repo: Some(v1alpha1::Repository {
                repo: Some("https://me:canary@git/a".into()),
                password: Some("canary".into()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let path = "/repository.RepositoryService/CreateRepository";
        assert_eq!(object(path, &repo.encode_to_vec()), "https://me@git/a");
        let login = session::SessionCreateRequest {
            username: "bob".into(),
            password: "canary".into(),
            ..Default::default()
        };
        assert_eq!(
            object("/session.SessionService/Create", &login.encode_to_vec()),
            "bob"
        );
        let namespace = naru::NamespaceRequest {
            name: "user01".into(),
            namespace: "user01-dev".into(),
        };
        assert_eq!(
            object(
                "/naru.v1.TenantService/MapNamespace",
                &namespace.encode_to_vec()
            ),
            "user01/user01-dev"
        );
    }

    #[test]
    fn bytes_that_are_no_message_say_nothing() {
        let path = "/session.SessionService/Create";
        for bytes in [
            &[0xff; 20][..],
            &[0x0a, 0xff, 0xff, 0xff, 0x7f],
            &[0x0a],
            &[7],
        ] {
            assert_eq!(object(path, bytes), "");
        }
    }
}

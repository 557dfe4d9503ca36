//! What providers send, as their documentation has it, and what becomes of it when it is not what they send.

use domain::secret::Secret;
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sha2::Sha256;

use super::Event;
use super::proof::Keys;
use super::provider::Provider;

const SECRET: &str = "It's a Secret to Everybody";
/// How often each provider's event is changed.
const ROUNDS: usize = 4_000;

/// An event as a provider sends it, and the addresses it names.
struct Sample {
    provider: Provider,
    headers: &'static [(&'static str, &'static str)],
    /// The headers that prove it, of which those that are to hold a signature end with `=`.
    proof: &'static str,
    body: &'static [u8],
    names: &'static [&'static str],
}

const SAMPLES: [Sample; 7] = [
    Sample {
        provider: Provider::GitHub,
        headers: &[
            ("x-github-event", "push"),
            ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
            ("x-github-hook-id", "292430182"),
        ],
        proof: "x-hub-signature-256: sha256=",
        body: include_bytes!("payloads/github.json"),
        names: &[
            "https://github.com/Codertocat/Hello-World.git",
            "git@github.com:Codertocat/Hello-World.git",
            "https://github.com/Codertocat/Hello-World",
        ],
    },
    Sample {
        provider: Provider::GitLab,
        headers: &[
            ("x-gitlab-event", "Push Hook"),
            (
                "x-gitlab-event-uuid",
                "13792a34-cac6-4fda-95a8-c58e00a3954e",
            ),
        ],
        proof: "x-gitlab-token: ",
        body: include_bytes!("payloads/gitlab.json"),
        names: &[
            "https://gitlab.example/mike/diaspora.git",
            "git@gitlab.example:mike/diaspora.git",
            "https://gitlab.example/mike/diaspora",
        ],
    },
    Sample {
        provider: Provider::Gitea,
        headers: &[
            ("x-gitea-event", "push"),
            ("x-gogs-event", "push"),
            ("x-github-event", "push"),
            ("x-hub-signature", "sha1=0000"),
        ],
        proof: "x-gitea-signature: =",
        body: include_bytes!("payloads/gitea.json"),
        names: &[
            "http://localhost:3000/gitea/webhooks.git",
            "ssh://gitea@localhost:2222/gitea/webhooks.git",
            "http://localhost:3000/gitea/webhooks",
        ],
    },
    Sample {
        provider: Provider::Gogs,
        headers: &[("x-gogs-event", "push"), ("x-github-event", "push")],
        proof: "x-gogs-signature: =",
        body: include_bytes!("payloads/gogs.json"),
        names: &[
            "https://gogs.example/unknwon/demo.git",
            "git@gogs.example:unknwon/demo.git",
            "https://gogs.example/unknwon/demo",
        ],
    },
    Sample {
        provider: Provider::Bitbucket,
        headers: &[
            ("x-event-key", "repo:push"),
            ("x-request-uuid", "d0b0e0b1-0d3d-4a3c-8c1c-2f1f4a4d0001"),
            ("x-attempt-number", "1"),
        ],
        proof: "x-hook-uuid: ",
        body: include_bytes!("payloads/bitbucket.json"),
        names: &["https://bitbucket.org/team_name/repo_name"],
    },
    Sample {
        provider: Provider::BitbucketServer,
        headers: &[
            ("x-event-key", "repo:refs_changed"),
            ("x-request-id", "e2a5b1c2-0001"),
        ],
        proof: "x-hub-signature: sha256=",
        body: include_bytes!("payloads/bitbucket-server.json"),
        names: &[
            "ssh://git@bitbucket.example:7999/proj/repository.git",
            "https://bitbucket.example/scm/proj/repository.git",
        ],
    },
    Sample {
        provider: Provider::AzureDevOps,
        headers: &[
            ("x-vss-activityid", "5b2a3f2e-6f2a-4bfb-9c4e-f4a5b1c20001"),
            (
                "x-vss-subscriptionid",
                "00000000-0000-0000-0000-000000000000",
            ),
        ],
        // hooks:It's a Secret to Everybody
        proof: "authorization: Basic aG9va3M6SXQncyBhIFNlY3JldCB0byBFdmVyeWJvZHk=",
        body: include_bytes!("payloads/azure-devops.json"),
        names: &[
            "https://dev.azure.com/fabrikam-fiber-inc/DefaultCollection/_git/Fabrikam-Fiber-Git",
        ],
    },
];

fn keys() -> Keys {
    Keys {
        secrets: vec![Secret::from("another"), Secret::from(SECRET)],
        username: Some(Secret::from("hooks")),
    }
}

fn signature(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

impl Sample {
    /// The name and the value of the header that proves this body.
    fn proven_by(&self, body: &[u8]) -> (&'static str, String) {
        let (name, value) = self.proof.split_once(": ").unwrap();
        let value = match value {
            "" => SECRET.to_owned(),
            "=" => signature(body),
            "sha256=" => format!("sha256={}", signature(body)),
            whole => whole.to_owned(),
        };
        (name, value)
    }

    fn headers(&self, body: &[u8]) -> HeaderMap {
        let (name, value) = self.proven_by(body);
        let own = self
            .headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        own.chain([(name, value)])
            .map(|(name, value)| {
                let value = HeaderValue::from_str(&value).unwrap();
                (HeaderName::from_static(name), value)
            })
            .collect()
    }

    fn signs_the_body(&self) -> bool {
        self.proof.ends_with('=') && !self.proof.contains("Basic")
    }
}

/// All that is done with a request, but for waking: who it is from, whether that is proven, and what it says.
fn received(headers: &HeaderMap, body: &[u8], keys: &Keys) -> Option<(Provider, Event)> {
    let provider = Provider::of(headers)?;
    let early = provider.proven_before_the_body(headers, keys);
    let proven = provider.proven(headers, body, keys);
    assert!(early.is_none_or(|early| early == proven), "{provider:?}");
    if !proven {
        return None;
    }
    Some((provider, provider.parse(headers, body).ok()?))
}

#[test]
fn every_providers_push_is_known_proven_and_read() {
    for sample in &SAMPLES {
        let headers = sample.headers(sample.body);
        let (provider, event) = received(&headers, sample.body, &keys()).unwrap();
        assert_eq!(provider, sample.provider);
        let Event::Push(addresses) = event else {
            panic!("{provider:?}: no push")
        };
        assert_eq!(addresses, sample.names, "{provider:?}");
        let mut without = headers.clone();
        without.remove(sample.proven_by(b"").0);
        assert_eq!(
            received(&without, sample.body, &keys()),
            None,
            "{provider:?}"
        );
        let said = provider.refusal(&headers);
        assert!(said.contains(" does not fit `webhook."), "{said}");
        let said = provider.refusal(&without);
        assert!(said.starts_with("no "), "{said}");
        assert!(said.contains(sample.proven_by(b"").0), "{said}");
        let none = Keys::default();
        assert_eq!(received(&headers, sample.body, &none), None, "{provider:?}");
    }
}

#[test]
fn what_is_no_push_wakes_nobody() {
    let other = [
        ("x-github-event", "issues"),
        ("x-gitea-event", "issues"),
        ("x-gogs-event", "release"),
        ("x-event-key", "pr:opened"),
    ];
    for sample in &SAMPLES {
        let mut headers = sample.headers(sample.body);
        let mut body = sample.body.to_vec();
        for (name, value) in other {
            if headers.contains_key(name) {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        if matches!(sample.provider, Provider::GitLab | Provider::AzureDevOps) {
            let text = String::from_utf8(body).unwrap();
            let text = text.replace("\"push\"", "\"note\"");
            body = text.replace("\"git.push\"", "\"build.complete\"").into();
            headers = sample.headers(&body);
        }
        let (_, event) = received(&headers, &body, &keys()).unwrap();
        assert_eq!(event, Event::Other, "{:?}", sample.provider);
    }
}

#[test]
fn hooks_of_bitbucket_are_known_with_and_without_braces() {
    let sample = &SAMPLES[4];
    for (set, sent) in [("{id-1}", "id-1"), ("id-1", "{id-1}"), ("{id-1}", "{id-1}")] {
        let keys = Keys {
            secrets: vec![Secret::from(set)],
            ..Keys::default()
        };
        let mut headers = sample.headers(sample.body);
        headers.insert("x-hook-uuid", HeaderValue::from_str(sent).unwrap());
        assert!(
            received(&headers, sample.body, &keys).is_some(),
            "{set} {sent}"
        );
        headers.insert("x-hook-uuid", HeaderValue::from_static("id-2"));
        assert!(received(&headers, sample.body, &keys).is_none());
    }
}

#[test]
fn a_password_without_its_user_opens_nothing() {
    let sample = &SAMPLES[6];
    let mut headers = sample.headers(sample.body);
    // :It's a Secret to Everybody
    let nobody = "Basic Okl0J3MgYSBTZWNyZXQgdG8gRXZlcnlib2R5";
    headers.insert("authorization", HeaderValue::from_static(nobody));
    assert_eq!(received(&headers, sample.body, &keys()), None);
    let anonymous = Keys {
        username: None,
        ..keys()
    };
    assert!(received(&headers, sample.body, &anonymous).is_some());
}

/// Changes some bytes as a broken or a hostile sender might.
fn changed(random: &mut StdRng, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..=bytes.len());
        let to = random.random_range(at..=bytes.len().min(at + 40));
        let piece: Vec<u8> = match random.random_range(0..8) {
            0 => Vec::new(),
            1 => vec![random.random()],
            2 => b"null".to_vec(),
            3 => b"[".repeat(random.random_range(1..400)),
            4 => br#"{"repository":"#.repeat(random.random_range(1..200)),
            5 => b"-1e999999".to_vec(),
            6 => br#""\ud800\u0000""#.to_vec(),
            _ => bytes[..random.random_range(0..=bytes.len())].to_vec(),
        };
        bytes.splice(at..to, piece);
    }
    bytes
}

#[test]
fn whatever_comes_is_refused_or_read_and_nothing_unproven_is_read() {
    let mut random = StdRng::seed_from_u64(7);
    let keys = keys();
    let (mut refused, mut read) = (0, 0);
    for sample in &SAMPLES {
        for _ in 0..ROUNDS {
            let body = changed(&mut random, sample.body);
            // As it was signed: of a changed body the signature is wrong.
            let stale = sample.headers(sample.body);
            if sample.signs_the_body() && body != sample.body {
                assert_eq!(
                    received(&stale, &body, &keys),
                    None,
                    "{:?}",
                    sample.provider
                );
                refused += 1;
            }
            // Signed anew: it is read, or said not to be what the provider sends.
            if let Some((_, Event::Push(addresses))) =
                received(&sample.headers(&body), &body, &keys)
            {
                read += 1;
                let places: Vec<String> = addresses
                    .iter()
                    .map(|url| domain::repository::place(url))
                    .collect();
                assert_eq!(places.len(), addresses.len());
            }
        }
    }
    assert!(refused > ROUNDS && read > ROUNDS / 4, "{refused} {read}");
}

#[test]
fn a_changed_proof_proves_nothing() {
    let mut random = StdRng::seed_from_u64(8);
    let keys = keys();
    let mut tried = 0;
    for sample in &SAMPLES {
        let (name, right) = sample.proven_by(sample.body);
        for _ in 0..ROUNDS {
            let given = changed(&mut random, right.as_bytes());
            let Ok(value) = HeaderValue::from_bytes(&given) else {
                continue;
            };
            // What decodes to the same is the same: the case of hexadecimal digits and of `Basic`, and what is around.
            let text = String::from_utf8_lossy(&given).trim().to_lowercase();
            if text == right.to_lowercase() || text == format!("{{{}}}", right.to_lowercase()) {
                continue;
            }
            let mut headers = sample.headers(sample.body);
            headers.insert(name, value);
            let got = received(&headers, sample.body, &keys);
            let pair = (got, &sample.provider);
            assert!(pair.0.is_none(), "{pair:?} {given:?}");
            tried += 1;
        }
    }
    assert!(tried > ROUNDS * 3, "{tried}");
}

#[test]
fn headers_of_all_providers_at_once_are_judged_as_one_providers() {
    let mut random = StdRng::seed_from_u64(9);
    let keys = keys();
    for _ in 0..ROUNDS {
        let body = SAMPLES[random.random_range(0..SAMPLES.len())].body;
        let mut headers = HeaderMap::new();
        for sample in &SAMPLES {
            for (name, value) in sample.headers(sample.body).iter() {
                if random.random_ratio(1, 2) {
                    headers.insert(name, value.clone());
                }
            }
        }
        if let Some((provider, _)) = received(&headers, body, &keys) {
            // Gitea's proof may come under Gogs' name, and the other way round.
            let related = [Provider::Gitea, Provider::Gogs];
            let known = SAMPLES.iter().filter(|one| {
                one.provider == provider
                    || related.contains(&one.provider) && related.contains(&provider)
            });
            let mut proofs = known.map(|one| one.proven_by(b"").0);
            assert!(
                proofs.any(|proof| headers.contains_key(proof)),
                "{provider:?}"
            );
        }
    }
}

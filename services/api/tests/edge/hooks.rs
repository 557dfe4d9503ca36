//! Webhooks of every provider, with the secrets as a tenant sets them.

use anyhow::{Result, ensure};
use hmac::{Hmac, Mac};
use reqwest::{Client, RequestBuilder};
use serde_json::json;
use sha2::Sha256;

use crate::bounds::{Bounds, ONE, TWO, status};

/// How a provider proves that it is one.
enum Proof {
    /// A header with the secret, behind this.
    Told(&'static str, &'static str),
    /// A header with the signature, behind this.
    Signed(&'static str, &'static str),
    /// This user, and the secret as the password.
    Basic(&'static str),
}

struct Hook {
    key: &'static str,
    headers: &'static [(&'static str, &'static str)],
    proof: Proof,
    body: &'static [u8],
}

macro_rules! payload {
    ($name:literal) => {
        include_bytes!(concat!("../../src/webhook/payloads/", $name, ".json"))
    };
}

const HOOKS: [Hook; 8] = [
    Hook {
        key: "webhook.github.secret",
        headers: &[("x-github-event", "push")],
        proof: Proof::Signed("x-hub-signature-256", "sha256="),
        body: payload!("github"),
    },
    Hook {
        key: "webhook.gitlab.secret",
        headers: &[("x-gitlab-event", "Push Hook")],
        proof: Proof::Told("x-gitlab-token", ""),
        body: payload!("gitlab"),
    },
    Hook {
        key: "webhook.gitea.secret",
        headers: &[
            ("x-gitea-event", "push"),
            ("x-gogs-event", "push"),
            ("x-github-event", "push"),
        ],
        proof: Proof::Signed("x-gitea-signature", ""),
        body: payload!("gitea"),
    },
    // As Argo CD has it: Gitea's under Gogs' key.
    Hook {
        key: "webhook.gogs.secret",
        headers: &[
            ("x-gitea-event", "push"),
            ("x-gogs-event", "push"),
            ("x-github-event", "push"),
        ],
        proof: Proof::Signed("x-gogs-signature", ""),
        body: payload!("gitea"),
    },
    Hook {
        key: "webhook.gogs.secret",
        headers: &[("x-gogs-event", "push"), ("x-github-event", "push")],
        proof: Proof::Signed("x-gogs-signature", ""),
        body: payload!("gogs"),
    },
    Hook {
        key: "webhook.bitbucket.uuid",
        headers: &[("x-event-key", "repo:push")],
        proof: Proof::Told("x-hook-uuid", ""),
        body: payload!("bitbucket"),
    },
    Hook {
        key: "webhook.bitbucketserver.secret",
        headers: &[("x-event-key", "repo:refs_changed")],
        proof: Proof::Signed("x-hub-signature", "sha256="),
        body: payload!("bitbucket-server"),
    },
    Hook {
        key: "webhook.azuredevops.password",
        headers: &[("x-vss-activityid", "5b2a3f2e")],
        proof: Proof::Basic("hooks"),
        body: payload!("azure-devops"),
    },
];

impl Hook {
    fn sent(&self, to: &str, secret: &str, body: &[u8]) -> RequestBuilder {
        let mut sent = Client::new().post(to).body(body.to_vec());
        for (name, value) in self.headers {
            sent = sent.header(*name, *value);
        }
        match self.proof {
            Proof::Told(header, before) => sent.header(header, format!("{before}{secret}")),
            Proof::Signed(header, before) => {
                let mut mac =
                    Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
                mac.update(body);
                let signature = hex::encode(mac.finalize().into_bytes());
                sent.header(header, format!("{before}{signature}"))
            }
            Proof::Basic(user) => sent.basic_auth(user, Some(secret)),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_providers_webhook_is_taken_with_its_own_secret_alone() -> Result<()> {
    let bounds = Bounds::open("api_edge_providers", json!({})).await?;
    for hook in &HOOKS {
        let here = bounds.url(ONE, "/api/webhook");
        // What a new tenant was given opens nothing to whoever guesses, or knows nothing.
        for guess in ["", "guess"] {
            let answer = hook.sent(&here, guess, hook.body).send().await?;
            assert_eq!(status(&answer), 401, "{} {guess:?}", hook.key);
            // Without its id Bitbucket Cloud's is taken for Bitbucket Server's.
            let said = answer.text().await?;
            assert!(
                guess.is_empty() || said.contains(&format!("`{}`", hook.key)),
                "{}: {said}",
                hook.key
            );
        }
        let secret = format!("secret of {}", hook.key);
        let change =
            |key: &str, value: &str| json!({"object": "argocd-secret", "key": key, "value": value});
        let changes = json!({"changes": [
            change(hook.key, &secret),
            change("webhook.azuredevops.username", "hooks"),
        ]});
        let set = Client::new().patch(bounds.url(ONE, "/api/naru/v1/settings"));
        let set = set.bearer_auth(&bounds.one).json(&changes).send().await?;
        ensure!(set.status() == 200, "{}: {}", hook.key, set.text().await?);
        let answer = hook.sent(&here, &secret, hook.body).send().await?;
        assert_eq!(
            status(&answer),
            200,
            "{}: {}",
            hook.key,
            answer.text().await?
        );
        // Signed as it should be, but not what the provider sends.
        let answer = hook
            .sent(&here, &secret, b"{\"repository\":[1")
            .send()
            .await?;
        assert_eq!(status(&answer), 400, "{}", hook.key);
        // Another tenant has another secret.
        let there = hook.sent(&bounds.url(TWO, "/api/webhook"), &secret, hook.body);
        assert_eq!(status(&there.send().await?), 401, "{}", hook.key);
    }
    let to = bounds.url(ONE, "/api/webhook");
    // Bitbucket Server tries the connection without a signature, and nothing comes of it.
    let ping = Client::new()
        .post(&to)
        .header("x-event-key", "diagnostics:ping");
    assert_eq!(status(&ping.body("{\"test\":true}").send().await?), 200);
    let unknown = Client::new().post(&to).body("{}").send().await?;
    assert_eq!(status(&unknown), 400);
    Ok(())
}

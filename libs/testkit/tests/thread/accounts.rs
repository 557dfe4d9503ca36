//! `argocd account`, `login`, `logout` and `relogin`, by two accounts of one tenant, over gRPC and gRPC-web: the examples
//! of docs/accounts.md.

use anyhow::{Context, Result};
use testkit::client::Client;
use testkit::platform::{self, Tenant};

use crate::{code, said, set};

async fn run(client: &Client, web: bool, expected: i32, args: &[&str]) -> Result<String> {
    let mut args = args.to_vec();
    if web {
        args.push("--grpc-web");
    }
    let output = client.argocd(&args).await?;
    assert_eq!(
        code(&output),
        expected,
        "argocd {}:\n{}",
        args.join(" "),
        said(&output)
    );
    Ok(said(&output))
}

async fn walk(tenant: &Tenant, web: bool) -> Result<()> {
    let admin = &tenant.client;
    let go = async |expected: i32, args: &[&str]| run(admin, web, expected, args).await;
    set(tenant, "argocd-cm", "accounts.bob", "login, apiKey").await?;

    let list = go(0, &["account", "list"]).await?;
    assert!(list.contains("admin") && list.contains("bob"), "{list}");
    assert!(list.contains("login, apiKey"), "{list}");
    let info = go(0, &["account", "get-user-info"]).await?;
    assert!(
        info.contains("Logged In: true") && info.contains("Username: admin"),
        "{info}"
    );
    let bob = go(0, &["account", "get", "--account", "bob"]).await?;
    assert!(bob.contains("bob") && bob.contains("NONE"), "{bob}");
    let hash = go(0, &["account", "bcrypt", "--password", "made-by-bcrypt"]).await?;
    assert!(hash.starts_with("$2"), "{hash}");
    // A hash made by the command is one that the settings take, and a login reads.
    set(
        tenant,
        "argocd-secret",
        "accounts.bob.password",
        hash.trim(),
    )
    .await?;
    Client::login(admin.base(), "bob", "made-by-bcrypt").await?;

    let others = [
        "account",
        "update-password",
        "--account",
        "bob",
        "--current-password",
        &tenant.password,
        "--new-password",
        "bobs-password",
    ];
    assert!(go(0, &others).await?.contains("Password updated"));
    let bobs = Client::new(admin.base())?;
    let login = [
        "login",
        bobs.server(),
        "--username",
        "bob",
        "--password",
        "bobs-password",
    ];
    run(&bobs, web, 0, &login).await?;
    let own = [
        "account",
        "update-password",
        "--current-password",
        "bobs-password",
        "--new-password",
        "bobs-own-password",
    ];
    // The command signs in anew with the new password by itself.
    run(&bobs, web, 0, &own).await?;
    let info = run(&bobs, web, 0, &["account", "get-user-info"]).await?;
    assert!(info.contains("Username: bob"), "{info}");
    let bobs = Client::login(admin.base(), "bob", "bobs-own-password").await?;
    let wrong = [
        "account",
        "update-password",
        "--current-password",
        "not-this-one",
        "--new-password",
        "another-password",
    ];
    assert!(
        run(&bobs, web, 20, &wrong)
            .await?
            .contains("current password does not match")
    );

    let token = run(
        &bobs,
        web,
        0,
        &[
            "account",
            "generate-token",
            "--id",
            "ci",
            "--expires-in",
            "1h",
        ],
    )
    .await?;
    let ci = bobs.with_token(token.lines().last().context("no token")?.trim());
    let info = run(&ci, web, 0, &["account", "get-user-info"]).await?;
    assert!(info.contains("Username: bob"), "{info}");
    let shown = run(&bobs, web, 0, &["account", "get"]).await?;
    assert!(shown.contains("ci"), "{shown}");
    run(&bobs, web, 0, &["account", "delete-token", "ci"]).await?;
    assert!(
        run(&ci, web, 20, &["account", "list"])
            .await?
            .contains("does not have token with id ci")
    );
    let refused = go(20, &["account", "generate-token"]).await?;
    assert!(
        refused.contains("does not have apiKey capability"),
        "{refused}"
    );
    let missing = go(20, &["account", "get", "--account", "nobody"]).await?;
    assert!(
        missing.contains("account 'nobody' does not exist"),
        "{missing}"
    );

    set(tenant, "argocd-cm", "accounts.bob.enabled", "false").await?;
    assert!(
        run(&bobs, web, 20, &["account", "list"])
            .await?
            .contains("account bob is disabled")
    );
    Ok(())
}

#[tokio::test]
async fn the_account_command_walks_through_over_grpc() -> Result<()> {
    walk(&platform::tenant("accounts").await?, false).await
}

#[tokio::test]
async fn the_account_command_walks_through_over_grpc_web() -> Result<()> {
    walk(&platform::tenant("accounts-web").await?, true).await
}

#[tokio::test]
async fn logging_in_out_and_in_again() -> Result<()> {
    let tenant = platform::tenant("relogin").await?;
    let nobody = Client::new(tenant.client.base())?;
    let server = tenant.client.server().to_owned();
    let login = [
        "login",
        &server,
        "--username",
        "admin",
        "--password",
        &tenant.password,
    ];
    let done = run(&nobody, false, 0, &login).await?;
    assert!(
        done.contains("'admin:login' logged in successfully"),
        "{done}"
    );
    let again = ["relogin", "--password", &tenant.password];
    let done = run(&nobody, false, 0, &again).await?;
    assert!(done.contains("Relogging in as 'admin'"), "{done}");
    let out = run(&nobody, false, 0, &["logout", &server]).await?;
    assert!(out.contains("Logged out"), "{out}");
    Ok(())
}

//! A tip that is fetched in process: as Git fetches it, and in Git's own way wherever the answer is another than it should be.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What a request for a pack that is made in process is answered with.
#[derive(Clone)]
enum Script {
    Straight,
    Silent,
    /// To whoever wants a commit that begins so, in whatever way.
    SilentAbout(String),
    Bytes(Vec<u8>),
    /// And the connection stays open.
    Held(Vec<u8>),
}

/// Stands before a server, and has a script for one sort of requests; what else comes passes.
#[derive(Clone)]
struct Before {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    asked: Arc<AtomicUsize>,
}

impl Before {
    async fn start(behind: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let this = Self {
            address: listener.local_addr().unwrap(),
            script: Arc::new(Mutex::new(Script::Straight)),
            asked: Arc::default(),
        };
        let of_all = this.clone();
        #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let this = of_all.clone();
                // Who breaks off is nobody's concern.
                tokio::spawn(async move { this.pass(stream, behind).await.ok() });
            }
        });
        this
    }

    fn set(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn pass(&self, mut client: TcpStream, behind: SocketAddr) -> std::io::Result<()> {
        let mut server = TcpStream::connect(behind).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (mut client_in, mut client_out) = client.split();
        let (mut server_in, mut server_out) = server.split();
        let forth = async {
            let mut part = vec![0; 64 << 10];
            loop {
                let mut request = Vec::new();
                while request.is_empty() || !is_whole(&request) {
                    let read = client_in.read(&mut part).await?;
                    if read == 0 {
                        return Ok::<Option<(Vec<u8>, bool)>, std::io::Error>(None);
                    }
                    request.extend_from_slice(&part[..read]);
                }
                let script = self.script.lock().unwrap().clone();
                if let Script::SilentAbout(commits) = &script
                    && text(&request).contains(&format!("want {commits}"))
                {
                    self.asked.fetch_add(1, Ordering::SeqCst);
                    std::future::pending::<()>().await;
                }
                if is_ours(&request) && text(&request).contains("command=fetch") {
                    self.asked.fetch_add(1, Ordering::SeqCst);
                    match script {
                        Script::Straight | Script::SilentAbout(_) => {}
                        Script::Silent => std::future::pending().await,
                        Script::Bytes(answer) => return Ok(Some((answer, true))),
                        Script::Held(answer) => return Ok(Some((answer, false))),
                    }
                }
                server_out.write_all(&request).await?;
            }
        };
        let answer: std::io::Result<Option<(Vec<u8>, bool)>> = tokio::select! {
            answer = forth => answer,
            _ = tokio::io::copy(&mut server_in, &mut client_out) => Ok(None),
        };
        if let Some((answer, ends)) = answer? {
            client_out.write_all(&answer).await?;
            if ends {
                client_out.shutdown().await?;
            }
            // What is still on its way must not reset the connection before the answer is read.
            tokio::io::copy(&mut client_in, &mut tokio::io::sink()).await?;
        }
        Ok(())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).to_lowercase()
}

/// Whether a request is made in process, and not by Git.
fn is_ours(request: &[u8]) -> bool {
    text(request).contains("user-agent: git/naru")
}

/// Whether all of a request has come; what is none of ours passes as it comes.
fn is_whole(request: &[u8]) -> bool {
    let request = text(request);
    let Some((head, body)) = request.split_once("\r\n\r\n") else {
        return !request.contains("user-agent: git/naru");
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.parse().unwrap());
    !is_ours(head.as_bytes()) || body.len() >= length
}

fn packet(content: &[u8]) -> Vec<u8> {
    let mut packet = format!("{:04x}", content.len() + 4).into_bytes();
    packet.extend_from_slice(content);
    packet
}

/// An answer of HTTP that says that it has so many bytes more than it has.
fn http(status: &str, body: &[u8], missing: usize) -> Script {
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/x-git-upload-pack-result\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len() + missing
    )
    .into_bytes();
    answer.extend_from_slice(body);
    Script::Bytes(answer)
}

/// What follows the beginning of an answer with a pack.
fn begun(rest: &[Vec<u8>]) -> Script {
    let body = [packet(b"packfile\n"), rest.concat()].concat();
    http("200 OK", &body, 0)
}

/// A pack in packets, and what ends them.
fn packets(pack: &[u8]) -> Vec<Vec<u8>> {
    let packets = pack
        .chunks(60_000)
        .map(|part| packet(&[&[1][..], part].concat()));
    packets.chain([b"0000".to_vec()]).collect()
}

/// An answer that is as it should be, with this pack.
fn whole(pack: &[u8]) -> Script {
    begun(&packets(pack))
}

/// One that HTTP does not end.
fn endless(pack: &[u8]) -> Script {
    let body = [packet(b"packfile\n"), packets(pack).concat()].concat();
    match http("200 OK", &body, 1_000) {
        Script::Bytes(answer) => Script::Held(answer),
        other => other,
    }
}

/// One that has no pack.
fn said(text: &[u8]) -> Script {
    http("200 OK", &packet(text), 0)
}

/// What an answer may be that none should.
const UNUSUAL: [&str; 15] = [
    "a cut",
    "an early end",
    "a pack that ends early",
    "an error half way",
    "another channel",
    "no packet",
    "more than a pack",
    "rubbish",
    "a wrong byte",
    "a pack without the commit",
    "a pack without a file",
    "a shallow repository",
    "a refusal",
    "a page",
    "500",
];

/// A server whose answers can be written here, and one that has a mirror of it.
struct Scripted {
    world: World,
    before: Before,
    access: Access,
}

impl Scripted {
    async fn new() -> Self {
        let world = World::new().await;
        let before = Before::start(world.server.address).await;
        let url = format!("http://{}/user01/base.git", before.address);
        let login = world.login.clone();
        let access = Access::new("tenant", "", &url, login, Rules::default()).unwrap();
        let this = Self {
            world,
            before,
            access,
        };
        let first = this.world.push(1).await;
        this.fetch(&this.world.mirrors, &first).await.unwrap();
        assert_eq!(
            this.before.asked(),
            0,
            "there is nothing that it is added to"
        );
        this
    }

    fn bare(&self) -> PathBuf {
        self.world.folder.path().join("git/user01/base.git")
    }

    /// As after a push: it is listed, and then fetched.
    async fn fetch(&self, mirrors: &Mirrors, commit: &str) -> Result<(), source::Error> {
        let refs = mirrors.list_refs(&self.access, true).await?;
        assert_eq!(refs.refs["refs/heads/main"], commit);
        let snapshot = mirrors.ensure_commit(&self.access, commit).await?;
        assert_eq!(snapshot.commit(), commit);
        snapshot.read(|files| files.find("file-1").map(drop)).await
    }

    /// The one mirror below a folder.
    fn mirror(&self, name: &str) -> PathBuf {
        let tenant = self.world.folder.path().join(name).join("mirrors/tenant");
        let mut all = std::fs::read_dir(tenant).unwrap();
        let mirror = all.next().unwrap().unwrap().path();
        assert!(all.next().is_none());
        mirror
    }

    /// Nothing is missing in the mirror, and nothing lies beside it.
    fn check(&self, after: &str) {
        run("git", &self.mirror("data"), &["fsck", "--full", "--strict"]);
        assert_eq!(self.world.leftovers(), Vec::<PathBuf>::new(), "{after}");
        let aside = walk(&self.world.folder.path().join("data/tmp"));
        assert_eq!(aside, Vec::<PathBuf>::new(), "{after}");
    }

    /// The objects that a commit brought: itself first.
    fn brought(&self, commit: &str) -> Vec<git2::Oid> {
        let range = format!("{commit}~1..{commit}");
        let said = run("git", &self.bare(), &["rev-list", "--objects", &range]);
        let ids = said.lines().map(|line| git2::Oid::from_str(&line[..40]));
        let ids: Vec<git2::Oid> = ids.map(Result::unwrap).collect();
        assert!(ids.len() > 2 && ids[0].to_string() == commit);
        ids
    }

    /// One of those answers, to who wants the first of these.
    fn unusual(&self, what: &str, ids: &[git2::Oid]) -> Script {
        let pack = self.pack(ids);
        let half = packet(&[&[1][..], &pack[..pack.len() / 2]].concat());
        match what {
            "a cut" => {
                let body = [packet(b"packfile\n"), half].concat();
                http("200 OK", &body, 1_000)
            }
            "an early end" => begun(&[half]),
            "a pack that ends early" => begun(&[half, b"0000".to_vec()]),
            "an error half way" => begun(&[half, packet(b"\x03fatal: out of it")]),
            "another channel" => begun(&[half, packet(b"\x07x")]),
            "no packet" => begun(&[half, b"fffg".to_vec()]),
            "more than a pack" => whole(&[&pack[..], &b"more"[..]].concat()),
            "rubbish" => whole(&rubbish()),
            "a wrong byte" => {
                let (mut wrong, middle) = (pack.clone(), pack.len() / 2);
                wrong[middle] ^= 0x55;
                whole(&wrong)
            }
            "a pack without the commit" => whole(&self.pack(&ids[1..])),
            "a pack without a file" => whole(&self.pack(&ids[..ids.len() - 1])),
            "a shallow repository" => said(b"shallow-info\n"),
            "a refusal" => said(b"ERR not today\n"),
            "a page" => http("200 OK", b"<html>", 0),
            "500" => http("500 Internal Server Error", b"", 0),
            what => panic!("{what}"),
        }
    }

    fn pack(&self, ids: &[git2::Oid]) -> Vec<u8> {
        let repository = git2::Repository::open_bare(self.bare()).unwrap();
        let (mut packed, mut pack) = (repository.packbuilder().unwrap(), git2::Buf::new());
        for id in ids {
            packed.insert_object(*id, None).unwrap();
        }
        packed.write_buf(&mut pack).unwrap();
        pack.to_vec()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tip_that_is_fetched_in_process_is_what_git_fetches() {
    let this = Scripted::new().await;
    let mirrors = &this.world.mirrors;
    let mut commit = String::new();
    for seed in 2..6 {
        commit = this.world.push(seed).await;
        this.fetch(mirrors, &commit).await.unwrap();
        assert_eq!(this.before.asked() as u64, seed - 1);
    }
    // One that was pushed over, on which nothing is that the branch had last.
    let bare = this.bare();
    let who = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
    let older = format!("{commit}~2");
    let tree = format!("{commit}~1^{{tree}}");
    let made = ["commit-tree", &tree, "-p", &older, "-m", "over"];
    let over = run("git", &bare, &[&who[..], &made[..]].concat());
    run("git", &bare, &["update-ref", "refs/heads/main", &over]);
    this.fetch(mirrors, &over).await.unwrap();
    assert_eq!(this.before.asked(), 5);
    this.check("five of them");

    let others = this.world.mirrors_at("others");
    others.ensure_commit(&this.access, &over).await.unwrap();
    assert_eq!(this.before.asked(), 5);
    let all = |name: &str| {
        let mirror = this.mirror(name);
        let refs = run("git", &mirror, &["for-each-ref"]);
        let objects = run("git", &mirror, &["rev-list", "--objects", "--all"]);
        (refs, objects)
    };
    assert_eq!(all("data"), all("others"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_unusual_leaves_nothing_and_git_fetches_the_same() {
    let this = Scripted::new().await;
    let mirrors = &this.world.mirrors;
    let mut seed = 1;
    for what in UNUSUAL {
        // One that is as it should be, after which the server is asked so again.
        for odd in [false, true] {
            seed += 1;
            let commit = this.world.push(seed).await;
            let ids = this.brought(&commit);
            if odd {
                this.before.set(this.unusual(what, &ids));
            }
            let asked = this.before.asked();
            let fetched = this.fetch(mirrors, &commit).await;
            assert!(fetched.is_ok(), "{what}: {fetched:?}");
            assert_eq!(this.before.asked(), asked + 1, "{what}");
            this.before.set(Script::Straight);
            this.check(what);
        }
    }
    // What those are made of is taken where nothing is wrong with it.
    let commit = this.world.push(seed + 1).await;
    let pack = this.pack(&this.brought(&commit));
    this.before.set(whole(&pack));
    this.fetch(mirrors, &commit).await.unwrap();
    this.before.set(Script::Straight);
    this.check("a pack from here");

    // A server that is always so is not asked so for ever.
    let asked = this.before.asked();
    for again in 2..8 {
        this.before.set(said(b"ERR not today\n"));
        let commit = this.world.push(seed + again).await;
        this.fetch(mirrors, &commit).await.unwrap();
    }
    assert_eq!(this.before.asked(), asked + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_no_reason_to_ask_so_no_more() {
    let this = Scripted::new().await;
    // In a row, and more of them than a server may refuse.
    let passing = [
        "500",
        "a cut",
        "an early end",
        "an error half way",
        "a page",
    ];
    for (seed, what) in passing.into_iter().enumerate() {
        let commit = this.world.push(seed as u64 + 2).await;
        this.before.set(this.unusual(what, &this.brought(&commit)));
        this.fetch(&this.world.mirrors, &commit).await.unwrap();
        assert_eq!(this.before.asked(), seed + 1, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_without_the_commit_stays_out_of_the_mirror() {
    let this = Scripted::new().await;
    let packs = || {
        let all = walk(&this.mirror("data").join("objects/pack"));
        let packs = all
            .iter()
            .filter(|path| path.extension() == Some("pack".as_ref()));
        packs.count()
    };
    assert_eq!(packs(), 1);
    let commit = this.world.push(2).await;
    let without = this.unusual("a pack without the commit", &this.brought(&commit));
    this.before.set(without);
    this.fetch(&this.world.mirrors, &commit).await.unwrap();
    assert_eq!(this.before.asked(), 1);
    assert_eq!(packs(), 2, "the other is Git's own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_has_come_whole_is_taken_though_its_answer_does_not_end() {
    let this = Scripted::new().await;
    let commit = this.world.push(2).await;
    let pack = this.pack(&this.brought(&commit));
    this.before.set(endless(&pack));
    this.fetch(&this.world.mirrors, &commit).await.unwrap();
    assert_eq!(this.before.asked(), 1);
    this.check("an answer without an end");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_commits_about_which_a_server_is_silent_keep_nobody_from_their_turn_for_long() {
    let this = Scripted::new().await;
    let none = "1".repeat(38);
    this.before.set(Script::SilentAbout(none.clone()));
    let begun = Instant::now();
    let all = (0..12).map(|number| {
        let (mirrors, access) = (&this.world.mirrors, &this.access);
        let commit = format!("{none}{number:02}");
        async move { mirrors.ensure_commit(access, &commit).await }
    });
    for missing in futures::future::join_all(all).await {
        let error = missing.unwrap_err();
        assert_eq!(error.cause().message.code, "source.timeout", "{error}");
    }
    // One after the other they would take six seconds each.
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    assert_eq!(this.before.asked(), 1);
    // Nor is it asked for one that comes just then; for what a branch leads to it is.
    let (mirrors, commit) = (&this.world.mirrors, format!("{none}99"));
    let error = mirrors
        .ensure_commit(&this.access, &commit)
        .await
        .unwrap_err();
    assert_eq!(error.cause().message.code, "source.timeout", "{error}");
    assert_eq!(this.before.asked(), 1);
    let commit = this.world.push(2).await;
    this.fetch(mirrors, &commit).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_git_could_not_make_good_either_is_named_at_once() {
    let this = Scripted::new().await;
    let limits = Limits {
        pack: 1 << 20,
        ..limits()
    };
    let folder = this.world.folder.path();
    let mirrors = Mirrors::new(
        folder.join("small"),
        limits,
        here(),
        Sandbox::new(None),
        None,
    );
    let mirrors = mirrors.unwrap();
    let second = this.world.push(2).await;
    this.fetch(&mirrors, &second).await.unwrap();

    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    let noise: Vec<u8> = noise.take(2_400_000).collect();
    let file = folder.join("noise");
    std::fs::write(&file, noise).unwrap();
    let named = ["hash-object", "-w", file.to_str().unwrap()];
    let blob = git2::Oid::from_str(&run("git", &this.bare(), &named)).unwrap();
    let bomb = this.pack(&[blob]);
    assert!(bomb.len() > 2 << 20);

    let moods = [
        (
            "401",
            http("401 Unauthorized", b"who are you?", 0),
            Some(("source.login-refused", Kind::Denied)),
        ),
        (
            "a bomb",
            whole(&bomb),
            Some(("source.too-large", Kind::TooLarge)),
        ),
        // Every branch is fetched then.
        (
            "one that has it no more",
            said(b"ERR upload-pack: not our ref 1"),
            None,
        ),
        // The last: for a while it is not asked in process then.
        (
            "silence",
            Script::Silent,
            Some(("source.silent", Kind::Unreachable)),
        ),
    ];
    for (seed, (what, script, expected)) in moods.into_iter().enumerate() {
        let next = this.world.push(seed as u64 + 3).await;
        this.before.set(script);
        let (asked, begun) = (this.before.asked(), Instant::now());
        let fetched = this.fetch(&mirrors, &next).await;
        let found = fetched.as_ref().err().map(|error| {
            let code = error.cause().message.code.as_str();
            (code, error.kind())
        });
        assert_eq!(found, expected, "{what}: {fetched:?}");
        assert!(begun.elapsed() < BOUND, "{what}: {:?}", begun.elapsed());
        assert_eq!(this.before.asked(), asked + 1, "{what}");
        this.before.set(Script::Straight);
        this.fetch(&mirrors, &next).await.unwrap();
        run(
            "git",
            &this.mirror("small"),
            &["fsck", "--full", "--strict"],
        );
        let aside = walk(&folder.join("small/tmp"));
        assert_eq!(aside, Vec::<PathBuf>::new(), "{what}");
    }
}

//! A commit fetched over HTTP in process: one request, whose pack goes as it comes to the one child that checks it.
//!
//! It is asked for as protocol 2 has it, with commits that the mirror has and without waiting for what the server makes of them:
//! at worst more is sent than is needed. The child puts it aside, where it is thrown away whole unless all of it is as it should be.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use git2::{Odb, Oid};
use reqwest::RequestBuilder;
use sandbox::Sandbox;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;

use super::access::Access;
use super::command::{self, Bounds};
use super::http::{self, Clients, Time};
use super::mirror::too_large;
use super::pkt::{Malformed, Raw, line, raw};
use super::places::silent;
use crate::error::{Error, Kind};

/// How long a server may be silent, before its answer and within it: no more than two thirds of the time that there is. While a server
/// of Git's makes a pack ready it says every five seconds that it does.
const SILENCE: Duration = Duration::from_secs(30);
/// How long an answer that has come whole may take to end.
const ENDING: Duration = Duration::from_secs(1);

/// What a fetch is made with.
#[derive(Clone, Copy)]
pub(super) struct Means<'a> {
    pub(super) clients: &'a Clients,
    pub(super) sandbox: &'a Sandbox,
    /// Where a pack is put aside.
    pub(super) temporary: &'a Path,
    pub(super) deadline: Duration,
    pub(super) bounds: Bounds,
}

/// Fetches a commit into a mirror that has these.
///
/// # Errors
/// With [`Kind::Unreachable`] and [`Kind::Corrupt`] also where only this way of asking may be at fault. That the server is silent is told
/// before its time is over.
pub(super) async fn fetch(
    means: Means<'_>,
    access: &Access,
    mirror: &Path,
    commit: &str,
    haves: &[String],
) -> Result<(), Error> {
    let client = means.clients.get(access)?;
    let request = http::question(&client, access, wanted(commit, haves));
    let aside = tempfile::Builder::new()
        .prefix("pack-")
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir_in(means.temporary)
        .map_err(Error::disk)?;
    std::fs::create_dir(aside.path().join("pack")).map_err(Error::disk)?;
    let time = Time::of(access, means.deadline);
    let most = means.bounds.file_size;
    let silence = SILENCE.min(means.deadline / 3 * 2);
    let feeding = |input| feed(access, (&time, silence), request, most, input);
    let (sandbox, deadline) = (means.sandbox, means.deadline);
    let folders = (mirror, aside.path());
    let taken = command::index(sandbox, access, folders, deadline, means.bounds, feeding);
    let name = taken.await?;
    let (mirror, wanted) = (mirror.to_owned(), commit.to_owned());
    // With the folder, which stays until then though nobody waits any more.
    let taking = tokio::task::spawn_blocking(move || {
        // Before it is put in: nobody would ever take it out again.
        match has(aside.path(), &wanted) {
            true => put(&name, aside.path(), &mirror).map(|()| true),
            false => Ok(false),
        }
    });
    let taken = taking.await.map_err(Error::internal)?;
    // Another disk, say: Git's own way needs no folder aside.
    let elsewhere = |error: std::io::Error| {
        Error::of(Kind::Corrupt, Error::disk(error).cause().clone()).lasting()
    };
    match taken.map_err(elsewhere)? {
        true => Ok(()),
        false => Err(without(access)),
    }
}

/// That a pack came that has something else.
pub(super) fn without(access: &Access) -> Error {
    command::no_pack(access, "the pack is without the commit").lasting()
}

/// Whether a folder of objects has one of this name.
fn has(objects: &Path, name: &str) -> bool {
    let (Some(objects), Ok(id), Ok(database)) = (objects.to_str(), Oid::from_str(name), Odb::new())
    else {
        return false;
    };
    database.add_disk_alternate(objects).is_ok() && database.exists(id)
}

/// Puts a pack from where it was put aside into a mirror.
fn put(name: &str, aside: &Path, mirror: &Path) -> std::io::Result<()> {
    // The index last: whoever looks for packs looks for that.
    for end in ["pack", "rev", "idx"] {
        let file = format!("pack/pack-{name}.{end}");
        let put = std::fs::rename(aside.join(&file), mirror.join("objects").join(&file));
        match put {
            // Not every version of Git writes that one.
            Err(error) if end == "rev" && error.kind() == std::io::ErrorKind::NotFound => {}
            put => put?,
        }
    }
    Ok(())
}

/// What is asked for.
fn wanted(commit: &str, haves: &[String]) -> String {
    let mut body = line("command=fetch");
    body.push_str("0001");
    for option in ["thin-pack", "ofs-delta", "no-progress"] {
        body.push_str(&line(option));
    }
    body.push_str(&line(&format!("want {commit}")));
    for have in haves {
        body.push_str(&line(&format!("have {have}")));
    }
    body.push_str(&line("done"));
    body.push_str("0000");
    body
}

/// What a server does next, unless it is silent for so long. What is done with it meanwhile is none of that.
async fn heard<T>(
    access: &Access,
    silence: Duration,
    next: impl Future<Output = T>,
) -> Result<T, Error> {
    let heard = tokio::time::timeout(silence, next).await;
    heard.map_err(|_| silent(access, silence))
}

/// Asks, and passes the pack on as it comes.
async fn feed(
    access: &Access,
    (time, silence): (&Time<'_>, Duration),
    request: RequestBuilder,
    most: u64,
    mut input: ChildStdin,
) -> Result<(), Error> {
    let answer = heard(access, silence, http::ask(time, request)).await??;
    let mut stream = answer.bytes_stream();
    let (mut answer, mut pack, mut came) = (Answer::default(), Vec::new(), 0_u64);
    while answer.at != At::End {
        let Some(piece) = heard(access, silence, stream.next()).await? else {
            return Err(command::no_pack(access, "the answer ended before the pack"));
        };
        let piece = piece.map_err(|error| http::failed(access, &error))?;
        came = came.saturating_add(piece.len() as u64);
        if came > most {
            let limit = usize::try_from(most).unwrap_or(usize::MAX);
            return Err(too_large(
                &format!("the repository `{}`", access.url()),
                limit,
            ));
        }
        let taken = answer.take(&piece, &mut pack);
        taken.map_err(|odd| odd.cause(answer.at, access, most))?;
        if input.write_all(&pack).await.is_err() {
            // Who does not read on says why.
            return Ok(());
        }
        pack.clear();
    }
    drop(input);
    // A connection whose answer was read to its end serves the next request. Nobody waits for one that does not end.
    let _ = tokio::time::timeout(ENDING, stream.next()).await;
    Ok(())
}

/// How far an answer has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Beginning,
    Pack,
    End,
}

/// Why an answer is none with a pack.
#[derive(Debug, PartialEq, Eq)]
enum Odd {
    Malformed,
    /// It begins with something else than was asked for.
    Part(String),
    /// The server says no.
    Said(String),
}

impl From<Malformed> for Odd {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl Odd {
    /// As a cause, of an answer that has come so far.
    fn cause(&self, at: At, access: &Access, most: u64) -> Error {
        match self {
            Self::Malformed => command::no_pack(access, "the answer is not a Git server's"),
            Self::Part(name) => {
                let why = format!("the answer begins with `{name}`");
                command::no_pack(access, &why).lasting()
            }
            Self::Said(text) => command::said_instead(access, text, at != At::Beginning, most),
        }
    }
}

/// An answer that is read as it comes: no more of it is held than a packet.
#[derive(Debug, Default)]
struct Answer {
    at: At,
    left: Vec<u8>,
}

impl Answer {
    /// Takes the next piece, and adds what it has of the pack.
    fn take(&mut self, piece: &[u8], pack: &mut Vec<u8>) -> Result<(), Odd> {
        self.left.extend_from_slice(piece);
        let mut rest = self.left.as_slice();
        while self.at != At::End
            && let Some((packet, after)) = raw(rest)?
        {
            self.at = match (self.at, packet) {
                (At::Beginning, Raw::Content(b"packfile\n" | b"packfile")) => At::Pack,
                (At::Beginning, Raw::Content(other)) => return Err(instead(other)),
                (At::Pack, Raw::Content([1, data @ ..])) => {
                    pack.extend_from_slice(data);
                    At::Pack
                }
                // How far it has come.
                (At::Pack, Raw::Content([2, ..])) => At::Pack,
                (At::Pack, Raw::Content([3, text @ ..])) => return Err(Odd::Said(shown(text))),
                (At::Pack, Raw::Mark(0)) => At::End,
                _ => return Err(Odd::Malformed),
            };
            rest = after;
        }
        let done = self.left.len() - rest.len();
        self.left.drain(..done);
        Ok(())
    }
}

/// What an answer begins with that is no pack.
fn instead(content: &[u8]) -> Odd {
    match content.strip_prefix(b"ERR ") {
        Some(text) => Odd::Said(shown(text)),
        None => Odd::Part(shown(content)),
    }
}

/// As text, and whole: it is cut where it is told, after secrets are taken out. A packet is not long.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use domain::secret::Secret;

    use super::*;
    use crate::git::{Login, Rules};

    /// What an answer brings that comes in pieces of so many bytes.
    fn read(bytes: &[u8], size: usize) -> Result<(At, Vec<u8>), Odd> {
        let (mut answer, mut pack) = (Answer::default(), Vec::new());
        for piece in bytes.chunks(size) {
            answer.take(piece, &mut pack)?;
            assert!(answer.left.len() < 65_536 + size);
        }
        Ok((answer.at, pack))
    }

    fn packet(content: &[u8]) -> Vec<u8> {
        let mut packet = format!("{:04x}", content.len() + 4).into_bytes();
        packet.extend_from_slice(content);
        packet
    }

    #[test]
    fn a_pack_is_taken_out_of_an_answer_byte_for_byte_however_it_is_cut() {
        let mut large = vec![b'\n'; 65_516];
        large[0] = 1;
        let bytes = [
            packet(b"packfile\n"),
            packet(b"\x02Counting objects\r"),
            packet(b"\x01PACK\n"),
            packet(b"\x01"),
            packet(&large),
            b"0000".to_vec(),
        ]
        .concat();
        let pack = [&b"PACK\n"[..], &large[1..]].concat();
        for size in [1, 7, 4_096, bytes.len()] {
            let (at, came) = read(&bytes, size).unwrap();
            assert!(at == At::End && came == pack, "{size}");
            // Nor is it whole before its end.
            let (at, _) = read(&bytes[..bytes.len() - 1], size).unwrap();
            assert_eq!(at, At::Pack);
        }
    }

    #[test]
    fn what_is_no_pack_is_said_and_not_passed_on() {
        let said = |text: &str| Err(Odd::Said(text.to_owned()));
        let part = |text: &str| Err(Odd::Part(text.to_owned()));
        let begun = |next: &[u8]| [&packet(b"packfile\n")[..], next].concat();
        for (bytes, found) in [
            (
                packet(b"ERR upload-pack: not our ref 1\n"),
                said("upload-pack: not our ref 1"),
            ),
            (packet(b"shallow-info\n"), part("shallow-info")),
            (packet(b"packfile-uris\n"), part("packfile-uris")),
            (packet(b"acknowledgments\n"), part("acknowledgments")),
            (b"0000".to_vec(), Err(Odd::Malformed)),
            (b"<html>".to_vec(), Err(Odd::Malformed)),
            (begun(&packet(b"\x03fatal: x\n")), said("fatal: x")),
            (begun(&packet(b"\x04PACK")), Err(Odd::Malformed)),
            (begun(b"0004"), Err(Odd::Malformed)),
            (begun(b"0001"), Err(Odd::Malformed)),
            (begun(b"fffg"), Err(Odd::Malformed)),
        ] {
            assert_eq!(
                read(&bytes, 3),
                found,
                "{}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }

    #[test]
    fn a_secret_that_a_server_says_is_taken_out_before_its_words_are_cut() {
        let mut login = Login::default();
        login.credentials.password = Some(Secret::from("hunter2-and-more"));
        let access = Access::new("t", "", "https://h/a.git", login, Rules::default()).unwrap();
        // Wherever it is cut.
        for length in 340..410 {
            let text = format!("{} hunter2-and-more", "x".repeat(length));
            for packet in [format!("ERR {text}"), text] {
                let error = instead(packet.as_bytes()).cause(At::Beginning, &access, 1);
                let told = format!("{error:?}");
                assert!(!told.contains("hunt") && told.contains("xxx"), "{told}");
            }
        }
    }

    #[test]
    fn a_server_that_says_no_to_what_it_is_asked_says_so_again_and_one_that_breaks_off_does_not() {
        let login = Login::default();
        let access = Access::new("t", "", "https://h/a.git", login, Rules::default()).unwrap();
        let lasting = |bytes: &[u8]| {
            let (mut answer, mut pack) = (Answer::default(), Vec::new());
            let odd = answer.take(bytes, &mut pack).unwrap_err();
            odd.cause(answer.at, &access, 1).is_lasting()
        };
        let begun = |next: &[u8]| [&packet(b"packfile\n")[..], next].concat();
        for bytes in [
            packet(b"ERR upload-pack: not our ref 1\n"),
            packet(b"ERR not in this way\n"),
            packet(b"acknowledgments\n"),
        ] {
            assert!(lasting(&bytes), "{}", String::from_utf8_lossy(&bytes));
        }
        for bytes in [
            begun(&packet(b"\x03fatal: out of it\n")),
            begun(&packet(b"\x07x")),
            b"<html>".to_vec(),
        ] {
            assert!(!lasting(&bytes), "{}", String::from_utf8_lossy(&bytes));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_may_take_its_time_as_long_as_it_is_heard_of() {
        let login = Login::default();
        let access = Access::new("t", "", "https://h/a.git", login, Rules::default()).unwrap();
        let after = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
        for _ in 0..10 {
            heard(&access, SILENCE, after(29)).await.unwrap();
        }
        let error = heard(&access, SILENCE, after(31)).await.unwrap_err();
        assert_eq!(error.cause().message.code, "source.silent");
        assert_eq!(error.kind(), Kind::Unreachable);
        assert!(error.to_string().contains("30"), "{error}");
    }

    #[test]
    fn what_is_asked_for_is_what_git_asks_for() {
        let [want, have] = ["1", "2"].map(|digit| digit.repeat(40));
        let body = wanted(&want, std::slice::from_ref(&have));
        let asked = format!(
            "0012command=fetch\n0001000ethin-pack\n000eofs-delta\n0010no-progress\n\
             0032want {want}\n0032have {have}\n0009done\n0000"
        );
        assert_eq!(body, asked);
    }

    #[test]
    fn a_pack_is_known_by_what_is_in_it_before_it_is_put_in() {
        let folder = tempfile::tempdir().unwrap();
        let made = git2::Repository::init_bare(folder.path().join("made")).unwrap();
        let [one, two] = ["1", "2"].map(|text| made.blob(text.as_bytes()).unwrap());
        let aside = folder.path().join("aside");
        std::fs::create_dir_all(aside.join("pack")).unwrap();
        assert!(!has(&aside, &one.to_string()));
        let mut packed = made.packbuilder().unwrap();
        packed.insert_object(one, None).unwrap();
        packed.write(&aside.join("pack"), 0).unwrap();
        assert!(has(&aside, &one.to_string()));
        assert!(!has(&aside, &two.to_string()));
        assert!(!has(&folder.path().join("none"), &one.to_string()));
    }

    #[test]
    fn a_pack_is_put_in_whole() {
        let folder = tempfile::tempdir().unwrap();
        let [aside, mirror] = ["aside", "mirror"].map(|name| folder.path().join(name));
        std::fs::create_dir_all(aside.join("pack")).unwrap();
        std::fs::create_dir_all(mirror.join("objects/pack")).unwrap();
        let there = |end: &str| mirror.join(format!("objects/pack/pack-1.{end}")).exists();
        for end in ["pack", "idx"] {
            std::fs::write(aside.join(format!("pack/pack-1.{end}")), "").unwrap();
        }
        put("1", &aside, &mirror).unwrap();
        assert!(there("pack") && there("idx") && !there("rev"));
        std::fs::write(aside.join("pack/pack-2.idx"), "").unwrap();
        assert!(put("2", &aside, &mirror).is_err());
        assert!(aside.join("pack/pack-2.idx").exists());
    }
}

//! The archives of charts, artifacts and folders, unpacked without trusting any word in them: nothing is written to a path
//! that they name.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use tar::EntryType;

/// The most that an archive may unpack to.
const MAX_UNPACKED: u64 = 64 << 20;
/// The largest single file, as everywhere.
const MAX_FILE: u64 = 16 << 20;
/// The most entries, folders included.
const MAX_ENTRIES: u64 = 10_000;
/// The longest path, and the most folders on the way.
const MAX_PATH: usize = 1024;
const MAX_DEPTH: usize = 64;
/// What a header takes.
const BLOCK: u64 = 512;
/// What is said of an archive that is larger than it may be.
const ENDLESS: &str = "it unpacks to more than 64 MiB";

/// The files of an archive by their paths.
pub(super) type Tree = BTreeMap<String, Entry>;

/// What stands at a path of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A file.
    File(Vec<u8>),
    /// A symbolic link that leads to another path of the archive, as it is written.
    Link(String),
}

/// Whose an archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// A chart's: one folder, whose name is dropped, and no links.
    Chart,
    /// An artifact's, or that of a folder which somebody sends: everything as it is.
    Artifact,
}

/// How an archive is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// tar, then gzip.
    TarGzip,
    /// tar alone.
    Tar,
}

/// Unpacks an archive.
///
/// # Errors
/// What is wrong with it, for the cause that names it.
pub(super) fn unpack(bytes: &[u8], layout: Layout, packing: Packing) -> Result<Tree, String> {
    let inner: Box<dyn Read + '_> = match packing {
        Packing::TarGzip => Box::new(MultiGzDecoder::new(bytes)),
        Packing::Tar => Box::new(bytes),
    };
    let mut archive = tar::Archive::new(Bounded {
        inner,
        // Headers and padding count as well.
        left: MAX_UNPACKED + MAX_ENTRIES * 4 * BLOCK,
    });
    let mut tree = Tree::new();
    let (mut entries, mut total) = (0, 0_u64);
    let mut folders = HashSet::new();
    for entry in archive.entries().map_err(said)? {
        let mut entry = entry.map_err(said)?;
        entries += 1;
        if entries > MAX_ENTRIES {
            return Err(format!("it has more than {MAX_ENTRIES} files and folders"));
        }
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            continue;
        }
        let path = String::from_utf8(entry.path_bytes().into_owned())
            .map_err(|_| "a file's name is not UTF-8".to_owned())?;
        let found = match kind {
            EntryType::Regular | EntryType::Continuous => {
                total = entry.size().saturating_add(total);
                Entry::File(content(&mut entry, &path, total)?)
            }
            // Nothing is kept of it but what is in it.
            EntryType::Directory => {
                placed(&path, layout)?;
                continue;
            }
            EntryType::Symlink if layout == Layout::Artifact => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                let target = String::from_utf8(target)
                    .map_err(|_| format!("`{}` is a link to no name", shown(&path)))?;
                Entry::Link(target)
            }
            EntryType::Link | EntryType::Symlink => {
                return Err(format!("`{}` is a link", shown(&path)));
            }
            _ => {
                return Err(format!("`{}` is neither a file nor a folder", shown(&path)));
            }
        };
        let Some(path) = placed(&path, layout)? else {
            continue;
        };
        if let Entry::Link(target) = &found {
            inside(&path, target)?;
        }
        // Each folder on the way becomes one on disk, though no entry says so.
        let mut folder = path.as_str();
        while let Some((above, _)) = folder.rsplit_once('/')
            && folders.insert(above.to_owned())
        {
            folder = above;
        }
        if entries + folders.len() as u64 > MAX_ENTRIES {
            return Err(format!("it has more than {MAX_ENTRIES} files and folders"));
        }
        tree.insert(path, found);
    }
    if let Some((file, _)) = tree.iter().find(|(path, _)| shadowed(&tree, path)) {
        return Err(format!("`{}` is a file and a folder", shown(file)));
    }
    match layout {
        Layout::Chart if !tree.contains_key("Chart.yaml") => {
            Err("there is no Chart.yaml in its folder".to_owned())
        }
        Layout::Artifact if tree.is_empty() => Err("there is no file in it".to_owned()),
        Layout::Chart | Layout::Artifact => Ok(tree),
    }
}

/// The bytes of a file; `total` has those of all files so far and of this one.
fn content(
    entry: &mut tar::Entry<'_, impl Read>,
    path: &str,
    total: u64,
) -> Result<Vec<u8>, String> {
    let size = entry.size();
    if size > MAX_FILE {
        return Err(format!("`{}` is larger than {MAX_FILE} bytes", shown(path)));
    }
    if total > MAX_UNPACKED {
        return Err(ENDLESS.to_owned());
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content).map_err(said)?;
    if content.len() as u64 != size {
        return Err("it ends too early".to_owned());
    }
    Ok(content)
}

/// Whether a file's path is also the folder of another one.
fn shadowed(tree: &Tree, path: &str) -> bool {
    let folder = format!("{path}/");
    tree.range(folder.clone()..)
        .next()
        .is_some_and(|(next, _)| next.starts_with(&folder))
}

/// Stops a stream that goes on and on: what a few bytes unpack to has no end of its own.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        let read_now = read as u64;
        if read_now > self.left {
            return Err(io::Error::other(ENDLESS));
        }
        self.left -= read_now;
        Ok(read)
    }
}

/// What went wrong, in words: those of the decoders speak of their own buffers.
fn said(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            "it is not a gzip archive".to_owned()
        }
        _ if error.to_string() == ENDLESS => ENDLESS.to_owned(),
        _ => "it is not a tar archive".to_owned(),
    }
}

/// Where an entry goes: of a chart below its folder. `None` for what is nowhere: a chart's folder itself, and the repository
/// in which somebody packed an artifact.
fn placed(path: &str, layout: Layout) -> Result<Option<String>, String> {
    let refused = |why: &str| Err(format!("`{}` {why}", shown(path)));
    if path.len() > MAX_PATH {
        return refused("is too long a path");
    }
    if path.starts_with('/') || path.contains('\\') || path.get(1..2) == Some(":") {
        return refused("is not a path inside the archive");
    }
    if path.chars().any(char::is_control) {
        return refused("is no name for a file");
    }
    let mut parts = Vec::new();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            return refused("leads out of the archive");
        }
        if part.eq_ignore_ascii_case(".git") {
            return match layout {
                Layout::Chart => refused("is no part of a chart"),
                Layout::Artifact => Ok(None),
            };
        }
        parts.push(part);
    }
    if parts.len() > MAX_DEPTH {
        return refused("lies too deep");
    }
    if layout == Layout::Artifact {
        return Ok((!parts.is_empty()).then(|| parts.join("/")));
    }
    match parts.as_slice() {
        [] | [_] if path.ends_with("Chart.yaml") => refused("is not in the chart's folder"),
        [] | [_] => Ok(None),
        [_, below @ ..] => Ok(Some(below.join("/"))),
    }
}

/// Refuses a link that leads out of the archive, whatever stands in between.
fn inside(path: &str, target: &str) -> Result<(), String> {
    let refused = || {
        Err(format!(
            "`{}` is a link that leads out of the archive",
            shown(path)
        ))
    };
    if target.is_empty() || target.starts_with('/') || target.len() > MAX_PATH {
        return refused();
    }
    let mut depth = path.matches('/').count();
    for part in target.split('/').filter(|part| !matches!(*part, "" | ".")) {
        match (part, depth) {
            ("..", 0) => return refused(),
            ("..", _) => depth -= 1,
            _ => depth += 1,
        }
    }
    Ok(())
}

fn shown(path: &str) -> String {
    path.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn entry(name: &str, kind: u8, size: usize, content: &[u8]) -> Vec<u8> {
        let mut header = [0; 512];
        header[..name.len().min(100)].copy_from_slice(&name.as_bytes()[..name.len().min(100)]);
        header[100..108].copy_from_slice(b"0000644\0");
        header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        header[156] = kind;
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let mut all = header.to_vec();
        all.extend_from_slice(content);
        all.resize(all.len().next_multiple_of(512), 0);
        all
    }

    fn file(name: &str, content: &[u8]) -> Vec<u8> {
        entry(name, b'0', content.len(), content)
    }

    fn packed(entries: &[Vec<u8>]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        for entry in entries {
            gzip.write_all(entry).unwrap();
        }
        gzip.write_all(&[0; 1024]).unwrap();
        gzip.finish().unwrap()
    }

    fn chart_of(bytes: &[u8]) -> Result<Tree, String> {
        unpack(bytes, Layout::Chart, Packing::TarGzip)
    }

    fn chart() -> Vec<u8> {
        file("web/Chart.yaml", b"name: web\n")
    }

    #[test]
    fn a_chart_is_its_files_below_its_folder() {
        let attributes = b"29 path=web/templates/a.yaml\n30 mtime=1700000000.123456789\n";
        let long = format!("web/{}/x.yaml\0", "d".repeat(120));
        let tree = chart_of(&packed(&[
            entry("web", b'5', 0, b""),
            chart(),
            file("./web//values.yaml", b"a: 1\n"),
            entry("pax", b'x', attributes.len(), attributes),
            file("short", b"kind: X\n"),
            entry("././@LongLink", b'L', long.len(), long.as_bytes()),
            file("web/ddd", b"long\n"),
        ]))
        .unwrap();
        let deep = format!("{}/x.yaml", "d".repeat(120));
        let names: Vec<&str> = tree.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["Chart.yaml", &deep, "templates/a.yaml", "values.yaml"]
        );
        assert_eq!(tree["templates/a.yaml"], Entry::File(b"kind: X\n".to_vec()));
    }

    #[test]
    fn s02_hostile_archives_are_refused_by_name_and_cost_little() {
        let bomb: Vec<Vec<u8>> = (0..5)
            .map(|n| file(&format!("web/{n}"), &vec![0; 15 << 20]))
            .collect();
        let many: Vec<Vec<u8>> = (0..=MAX_ENTRIES)
            .map(|n| file(&format!("web/{n}"), b""))
            .collect();
        let folders: Vec<Vec<u8>> = (0..200)
            .map(|n| file(&format!("web/{}x", format!("{n}/").repeat(30)), b""))
            .chain((0..200).map(|n| file(&format!("web/a{n}/{}x", "b/".repeat(30)), b"")))
            .collect();
        let with = |entry: Vec<u8>| packed(&[chart(), entry]);
        let mut cut = packed(&[chart(), file("web/a", &[7; 4000])]);
        cut.truncate(cut.len() / 2);
        let mut wrong_sum = chart();
        wrong_sum[0] = b'W';
        for (archive, said) in [
            (
                with(file("web/../../etc/passwd", b"x")),
                "leads out of the archive",
            ),
            (with(file("/etc/passwd", b"x")), "not a path inside"),
            (with(file("web\\..\\x", b"x")), "not a path inside"),
            (with(file("C:/x", b"x")), "not a path inside"),
            (with(file("web/.git/config", b"x")), "no part of a chart"),
            (with(file("web/a\nb", b"x")), "no name for a file"),
            (
                with(entry("web/link", b'2', 0, b"")),
                "`web/link` is a link",
            ),
            (
                with(entry("web/hard", b'1', 0, b"")),
                "`web/hard` is a link",
            ),
            (
                with(entry("web/device", b'3', 0, b"")),
                "neither a file nor a folder",
            ),
            (
                with(entry("web/huge", b'0', 17 << 20, b"")),
                "is larger than",
            ),
            (with(entry("web/short", b'0', 5000, b"x")), "ends too early"),
            (packed(&bomb), "more than 64 MiB"),
            (packed(&many), "more than 10000 files and folders"),
            (packed(&folders), "more than 10000 files and folders"),
            (
                packed(&[chart(), file("web/a", b"x"), file("web/a/b", b"y")]),
                "a file and a folder",
            ),
            (packed(&[file("web/values.yaml", b"")]), "no Chart.yaml"),
            (
                packed(&[file("Chart.yaml", b"")]),
                "not in the chart's folder",
            ),
            (packed(&[wrong_sum]), "not a tar archive"),
            (cut, "ends too early"),
            (
                b"<html>there is nothing here</html>".to_vec(),
                "not a gzip archive",
            ),
            (with(file(&format!("web/{}", "a/".repeat(45)), b"x")), ""),
        ] {
            let result = chart_of(&archive);
            match said {
                "" => assert!(result.is_ok(), "{result:?}"),
                said => {
                    let refused = result.expect_err(said);
                    assert!(refused.contains(said), "{refused}");
                }
            }
        }
    }

    #[test]
    fn s02_a_few_bytes_that_unpack_without_end_are_stopped() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&chart()).unwrap();
        let nothing = vec![0; 1 << 20];
        let size = u64::MAX >> 8;
        let mut header = entry("web/x", b'0', 0, b"");
        header[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        header[128..136].copy_from_slice(&size.to_be_bytes());
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header[..512].iter().map(|b| u32::from(*b)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        gzip.write_all(&header).unwrap();
        for _ in 0..300 {
            gzip.write_all(&nothing).unwrap();
        }
        let archive = gzip.finish().unwrap();
        assert!(archive.len() < 1 << 20);
        assert!(chart_of(&archive).unwrap_err().contains("larger than"));
    }

    fn link(name: &str, target: &str) -> Vec<u8> {
        let mut header = entry(name, b'2', 0, b"");
        header[157..157 + target.len()].copy_from_slice(target.as_bytes());
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header[..512].iter().map(|b| u32::from(*b)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        header
    }

    fn artifact_of(entries: &[Vec<u8>]) -> Result<Tree, String> {
        unpack(&packed(entries), Layout::Artifact, Packing::TarGzip)
    }

    #[test]
    fn an_artifact_is_its_files_as_they_are() {
        let entries = [
            entry("./", b'5', 0, b""),
            file("./a.yaml", b"kind: A\n"),
            file("below/b.yaml", b"kind: B\n"),
            link("below/also.yaml", "../a.yaml"),
            file(".git/config", b"[core]\n"),
            file("below/.git/HEAD", b"ref: x\n"),
        ];
        let tree = artifact_of(&entries).unwrap();
        let names: Vec<&str> = tree.keys().map(String::as_str).collect();
        assert_eq!(names, ["a.yaml", "below/also.yaml", "below/b.yaml"]);
        assert_eq!(tree["below/also.yaml"], Entry::Link("../a.yaml".to_owned()));
        let mut tar: Vec<u8> = entries.concat();
        tar.extend([0; 1024]);
        let plain = unpack(&tar, Layout::Artifact, Packing::Tar).unwrap();
        assert_eq!(plain, tree);
    }

    #[test]
    fn s02_hostile_artifacts_are_refused_by_name() {
        for (entry, said) in [
            (
                link("a/out", "../../etc/passwd"),
                "leads out of the archive",
            ),
            (link("out", "/etc/passwd"), "leads out of the archive"),
            (link("out", "a/../../x"), "leads out of the archive"),
            (link("out", ""), "leads out of the archive"),
            (file("../x", b"x"), "leads out of the archive"),
            (entry("hard", b'1', 0, b""), "`hard` is a link"),
            (entry("pipe", b'6', 0, b""), "neither a file nor a folder"),
            (file("a.yaml/b", b"x"), "a file and a folder"),
        ] {
            let refused = artifact_of(&[file("a.yaml", b""), entry]).unwrap_err();
            assert!(refused.contains(said), "{said}: {refused}");
        }
        // A link that stands where a folder does would send what is below it elsewhere.
        let through = [link("way", "a"), file("way/x", b""), file("a/y", b"")];
        assert!(
            artifact_of(&through)
                .unwrap_err()
                .contains("a file and a folder")
        );
        assert!(
            artifact_of(&[file(".git/config", b"")])
                .unwrap_err()
                .contains("no file in it")
        );
        let text = unpack(b"kind: A\n", Layout::Artifact, Packing::Tar).unwrap_err();
        assert!(text.contains("not a tar archive"), "{text}");
    }
}

//! Archives and indexes of charts with something wrong in them at random: read or refused, and never more than they may be.

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::archive::{self, Entry, Layout, Packing, Tree};
use super::index::parse;

/// Far more than any of these takes, on a machine that does much else.
const BOUND: Duration = Duration::from_secs(60);
const KINDS: &[u8] = b"0012345567SgxLKVMDNA\0";
const NAMES: &[&str] = &[
    "web/Chart.yaml",
    "web/values.yaml",
    "web/templates/a.yaml",
    "web/../../etc/passwd",
    "../x",
    "/etc/passwd",
    "web//x",
    "./web/x",
    "web/.git/config",
    "web/.GIT/hooks/x",
    "web\\x",
    "C:x",
    "",
    "/",
    ".",
    "web",
    "web/a/",
    "web/a/b",
    "web/\u{202e}x",
];

fn header(name: &[u8], kind: u8, size: u64) -> [u8; 512] {
    let mut header = [0; 512];
    let name = &name[..name.len().min(100)];
    header[..name.len()].copy_from_slice(name);
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..135].copy_from_slice(format!("{:011o}", size & 0o77_777_777_777).as_bytes());
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    sum(&mut header);
    header
}

fn sum(header: &mut [u8; 512]) {
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

fn entry(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut all = header(name.as_bytes(), kind, content.len() as u64).to_vec();
    all.extend_from_slice(content);
    all.resize(all.len().next_multiple_of(512), 0);
    all
}

fn pack(tar: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(tar).unwrap();
    gzip.finish().unwrap()
}

/// A record of a PAX header, whose length counts itself.
fn record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n")
}

fn unpack(bytes: &[u8]) -> Result<Tree, String> {
    archive::unpack(bytes, Layout::Chart, Packing::TarGzip)
}

fn check(tree: &Tree, what: &str) {
    let mut total = 0;
    for (path, entry) in tree {
        match entry {
            Entry::File(content) => total += content.len(),
            Entry::Link(_) => panic!("{what}: {path:?} is a link"),
        }
        let parts: Vec<&str> = path.split('/').collect();
        let plain = |part: &&str| !part.is_empty() && *part != "." && *part != "..";
        assert!(parts.iter().all(plain), "{what}: {path:?}");
        assert!(
            !path.contains('\\') && !path.chars().any(char::is_control),
            "{what}: {path:?}"
        );
        assert!(
            !parts.iter().any(|part| part.eq_ignore_ascii_case(".git")),
            "{what}: {path:?}"
        );
    }
    assert!(total <= 64 << 20, "{what}: {total}");
    assert!(tree.contains_key("Chart.yaml"), "{what}");
}

#[test]
fn s02_whatever_is_wrong_in_an_archive_it_is_refused_or_it_is_a_chart() {
    let mut random = StdRng::seed_from_u64(20);
    let begun = Instant::now();
    let (mut taken, mut refused) = (0, 0);
    for round in 0..12_000 {
        let mut tar = Vec::new();
        if round % 3 > 0 {
            tar.extend(entry("web/Chart.yaml", b'0', b"name: web\n"));
        }
        for _ in 0..random.random_range(0..6) {
            let name = *NAMES.choose(&mut random).unwrap();
            let kind = match random.random_bool(0.6) {
                true => b'0',
                false => *KINDS.choose(&mut random).unwrap(),
            };
            let content: Vec<u8> = match random.random_range(0..4) {
                0 => Vec::new(),
                1 => record("path", NAMES.choose(&mut random).unwrap()).into_bytes(),
                2 => record("size", &random.random::<u64>().to_string()).into_bytes(),
                _ => name.bytes().chain([0]).collect(),
            };
            tar.extend(entry(name, kind, &content));
        }
        if random.random_bool(0.7) {
            tar.extend([0; 1024]);
        }
        for _ in 0..random.random_range(0..4) {
            if tar.is_empty() {
                break;
            }
            let at = random.random_range(0..tar.len());
            tar[at] = random.random();
            // Beyond the sum of the header, where readers are.
            let start = at / 512 * 512;
            if let Some(block) = tar
                .get_mut(start..start + 512)
                .and_then(|block| <&mut [u8; 512]>::try_from(block).ok())
                && block[257..262] == *b"ustar"
            {
                sum(block);
            }
        }
        let mut bytes = pack(&tar);
        match random.random_range(0..6) {
            0 => bytes.truncate(random.random_range(0..bytes.len())),
            1 => {
                let at = random.random_range(0..bytes.len());
                bytes[at] ^= 1 << random.random_range(0..8);
            }
            2 => bytes.extend(pack(&entry("web/more", b'0', b"x"))),
            _ => {}
        }
        // Where links may be, each stays inside.
        if let Ok(tree) = archive::unpack(&bytes, Layout::Artifact, Packing::TarGzip) {
            for (path, entry) in &tree {
                assert!(!path.starts_with('/') && !path.contains(".."), "{path:?}");
                if let Entry::Link(target) = entry {
                    let above = target.split('/').filter(|part| *part == "..").count();
                    assert!(!target.starts_with('/'), "{path:?} {target:?}");
                    assert!(above <= path.matches('/').count(), "{path:?} {target:?}");
                }
            }
        }
        match unpack(&bytes) {
            Ok(tree) => {
                check(&tree, &format!("round {round}"));
                taken += 1;
            }
            Err(why) => {
                assert!(!why.is_empty() && why.len() < 400, "round {round}: {why}");
                assert!(!why.chars().any(char::is_control), "round {round}: {why:?}");
                refused += 1;
            }
        }
    }
    assert!(
        taken > 500 && refused > 2_000,
        "{taken} taken, {refused} refused"
    );
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
}

#[test]
fn s02_what_a_header_says_counts_for_nothing_against_the_limits() {
    let chart = entry("web/Chart.yaml", b'0', b"name: web\n");
    let long = |kind: u8| {
        let mut tar = chart.clone();
        tar.extend(header(b"././@LongLink", kind, 3 << 30));
        tar.extend(vec![b'a'; 100 << 20]);
        tar
    };
    let sparse = {
        // One byte of data, a terabyte of holes.
        let mut block = header(b"web/holes", b'S', 512);
        block[257..265].copy_from_slice(b"ustar  \0");
        block[386..398].copy_from_slice(b"00000000000\0");
        block[398..410].copy_from_slice(b"00000001000\0");
        block[483..495].copy_from_slice(b"77777777777\0");
        sum(&mut block);
        [&chart[..], &block, &[1; 512]].concat()
    };
    let pax = |key: &str, value: &str| {
        let record = record(key, value);
        [
            &chart[..],
            &entry("pax", b'x', record.as_bytes()),
            &entry("web/plain", b'0', b"x"),
            &[0; 1024],
        ]
        .concat()
    };
    let nested = {
        let mut tar = chart.clone();
        for _ in 0..200_000 {
            tar.extend(header(b"pax", b'x', 0));
        }
        tar
    };
    for (what, tar, said) in [
        ("a long name", long(b'L'), "more than 64 MiB"),
        ("a long link", long(b'K'), "more than 64 MiB"),
        ("a long PAX header", long(b'x'), "more than 64 MiB"),
        ("a long global PAX header", long(b'g'), ""),
        (
            "a file of holes",
            sparse,
            "neither a file nor a folder|not a tar archive",
        ),
        ("a size in PAX", pax("size", "9999999999999"), "larger than"),
        ("a size of PAX that is none", pax("size", "-1"), ""),
        (
            "a path in PAX",
            pax("path", "web/../../etc/passwd"),
            "leads out of the archive",
        ),
        (
            "an absolute path in PAX",
            pax("path", "/etc/passwd"),
            "not a path inside",
        ),
        ("headers without end", nested, ""),
    ] {
        let begun = Instant::now();
        let packed = pack(&tar);
        drop(tar);
        match unpack(&packed) {
            Ok(tree) => {
                assert!(said.is_empty(), "{what} is taken");
                check(&tree, what);
            }
            Err(why) => assert!(
                said.split('|').any(|said| why.contains(said)),
                "{what}: {why}"
            ),
        }
        assert!(begun.elapsed() < BOUND, "{what}: {:?}", begun.elapsed());
    }
    // Two files of one name: the last counts, as for whoever unpacks it, and both are counted.
    let twice = [
        &chart[..],
        &entry("web/a", b'0', b"first"),
        &entry("web//./a", b'0', b"last"),
        &[0; 1024],
    ]
    .concat();
    assert_eq!(
        unpack(&pack(&twice)).unwrap()["a"],
        Entry::File(b"last".to_vec())
    );
    let same = entry("web/a", b'0', &vec![0; 15 << 20]);
    let many = [&chart[..], &same.repeat(5)].concat();
    assert!(
        unpack(&pack(&many))
            .unwrap_err()
            .contains("more than 64 MiB")
    );
}

#[test]
fn s02_whatever_an_index_is_made_of_it_is_read_or_refused() {
    const PIECES: &[&str] = &[
        "entries:",
        "entries: ",
        "\n",
        "\n  ",
        "\n    ",
        "web:",
        "- ",
        "version: ",
        "1.0.0",
        "urls: ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "digest: ",
        "&a ",
        "*a",
        "<<: *a",
        "\"",
        "'",
        "? ",
        "|\n",
        "---\n",
        "...\n",
        "!!binary ",
        "\0",
        "\t",
        "\u{feff}",
        "#",
        "~",
    ];
    let mut random = StdRng::seed_from_u64(21);
    let begun = Instant::now();
    let mut read = 0;
    for round in 0..20_000 {
        let mut text = match round % 2 {
            0 => String::new(),
            _ => "entries:\n  web:\n  - version: 1.0.0\n    urls: [a.tgz]\n".to_owned(),
        };
        for _ in 0..random.random_range(0..30) {
            text.push_str(PIECES.choose(&mut random).unwrap());
        }
        match parse(&text) {
            Ok(index) => {
                let longest = index
                    .values()
                    .flatten()
                    .map(|entry| entry.url.len().max(entry.version.len()))
                    .max();
                assert!(longest.unwrap_or_default() <= text.len(), "{text:?}");
                read += 1;
            }
            Err(why) => assert!(!why.is_empty() && why.len() < 400, "{text:?}: {why}"),
        }
    }
    assert!(read > 1_000, "{read}");
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    let mut laughs = "a0: &a0 {version: 1.0.0}\n".to_owned();
    for n in 1..60 {
        let before = n - 1;
        laughs.push_str(&format!(
            "a{n}: &a{n} [{}]\n",
            format!("*a{before}, ").repeat(10)
        ));
    }
    laughs.push_str("entries: {web: *a59}\n");
    assert_eq!(parse(&laughs).unwrap().values().flatten().count(), 0);
}
